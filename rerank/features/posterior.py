"""A proposal scored by a posterior over regions: expected intersection, union, accuracy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from rerank.errors import InputError
from rerank.features.naming import check_class_names, class_names, scalar_names
from rerank.features.statistics import check_labels
from rerank.features.table import FeatureTable
from rerank.types import Array, FloatArray

#: Probabilities below this count as this before a logarithm is taken.
PROBABILITY_FLOOR = 1e-4

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
class PosteriorScores:
    """What a posterior over regions expects of M labelings; areas are shares of the image."""

    intersection: FloatArray  #: (M, C) expected intersection, Eq. 24 weighted by area
    union: FloatArray  #: (M, C) expected union, Eq. 28 weighted by area
    painted: FloatArray  #: (M, C) share that the labeling paints
    class_log_prob: FloatArray  #: (M, C) sum over painted regions of share * log p(label)
    class_margin: FloatArray  #: (M, C) the same for log p(label) - max over others of log p
    overruled: FloatArray  #: (M, C) painted share where another class is more probable
    worst_margin: FloatArray  #: (M, C) least margin of a painted region; 0 if none is painted
    iou: FloatArray  #: (M, C) expected I over expected U; 0 where U is 0
    scalars: FloatArray  #: (M, 7) class-free features, in the order of `SCALAR_FEATURES`


def score_against(labelings: Array, probabilities: Array, areas: Array) -> PosteriorScores:
    """Score labelings by class probabilities of the same regions.

    Parameters
    ----------
    labelings : (M, n) int
        Labels of regions, 0..C-1.
    probabilities : (n, C) float
        Rows sum to 1.
    areas : (n,) float, pixels

    Raises
    ------
    InputError
        If shapes disagree, a row is no distribution or a label is out of range.
    """
    labels, p, shares = _check(labelings, probabilities, areas)
    log_p = np.log(np.maximum(p, PROBABILITY_FLOOR))
    sums, scalars = _score_kernel(labels, p, log_p, shares)
    return PosteriorScores(
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
    labelings: Array, probabilities: Array, areas: Array
) -> tuple[Array, FloatArray, FloatArray]:
    p = np.ascontiguousarray(probabilities, dtype=np.float64)
    labels = np.ascontiguousarray(labelings)
    if p.ndim != 2 or labels.ndim != 2 or labels.shape[1] != len(p) or len(areas) != len(p):
        raise InputError(
            f"labelings {labels.shape}, probabilities {p.shape} and areas "
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


def class_log_prob(labelings: Array, probabilities: Array, areas: Array) -> FloatArray:
    """(M, C) sums over the regions painted c of their share of the image times log p(c).

    Parameters as for `score_against`, which does this and more; probabilities below 1e-4
    count as that.
    """
    labels, p, shares = _check(labelings, probabilities, areas)
    log_p = np.log(np.maximum(p, PROBABILITY_FLOOR)) * shares[:, None]
    return _log_prob_kernel(labels, log_p)


def posterior_features(
    labelings: Array,
    probabilities: Array,
    areas: Array,
    classes: tuple[str, ...] = (),
    image_id: str = "",
    group: str = "posterior",
) -> FeatureTable:
    """Score each proposal by expected I and U under a posterior over regions.

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
    probabilities : (n, C) float
    areas : (n,) float, pixels
    classes : C names
        Without them the classes are called "0", "1", ...
    image_id : str
    group : str
        Group of the columns and first part of their names.

    Returns
    -------
    FeatureTable
        M rows, 7 + 4C columns.
    """
    scores = score_against(labelings, probabilities, areas)
    return posterior_table(
        scores, check_class_names(classes, scores.union.shape[1]), image_id, group
    )


def posterior_table(
    scores: PosteriorScores, classes: tuple[str, ...], image_id: str, group: str
) -> FeatureTable:
    """The columns of `posterior_features` for scores that are there already."""
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


def cells_to_regions(cell_values: Array, cell_overlap: Array) -> FloatArray:
    """Carry a map over grid cells to regions, weighted by how much of a region each cell has.

    The "superpixel" rule of Cogswell et al. 2014, section 4, before its argmax. Cells are
    taken to be of equal area.

    Parameters
    ----------
    cell_values : (cells, K) float
    cell_overlap : (cells, n) float
        The share of each cell that lies on each region; rows sum to 1.

    Returns
    -------
    (n, K) float64

    Raises
    ------
    InputError
        If shapes disagree or a region overlaps no cell.
    """
    overlap = np.asarray(cell_overlap, dtype=np.float64)
    values = np.asarray(cell_values, dtype=np.float64)
    if overlap.ndim != 2 or values.ndim != 2 or len(overlap) != len(values):
        raise InputError(
            f"cell_values {values.shape} and cell_overlap {overlap.shape} must be "
            f"(cells, K) and (cells, n)"
        )
    carried, total = _carry_kernel(overlap, values)
    if not (total > 0).all():
        raise InputError(f"region {int(np.argmin(total > 0))} overlaps no cell")
    return carried


@njit(cache=True)
def _carry_kernel(overlap: FloatArray, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    n_cells, n = overlap.shape
    carried = np.zeros((n, values.shape[1]))
    total = np.zeros(n)
    for i in range(n_cells):
        for j in range(n):
            # Most cells miss most regions.
            if overlap[i, j] != 0.0:
                total[j] += overlap[i, j]
                for k in range(values.shape[1]):
                    carried[j, k] += overlap[i, j] * values[i, k]
    for j in range(n):
        if total[j] > 0.0:
            carried[j] /= total[j]
    return carried, total


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
