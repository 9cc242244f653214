"""Potentials: features of superpixels, a classifier over them, unary and pairwise costs.

Unaries come from a `SuperpixelClassifier` over `appearance_features` or `deep_features`, or from
probability maps of the user's own; pairwise weights are contrast-sensitive Potts. All are costs.
"""

from rerank.potentials.appearance import AppearanceFeatures, appearance_features
from rerank.potentials.appearance_affinity import affinity_weights
from rerank.potentials.classifier import SuperpixelClassifier
from rerank.potentials.contrast_potts import contrast_beta, contrast_potts_weights
from rerank.potentials.deep import deep_features, signed_root
from rerank.potentials.perceptron import PerceptronTraining
from rerank.potentials.temperature import at_temperature, choose_temperature
from rerank.potentials.training_target import sample_superpixels
from rerank.potentials.unary import region_probabilities, unary_from_probabilities

__all__ = [
    "AppearanceFeatures",
    "PerceptronTraining",
    "SuperpixelClassifier",
    "affinity_weights",
    "appearance_features",
    "at_temperature",
    "choose_temperature",
    "contrast_beta",
    "contrast_potts_weights",
    "deep_features",
    "region_probabilities",
    "sample_superpixels",
    "signed_root",
    "unary_from_probabilities",
]
