"""Features of proposals: named and grouped columns that a ranker weighs.

`proposal_features` makes the `FeatureTable` of one image from its regions, its proposals and the
evidence about it. Each family of columns is also a function of its own.
"""

from rerank.features.appearance_fit import appearance_features
from rerank.features.boundary import boundary_features
from rerank.features.classification import classification_features, paper_columns
from rerank.features.consensus import compare_proposals, consensus_features
from rerank.features.edges import detect_edges, edge_features
from rerank.features.energy_columns import energy_features
from rerank.features.families import FAMILIES, family_of, family_scores
from rerank.features.feature_table import FeatureTable
from rerank.features.geometry import region_geometry
from rerank.features.layout import layout_features, pair_features
from rerank.features.prior_columns import cooccurrence_score, prior_features
from rerank.features.probability_scores import (
    class_log_prob,
    fused_posterior_features,
    score_against,
)
from rerank.features.proposal_features import (
    GROUPS,
    ColumnSettings,
    available_groups,
    proposal_features,
)
from rerank.features.risk import (
    departs_too_far,
    expected_qualities,
    risk_features,
    similarity_matrix,
    untrained_scores,
)
from rerank.features.segnet_columns import (
    background_mass,
    coarsen_labelings,
    segnet_divergences,
    segnet_features,
)
from rerank.features.statistics import RegionBoundaries, RegionGeometry, labeling_statistics
from rerank.features.summary import summary_features
from rerank.features.support import component_support, support_features

__all__ = [
    "FAMILIES",
    "GROUPS",
    "ColumnSettings",
    "FeatureTable",
    "RegionBoundaries",
    "RegionGeometry",
    "appearance_features",
    "available_groups",
    "background_mass",
    "boundary_features",
    "class_log_prob",
    "classification_features",
    "coarsen_labelings",
    "compare_proposals",
    "component_support",
    "consensus_features",
    "cooccurrence_score",
    "departs_too_far",
    "detect_edges",
    "edge_features",
    "energy_features",
    "expected_qualities",
    "family_of",
    "family_scores",
    "fused_posterior_features",
    "labeling_statistics",
    "layout_features",
    "pair_features",
    "paper_columns",
    "prior_features",
    "proposal_features",
    "region_geometry",
    "risk_features",
    "score_against",
    "segnet_divergences",
    "segnet_features",
    "similarity_matrix",
    "summary_features",
    "support_features",
    "untrained_scores",
]
