"""Potentials: features of superpixels, a classifier over them, unary and pairwise costs.

Unaries come from a `SuperpixelClassifier` over `appearance_features` or `deep_features`, or from
probability maps of the user's own; pairwise weights are contrast-sensitive Potts. All are costs.
"""

from rerank.potentials.appearance import AppearanceFeatures, appearance_features
from rerank.potentials.classifier import SuperpixelClassifier
from rerank.potentials.deep import deep_features
from rerank.potentials.pairwise import contrast_beta, contrast_potts_weights
from rerank.potentials.similarity import similarity_weights
from rerank.potentials.training_target import sample_superpixels
from rerank.potentials.unary import pool_probability_maps, unary_from_probabilities

__all__ = [
    "AppearanceFeatures",
    "SuperpixelClassifier",
    "appearance_features",
    "contrast_beta",
    "contrast_potts_weights",
    "deep_features",
    "pool_probability_maps",
    "sample_superpixels",
    "similarity_weights",
    "unary_from_probabilities",
]
