"""Segmentation losses for PyTorch: functions, and modules around them.

All take logits (B, C, H, W) and a target that is either integer labels (B, H, W), in which
`ignore_index` is void, or a distribution (B, C, H, W), in which a pixel of zeros is void; and
optionally pixel weights (B, H, W). They compute in at least float32, under autocast too, and a
batch without a labelled pixel gives a loss of 0 with gradients of 0.
"""

from rerank.losses.affinity_field import AffinityFieldLoss, affinity_field_loss
from rerank.losses.corpus_counts import CorpusCounts
from rerank.losses.cross_entropy import SoftCrossEntropyLoss, soft_cross_entropy
from rerank.losses.expected_iou import (
    ExpectedCounts,
    ExpectedIoULoss,
    ExpectedUoILoss,
    expected_counts,
    expected_iou_loss,
    expected_uoi_loss,
)
from rerank.losses.neuro_iou import NeuroIoULoss, SurrogateSettings, neuro_iou_loss
from rerank.losses.region_loss import RegionSettings
from rerank.losses.rmi import RMILoss, RMISettings, region_mutual_information, rmi_loss
from rerank.losses.simulations import (
    DiscontinuityFit,
    FlipSimulation,
    fit_discontinuity,
    simulate_flips,
)
from rerank.losses.surrogate import SurrogateFit, SurrogateNetwork, fit_surrogate
from rerank.losses.surrogate_counts import SurrogateCounts, surrogate_counts
from rerank.losses.weighted_sum import WeightedSumLoss

__all__ = [
    "AffinityFieldLoss",
    "CorpusCounts",
    "DiscontinuityFit",
    "ExpectedCounts",
    "ExpectedIoULoss",
    "ExpectedUoILoss",
    "FlipSimulation",
    "NeuroIoULoss",
    "RMILoss",
    "RMISettings",
    "RegionSettings",
    "SoftCrossEntropyLoss",
    "SurrogateCounts",
    "SurrogateFit",
    "SurrogateNetwork",
    "SurrogateSettings",
    "WeightedSumLoss",
    "affinity_field_loss",
    "expected_counts",
    "expected_iou_loss",
    "expected_uoi_loss",
    "fit_discontinuity",
    "fit_surrogate",
    "neuro_iou_loss",
    "region_mutual_information",
    "rmi_loss",
    "simulate_flips",
    "soft_cross_entropy",
    "surrogate_counts",
]
