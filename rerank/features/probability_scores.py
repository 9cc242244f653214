"""Proposals scored by class probabilities of regions: expected intersection, union, accuracy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from rerank.errors import InputError
from rerank.evidence import PROBABILITY_FLOOR
from rerank.features.feature_table import FeatureTable
from rerank.features.naming import check_class_names, class_names, scalar_names
from rerank.features.statistics import check_labels
from rerank.types import Array, FloatArray

#: Expected intersections below this share of the image count as this where U is divided by I.
SHARE_FLOOR = 1e-3

CLASS_FEATURES = ("expected_intersection", "expected_union", "iou", "uoi")
SCALAR_FEATURES = (
    "accuracy",
    "log_prob",
    "iou_painted",
    "iou_in_play",
    "margin",
    "overruled",
    "missing",
)


@dataclass(frozen=True, eq=False)
class ProbabilityScores:
    """Scores of M labelings under class probabilities of regions; areas are shares of the image."""

    intersection: FloatArray  #: (M, C) expected intersection, Eq. 24 weighted by area
    union: FloatArray  #: (M, C) expected union, Eq. 28 weighted by area
    painted: FloatArray  #: (M, C) share that the labeling paints
    class_log_prob: FloatArray  #: (M, C) sum over painted regions of share * log p(label)
    class_margin: FloatArray  #: (M, C) the same for log p(label) - max over others of log p
    overruled: FloatArray  #: (M, C) painted share where another class is more probable
    worst_margin: FloatArray  #: (M, C) least margin of a painted region; 0 if none is painted
    iou: FloatArray  #: (M, C) expected I over expected U; 0 where U is 0
    scalars: FloatArray  #: (M, 7) class-free features, in the order of `SCALAR_FEATURES`


def score_against(labelings: Array, region_probabilities: Array, areas: Array) -> ProbabilityScores:
    """Score labelings by class probabilities of the same regions.

    Parameters
    ----------
    labelings : (M, n) int
        Labels of regions, 0..C-1.
    region_probabilities : (n, C) float
        Rows sum to 1.
    areas : (n,) float, pixels

    Returns
    -------
    ProbabilityScores

    Raises
    ------
    InputError
        If shapes disagree, a row is no distribution or a label is out of range.
    """
    labels, p, shares = _check(labelings, region_probabilities, areas)
    log_p = np.log(np.maximum(p, PROBABILITY_FLOOR))
    sums, scalars = _score_kernel(labels, p, log_p, shares)
    return ProbabilityScores(
        intersection=sums[0],
        union=sums[1],
        painted=sums[2],
        class_log_prob=sums[3],
        class_margin=sums[4],
        overruled=sums[5],
        worst_margin=sums[6],
        iou=sums[7],
        scalars=scalars,
    )


def _check(
    labelings: Array, region_probabilities: Array, areas: Array
) -> tuple[Array, FloatArray, FloatArray]:
    p = np.ascontiguousarray(region_probabilities, dtype=np.float64)
    labels = np.ascontiguousarray(labelings)
    if p.ndim != 2 or labels.ndim != 2 or labels.shape[1] != len(p) or len(areas) != len(p):
        raise InputError(
            f"labelings {labels.shape}, region_probabilities {p.shape} and areas "
            f"{np.shape(areas)} must be (M, n), (n, C) and (n,)"
        )
    off = float(np.abs(p.sum(axis=1) - 1).max(initial=0.0))
    if not (off <= 1e-3 and p.min(initial=0.0) >= -1e-9):
        raise InputError(
            f"each region's probabilities must be a distribution over classes; "
            f"the lowest is {p.min(initial=0.0)} and a sum is {off} off 1"
        )
    check_labels(labels, p.shape[1])
    shares = np.asarray(areas, dtype=np.float64)
    return labels, p, shares / shares.sum()


def class_log_prob(labelings: Array, region_probabilities: Array, areas: Array) -> FloatArray:
    """Sum over the regions painted c of their share of the image times log p(c).

    `score_against` gives this and more. Probabilities below 1e-4 count as that.

    Parameters
    ----------
    labelings : (M, n) int
    region_probabilities : (n, C) float
        Rows sum to 1.
    areas : (n,) float, pixels

    Returns
    -------
    (M, C) float64
    """
    labels, p, shares = _check(labelings, region_probabilities, areas)
    log_p = np.log(np.maximum(p, PROBABILITY_FLOOR)) * shares[:, None]
    return _log_prob_kernel(labels, log_p)


def fused_posterior_features(
    labelings: Array,
    fused_posterior: Array,
    areas: Array,
    classes: tuple[str, ...] = (),
    image_id: str = "",
) -> FeatureTable:
    """Score each proposal by expected I and U under the fused posterior.

    The class-free columns come first (all weighted by area, as shares of the image):
    `accuracy` = sum of p(label); `log_prob` = mean of log p(label), with probabilities below
    1e-4 counted as that; `iou_painted` = mean of I/U over the painted classes; `iou_in_play`
    = mean of I/U where a painted class weighs 1 and another its highest probability in any
    region; `margin` = mean of log p(label) less the best other; `overruled` = share whose
    label is not the most probable; `missing` = probability mass of classes that are not
    painted. Then `expected_intersection[c]` (Cogswell et al. 2014, Eq. 24, weighted by area),
    `expected_union[c]` (Eq. 28), `iou[c]` = I / U (0 where U = 0) and `uoi[c]` =
    U / max(I, 0.001).

    Parameters
    ----------
    labelings : (M, n) int
    fused_posterior : (n, C) float
        Rows sum to 1.
    areas : (n,) float, pixels
    classes : C names
        Without them the classes are called "0", "1", ...
    image_id : str

    Returns
    -------
    FeatureTable
        M rows, 7 + 4C columns of group `fused_posterior`.
    """
    scores = score_against(labelings, fused_posterior, areas)
    names = check_class_names(classes, scores.union.shape[1])
    return fused_posterior_table(scores, names, image_id)


def fused_posterior_table(
    scores: ProbabilityScores, classes: tuple[str, ...], image_id: str
) -> FeatureTable:
    """The columns of `fused_posterior_features` from scores that are already computed.

    Parameters
    ----------
    scores : ProbabilityScores
        Of the proposals under the fused posterior.
    classes : C names
    image_id : str

    Returns
    -------
    FeatureTable
    """
    group = "fused_posterior"
    values = np.concatenate(
        [
            scores.scalars,
            scores.intersection,
            scores.union,
            scores.iou,
            scores.union / np.maximum(scores.intersection, SHARE_FLOOR),
        ],
        axis=1,
    )
    columns = scalar_names(group, SCALAR_FEATURES) + class_names(group, CLASS_FEATURES, classes)
    return FeatureTable.of_image(values, columns, group, image_id)


@njit(cache=True)
def _log_prob_kernel(labels: Array, weighted: FloatArray) -> FloatArray:
    sums = np.zeros((len(labels), weighted.shape[1]))
    for m in range(len(labels)):
        for i in range(labels.shape[1]):
            sums[m, labels[m, i]] += weighted[i, labels[m, i]]
    return sums


@njit(cache=True)
def _score_kernel(
    labels: Array, p: FloatArray, log_p: FloatArray, shares: FloatArray
) -> tuple[FloatArray, FloatArray]:
    n, n_classes = p.shape
    n_proposals = labels.shape[0]
    sums = np.zeros((8, n_proposals, n_classes))
    scalars = np.zeros((n_proposals, 7))
    mass = np.zeros(n_classes)
    highest = np.zeros(n_classes)
    best = np.zeros(n, dtype=np.int64)
    first = np.full(n, -np.inf)
    second = np.full(n, -np.inf)
    for i in range(n):
        for c in range(n_classes):
            mass[c] += shares[i] * p[i, c]
            highest[c] = max(highest[c], p[i, c])
            if log_p[i, c] > first[i]:
                second[i] = first[i]
                first[i] = log_p[i, c]
                best[i] = c
            elif log_p[i, c] > second[i]:
                second[i] = log_p[i, c]
        if n_classes == 1:
            second[i] = first[i]
    for m in range(n_proposals):
        intersection, union, painted = sums[0, m], sums[1, m], sums[2, m]
        log_prob, margin, overruled = sums[3, m], sums[4, m], sums[5, m]
        worst, iou = sums[6, m], sums[7, m]
        for i in range(n):
            c = labels[m, i]
            share = shares[i]
            gap = log_p[i, c] - (second[i] if best[i] == c else first[i])
            if painted[c] == 0.0 or gap < worst[c]:
                worst[c] = gap
            intersection[c] += share * p[i, c]
            painted[c] += share
            log_prob[c] += share * log_p[i, c]
            margin[c] += share * gap
            if gap < 0.0:
                overruled[c] += share
        row = scalars[m]
        n_painted = 0
        weight = 0.0
        for c in range(n_classes):
            union[c] = painted[c] + mass[c] - intersection[c]
            if union[c] > 0.0:
                iou[c] = intersection[c] / union[c]
            row[0] += intersection[c]
            row[1] += log_prob[c]
            row[4] += margin[c]
            row[5] += overruled[c]
            if painted[c] > 0.0:
                n_painted += 1
                row[2] += iou[c]
                row[3] += iou[c]
                weight += 1.0
            else:
                row[3] += highest[c] * iou[c]
                row[6] += mass[c]
                weight += highest[c]
        # Every proposal paints a class, so that neither divisor is 0.
        row[2] /= n_painted
        row[3] /= weight
    return sums, scalars
