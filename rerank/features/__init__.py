"""Features of proposals: named and grouped columns for a ranker to weigh.

`image_features` makes the `FeatureTable` of one image from plain arrays (`ImageInputs`): the
agreement with the coarse SegNet, the image classifiers' opinion of what a proposal claims, the
hand-made families (energy, layout, support, borders, agreement, appearance, priors), the
score under a finer posterior, and a compact class-free summary. Each family is also a
function of its own.
"""

from rerank.features.agreement import agreement_features, proposal_agreement
from rerank.features.appearance import appearance_features
from rerank.features.boundary import boundary_features
from rerank.features.classification import classification_features
from rerank.features.classifiers import (
    PERCENTILES,
    ImageClassifiers,
    SizeThresholdClassifiers,
    size_thresholds,
)
from rerank.features.edges import detect_edges, edge_features
from rerank.features.energy import energy_features
from rerank.features.geometry import region_geometry
from rerank.features.image import image_features
from rerank.features.inputs import GROUPS, ImageInputs
from rerank.features.layout import layout_features, pair_features
from rerank.features.posterior import (
    cells_to_regions,
    class_log_prob,
    posterior_features,
    score_against,
)
from rerank.features.priors import CooccurrencePrior, LocationPrior, prior_features
from rerank.features.risk import expected_qualities, risk_features
from rerank.features.segnet import (
    background_mass,
    coarsen_labelings,
    expected_counts,
    segnet_features,
)
from rerank.features.signals import PosteriorSignals, posterior_signals, region_signals
from rerank.features.stacking import StackedPosterior
from rerank.features.statistics import labeling_statistics
from rerank.features.summary import summary_features
from rerank.features.support import component_support, support_features
from rerank.features.table import FeatureTable

__all__ = [
    "GROUPS",
    "PERCENTILES",
    "CooccurrencePrior",
    "FeatureTable",
    "ImageClassifiers",
    "ImageInputs",
    "LocationPrior",
    "PosteriorSignals",
    "SizeThresholdClassifiers",
    "StackedPosterior",
    "agreement_features",
    "appearance_features",
    "background_mass",
    "boundary_features",
    "cells_to_regions",
    "class_log_prob",
    "classification_features",
    "coarsen_labelings",
    "component_support",
    "detect_edges",
    "edge_features",
    "energy_features",
    "expected_counts",
    "expected_qualities",
    "image_features",
    "labeling_statistics",
    "layout_features",
    "pair_features",
    "posterior_features",
    "posterior_signals",
    "prior_features",
    "proposal_agreement",
    "region_geometry",
    "region_signals",
    "risk_features",
    "score_against",
    "segnet_features",
    "size_thresholds",
    "summary_features",
    "support_features",
]
