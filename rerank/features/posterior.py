"""A proposal scored by a posterior over regions: expected intersection, union, accuracy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from rerank.errors import InputError
from rerank.features.naming import check_class_names, class_names, scalar_names
from rerank.features.table import FeatureTable
from rerank.types import Array, FloatArray

#: Probabilities below this count as this before a logarithm is taken.
PROBABILITY_FLOOR = 1e-4

#: Expected intersections below this share of the image count as this where U is divided by I.
SHARE_FLOOR = 1e-3

CLASS_FEATURES = ("expected_intersection", "expected_union", "iou", "uoi")
SCALAR_FEATURES = ("accuracy", "log_prob", "iou_painted", "iou_in_play", "margin", "overruled",
                   "missing")


@dataclass(frozen=True, eq=False)
class PosteriorScores:
    """What a posterior over regions expects of M labelings; areas are shares of the image."""

    intersection: FloatArray  #: (M, C) expected intersection, Eq. 24 weighted by area
    union: FloatArray  #: (M, C) expected union, Eq. 28 weighted by area
    painted: FloatArray  #: (M, C) share that the labeling paints
    class_log_prob: FloatArray  #: (M, C) sum over painted regions of share * log p(label)
    class_margin: FloatArray  #: (M, C) the same for log p(label) - max over others of log p
    worst_margin: FloatArray  #: (M, C) least margin of a painted region; 0 if none is painted
    overruled: FloatArray  #: (M, C) painted share where another class is more probable
    in_play: FloatArray  #: (M, C) 1 if painted, else the highest probability of any region

    @property
    def iou(self) -> FloatArray:
        """(M, C) expected intersection over expected union; 0 where the union is 0."""
        return np.divide(self.intersection, self.union, out=np.zeros_like(self.union),
                         where=self.union > 0)

    @property
    def scalars(self) -> FloatArray:
        """(M, 7) the class-free features, in the order of `SCALAR_FEATURES`."""
        iou = self.iou
        there = self.painted > 0
        painted = iou.sum(axis=1, where=there) / there.sum(axis=1)
        # Every image has a painted class, so that neither denominator is 0.
        in_play = (self.in_play * iou).sum(axis=1) / self.in_play.sum(axis=1)
        missing = (self.union - self.painted).sum(axis=1, where=~there)
        return np.stack([self.intersection.sum(axis=1), self.class_log_prob.sum(axis=1),
                         painted, in_play, self.class_margin.sum(axis=1),
                         self.overruled.sum(axis=1), missing], axis=1)


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
    p = np.ascontiguousarray(probabilities, dtype=np.float64)
    labels = np.ascontiguousarray(labelings)
    if p.ndim != 2 or labels.ndim != 2 or labels.shape[1] != len(p) or len(areas) != len(p):
        raise InputError(f"labelings {labels.shape}, probabilities {p.shape} and areas "
                         f"{np.shape(areas)} must be (M, n), (n, C) and (n,)")
    off = float(np.abs(p.sum(axis=1) - 1).max(initial=0.0))
    if not (off <= 1e-3 and p.min(initial=0.0) >= -1e-9):
        raise InputError(f"each region's probabilities must be a distribution over classes; "
                         f"the lowest is {p.min(initial=0.0)} and a sum is {off} off 1")
    if labels.size and not (0 <= labels.min() and labels.max() < p.shape[1]):
        raise InputError(f"labels must be 0..{p.shape[1] - 1}, found {labels.min()} to "
                         f"{labels.max()}")
    shares = np.asarray(areas, dtype=np.float64)
    sums, worst, mass, highest = _score_kernel(labels, p, shares / shares.sum(),
                                               np.log(PROBABILITY_FLOOR))
    intersection, painted = sums[0], sums[1]
    in_play = np.where(painted > 0, 1.0, highest)
    return PosteriorScores(intersection=intersection, union=painted + mass - intersection,
                           painted=painted, class_log_prob=sums[2], class_margin=sums[3],
                           worst_margin=worst, overruled=sums[4], in_play=in_play)


def posterior_features(labelings: Array, probabilities: Array, areas: Array,
                       classes: tuple[str, ...] = (), image_id: str = "",
                       group: str = "posterior") -> FeatureTable:
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
    return posterior_table(scores, check_class_names(classes, scores.union.shape[1]), image_id,
                           group)


def posterior_table(scores: PosteriorScores, classes: tuple[str, ...], image_id: str,
                    group: str) -> FeatureTable:
    """The columns of `posterior_features` for scores that are there already."""
    values = np.concatenate([scores.scalars, scores.intersection, scores.union, scores.iou,
                             scores.union / np.maximum(scores.intersection, SHARE_FLOOR)],
                            axis=1)
    columns = (scalar_names(group, SCALAR_FEATURES)
               + class_names(group, CLASS_FEATURES, classes))
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
        raise InputError(f"cell_values {values.shape} and cell_overlap {overlap.shape} must be "
                         f"(cells, K) and (cells, n)")
    total = overlap.sum(axis=0)
    if not (total > 0).all():
        raise InputError(f"region {int(np.argmin(total > 0))} overlaps no cell")
    return np.asarray((overlap / total).T @ values)


@njit(cache=True)
def _score_kernel(labels: Array, p: FloatArray, shares: FloatArray,
                  log_floor: float) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    n, n_classes = p.shape
    n_proposals = labels.shape[0]
    sums = np.zeros((5, n_proposals, n_classes))
    worst = np.zeros((n_proposals, n_classes))
    mass = np.zeros(n_classes)
    highest = np.zeros(n_classes)
    log_p = np.empty((n, n_classes))
    margin = np.empty((n, n_classes))
    for i in range(n):
        first = -np.inf
        second = -np.inf
        best = 0
        for c in range(n_classes):
            value = p[i, c]
            mass[c] += shares[i] * value
            highest[c] = max(highest[c], value)
            logged = max(np.log(value), log_floor) if value > 0 else log_floor
            log_p[i, c] = logged
            if logged > first:
                second = first
                first = logged
                best = c
            elif logged > second:
                second = logged
        if n_classes == 1:
            second = first
        for c in range(n_classes):
            margin[i, c] = log_p[i, c] - (second if c == best else first)
    for m in range(n_proposals):
        for i in range(n):
            c = labels[m, i]
            share = shares[i]
            gap = margin[i, c]
            if sums[1, m, c] == 0.0 or gap < worst[m, c]:
                worst[m, c] = gap
            sums[0, m, c] += share * p[i, c]
            sums[1, m, c] += share
            sums[2, m, c] += share * log_p[i, c]
            sums[3, m, c] += share * gap
            if gap < 0.0:
                sums[4, m, c] += share
    return sums, worst, mass, highest
