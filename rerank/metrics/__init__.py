"""Measures of segmentations: counts first, ratios last, divided once over the corpus.

Counts (`confusion_counts`, `region_confusion`, `region_intersection_union`) are exact integers
that add up over images. `iou_from_counts`, `corpus_iou` and `image_iou` turn them into IoU under a
named rule for absent classes. `oracle_curve` gives the accuracy of the best choice among proposals,
and `bootstrap_interval` the confidence interval of a measure. Void pixels are in no count.
"""

from rerank.metrics.bootstrap import Interval, bootstrap_interval
from rerank.metrics.counts import (
    IntersectionUnion,
    chosen_counts,
    confusion_counts,
    intersection_union,
)
from rerank.metrics.iou import (
    IOU_SEMANTICS,
    IoU,
    corpus_iou,
    image_iou,
    iou_from_counts,
    mean_image_iou,
)
from rerank.metrics.oracle_curve import OracleCurve, oracle_curve
from rerank.metrics.pairwise_counts import pairwise_counts
from rerank.metrics.region_counts import (
    majority_labels,
    region_confusion,
    region_histogram,
    region_intersection_union,
)

__all__ = [
    "IOU_SEMANTICS",
    "IntersectionUnion",
    "Interval",
    "IoU",
    "OracleCurve",
    "bootstrap_interval",
    "chosen_counts",
    "confusion_counts",
    "corpus_iou",
    "image_iou",
    "intersection_union",
    "iou_from_counts",
    "majority_labels",
    "mean_image_iou",
    "oracle_curve",
    "pairwise_counts",
    "region_confusion",
    "region_histogram",
    "region_intersection_union",
]
