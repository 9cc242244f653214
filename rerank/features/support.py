"""How strongly the probabilities of stage 1 support each class that a proposal paints."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from rerank.evidence import PROBABILITY_FLOOR
from rerank.features.feature_table import FeatureTable
from rerank.features.naming import class_names
from rerank.features.probability_scores import ProbabilityScores
from rerank.types import Array, FloatArray, IntArray

SUPPORT_FEATURES = (
    "support",
    "mean_support",
    "margin",
    "mean_margin",
    "worst_margin",
    "overruled",
    "unclaimed",
    "stage1_iou",
    "component_support",
    "worst_component",
)


@dataclass(frozen=True, eq=False)
class ComponentSupport:
    """Probability of the label, averaged over each connected component first."""

    log_prob: FloatArray  #: (M, C) sum over components of share * log of the mean probability
    worst: FloatArray  #: (M, C) least mean probability of a component; 0 if none is painted


def component_support(
    labelings: Array, component: IntArray, region_probabilities: FloatArray, areas: FloatArray
) -> ComponentSupport:
    """Average probabilities over each component, so that one weak region counts by its area.

    Parameters
    ----------
    labelings : (M, n) int
    component : (M, n) int
        From `LabelingStatistics`.
    region_probabilities : (n, C) float
    areas : (n,) float, pixels

    Returns
    -------
    ComponentSupport
    """
    log_prob, worst = _component_kernel(
        np.ascontiguousarray(labelings),
        component,
        region_probabilities,
        areas / areas.sum(),
        PROBABILITY_FLOOR,
    )
    return ComponentSupport(log_prob, worst)


def support_features(
    scores: ProbabilityScores,
    components: ComponentSupport,
    classes: tuple[str, ...],
    image_id: str = "",
) -> FeatureTable:
    """Ten features a class from the probabilities of stage 1.

    `support` = sum of share * log p(c) over the regions painted c; `mean_support` = the same
    over the painted share; `margin` and `mean_margin` likewise with log p(c) less the best
    other class; `worst_margin` = its least value over regions; `overruled` = share of the
    image painted c where another class is more probable; `unclaimed` = probability mass of c
    that the proposal gives to others; `stage1_iou` = expected I over expected U;
    `component_support` = sum over components of c of share * log of the component's mean
    p(c); `worst_component` = least such mean. All but `unclaimed` are 0 for a class that is
    not painted.

    Parameters
    ----------
    scores : ProbabilityScores
        Of the labelings against the probabilities of stage 1.
    components : ComponentSupport
    classes : C names
    image_id : str

    Returns
    -------
    FeatureTable
        M rows, 10 C columns of group `proposal`.
    """
    s = scores
    painted = np.where(s.painted > 0, s.painted, 1.0)
    values = np.concatenate(
        [
            s.class_log_prob,
            s.class_log_prob / painted,
            s.class_margin,
            s.class_margin / painted,
            s.worst_margin,
            s.overruled,
            s.union - s.painted,
            s.iou,
            components.log_prob,
            components.worst,
        ],
        axis=1,
    )
    return FeatureTable.of_image(
        values, class_names("proposal", SUPPORT_FEATURES, classes), "proposal", image_id
    )


@njit(cache=True)
def _component_kernel(
    labels: Array, component: IntArray, p: FloatArray, shares: FloatArray, floor: float
) -> tuple[FloatArray, FloatArray]:
    n_proposals, n = labels.shape
    n_classes = p.shape[1]
    log_prob = np.zeros((n_proposals, n_classes))
    worst = np.zeros((n_proposals, n_classes))
    found = np.empty(n_classes, dtype=np.bool_)
    weight = np.empty(n)
    mean = np.empty(n)
    for m in range(n_proposals):
        weight[:] = 0.0
        mean[:] = 0.0
        found[:] = False
        for i in range(n):
            root = component[m, i]
            weight[root] += shares[i]
            mean[root] += shares[i] * p[i, labels[m, i]]
        for i in range(n):
            if component[m, i] == i:
                c = labels[m, i]
                average = mean[i] / weight[i]
                log_prob[m, c] += weight[i] * np.log(max(average, floor))
                if not found[c] or average < worst[m, c]:
                    worst[m, c] = average
                    found[c] = True
    return log_prob, worst
