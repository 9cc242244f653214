"""How well a proposal fits the coarse SegNet, on the SegNet's own grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit

from rerank.errors import InputError
from rerank.features.feature_table import FeatureTable
from rerank.features.naming import check_class_names, class_names, scalar_names
from rerank.features.statistics import check_labels
from rerank.types import Array, FloatArray

#: Share of the uniform distribution mixed into p and q before a logarithm is taken.
SMOOTHING = 0.01

#: Expected intersections below this many cells count as this many where U is divided by I.
INTERSECTION_FLOOR = 0.1

SEGNET_FEATURES = ("expected_intersection", "expected_union", "iou", "uoi")


def segnet_features(
    segnet_map: Array,
    coarse_proposals: Array,
    smoothing: float = SMOOTHING,
    intersection_floor: float = INTERSECTION_FLOOR,
    classes: tuple[str, ...] = (),
    image_id: str = "",
) -> FeatureTable:
    """The 2 + 4C SegNet features of Cogswell et al. 2014, section 4.

    With p the SegNet's map and q^m the m-th proposal on the same grid:

    - `segnet.kl_forward` = sum_i D(p_i || q_i) and `segnet.kl_backward` = sum_i D(q_i || p_i),
      the two directions of Eq. 17, in nats, summed over cells. Both maps are first mixed with
      the uniform distribution, p <- (1 - s) p + s / C and q likewise with s = `smoothing`, so
      that both are finite, and 0 where p = q. A choice by their sum alone depends strongly on s
      (`rerank.ranking.choose_smoothing`); a ranker weighs the two.
    - `segnet.expected_intersection[c]` = sum_i p_ic q_ic (Eq. 24), in cells.
    - `segnet.expected_union[c]` = sum_i (p_ic + q_ic - p_ic q_ic) (Eq. 28), in cells.
    - `segnet.iou[c]` = I / U, and 0 for a class that is absent from both maps (U = 0).
    - `segnet.uoi[c]` = U / max(I, `intersection_floor`): exact where the class is found by
      both, finite where the proposal leaves it out; 0 where it is absent from both maps.

    The maps are not smoothed for I and U.

    Parameters
    ----------
    segnet_map : (gh, gw, C) float
        Class probabilities of each cell; they sum to 1.
    coarse_proposals : (M, gh, gw, C) float
        Shares of each cell that each proposal gives to each class; they sum to 1.
    smoothing : float in (0, 1)
        Weight of the uniform distribution in the KL directions.
    intersection_floor : float above 0, in cells
    classes : C names
        Without them the classes are called "0", "1", ...
    image_id : str
        The image of all rows, for the table and for messages.

    Returns
    -------
    FeatureTable
        M rows, 2 + 4C columns of group `segnet`. What Eq. 17 adds for the background is not
        among them; see `background_mass`.

    Raises
    ------
    InputError
        If the grids or classes disagree, a cell is no distribution, or a setting is out of
        its range.
    """
    p, q = _check_maps(segnet_map, coarse_proposals, image_id)
    _check_smoothing(smoothing)
    if not intersection_floor > 0:
        raise InputError(f"intersection_floor must be above 0, got {intersection_floor}")
    n_classes = p.shape[1]
    values = _segnet_kernel(p, q, smoothing, intersection_floor)
    classes = check_class_names(classes, n_classes)
    columns = scalar_names("segnet", ("kl_forward", "kl_backward")) + class_names(
        "segnet", SEGNET_FEATURES, classes
    )
    return FeatureTable.of_image(values, columns, "segnet", image_id)


def segnet_divergences(
    segnet_map: Array, coarse_proposals: Array, smoothings: Sequence[float]
) -> FloatArray:
    """`segnet.kl_forward` + `segnet.kl_backward` of `segnet_features` at several smoothings.

    Parameters
    ----------
    segnet_map : (gh, gw, C) float
    coarse_proposals : (M, gh, gw, C) float
        As for `segnet_features`.
    smoothings : S floats in (0, 1)

    Returns
    -------
    (M, S) float64, in nats, summed over cells

    Raises
    ------
    InputError
        As for `segnet_features`.
    """
    p, q = _check_maps(segnet_map, coarse_proposals, "")
    found = np.empty((len(q), len(smoothings)))
    for k, smoothing in enumerate(smoothings):
        _check_smoothing(smoothing)
        found[:, k] = _segnet_kernel(p, q, smoothing, INTERSECTION_FLOOR)[:, :2].sum(axis=1)
    return found


def background_mass(coarse_proposals: Array, background: int = 0) -> FloatArray:
    """sum_i q^m_i,background, which Eq. 17 of Cogswell et al. 2014 weighs with 0.02.

    Parameters
    ----------
    coarse_proposals : (M, gh, gw, C) float
    background : int
        Index of the background class.

    Returns
    -------
    (M,) float64, in cells.
    """
    q = np.asarray(coarse_proposals, dtype=np.float64)
    if q.ndim != 4 or not 0 <= background < q.shape[-1]:
        raise InputError(f"no class {background} in coarse proposals of shape {q.shape}")
    return np.asarray(q[..., background].sum(axis=(1, 2)))


def coarsen_labelings(
    labelings: Array, cell_overlap: Array, grid: tuple[int, int], n_classes: int
) -> FloatArray:
    """q^m: the shares of each grid cell that a superpixel labeling gives to each class.

    This is the down-sampling of Cogswell et al. 2014, section 4, `cell_overlap` times the
    one-hot labeling.

    Parameters
    ----------
    labelings : (M, n) int
        Labels of superpixels, 0..n_classes-1.
    cell_overlap : (gh * gw, n) float
        The share of each cell that lies on each superpixel; rows sum to 1.
    grid : (gh, gw)
    n_classes : int

    Returns
    -------
    (M, gh, gw, C) float64

    Raises
    ------
    InputError
        If shapes disagree or a label is out of range.
    """
    overlap = np.asarray(cell_overlap, dtype=np.float64)
    labels = np.ascontiguousarray(labelings)
    if overlap.ndim != 2 or labels.ndim != 2 or labels.shape[1] != overlap.shape[1]:
        raise InputError(
            f"labelings {labels.shape} and cell_overlap {overlap.shape} must be "
            f"(M, n) and (cells, n)"
        )
    if overlap.shape[0] != grid[0] * grid[1]:
        raise InputError(
            f"cell_overlap has {overlap.shape[0]} rows for a grid of {grid[0]} x {grid[1]}"
        )
    check_labels(labels, n_classes)
    coarse = _coarsen_kernel(labels, overlap, n_classes)
    return coarse.reshape(len(labels), *grid, n_classes)


def _check_smoothing(smoothing: float) -> None:
    if not 0 < smoothing < 1:
        raise InputError(f"smoothing must be in (0, 1), got {smoothing}")


def _check_maps(
    segnet_map: Array, coarse_proposals: Array, image_id: str
) -> tuple[FloatArray, FloatArray]:
    where = f"{image_id}: " if image_id else ""
    p = np.ascontiguousarray(segnet_map, dtype=np.float64)
    q = np.ascontiguousarray(coarse_proposals, dtype=np.float64)
    if p.ndim != 3 or q.ndim != 4 or q.shape[1:] != p.shape:
        raise InputError(
            f"{where}segnet_map must be (gh, gw, C) and coarse_proposals "
            f"(M, gh, gw, C), got {p.shape} and {q.shape}"
        )
    p = p.reshape(-1, p.shape[-1])
    q = q.reshape(len(q), *p.shape)
    for name, distributions in (("segnet_map", p[None]), ("coarse_proposals", q)):
        off, lowest = _distribution_error(distributions)
        if not (off <= 1e-3 and lowest >= -1e-9):
            raise InputError(
                f"{where}each cell of {name} must be a distribution over classes; "
                f"the lowest value is {lowest} and a sum is {off} off 1"
            )
    return p, q


@njit(cache=True)
def _distribution_error(maps: FloatArray) -> tuple[float, float]:
    worst = 0.0
    lowest = np.inf
    for m in range(maps.shape[0]):
        for i in range(maps.shape[1]):
            total = 0.0
            for c in range(maps.shape[2]):
                value = maps[m, i, c]
                total += value
                if value < lowest:
                    lowest = value
            off = abs(total - 1.0)
            # Written so that NaN counts as infinitely far off.
            if not off <= worst:
                worst = off if off == off else np.inf
    return worst, lowest


@njit(cache=True)
def _coarsen_kernel(labels: Array, overlap: FloatArray, n_classes: int) -> FloatArray:
    n_cells, n = overlap.shape
    coarse = np.zeros((labels.shape[0], n_cells, n_classes))
    regions = np.empty(n, dtype=np.int64)
    shares = np.empty(n)
    for i in range(n_cells):
        found = 0
        # Most cells miss most regions.
        for j in range(n):
            if overlap[i, j] != 0.0:
                regions[found] = j
                shares[found] = overlap[i, j]
                found += 1
        for m in range(labels.shape[0]):
            for k in range(found):
                coarse[m, i, labels[m, regions[k]]] += shares[k]
    return coarse


@njit(cache=True)
def _segnet_kernel(p: FloatArray, q: FloatArray, smoothing: float, floor: float) -> FloatArray:
    n_cells, n_classes = p.shape
    n_proposals = q.shape[0]
    values = np.zeros((n_proposals, 2 + 4 * n_classes))
    smooth_p = (1.0 - smoothing) * p + smoothing / n_classes
    log_p = np.log(smooth_p)
    zero = smoothing / n_classes
    log_zero = np.log(zero)
    mass = np.zeros(n_classes)
    # A proposal paints few classes in a cell: sums for an all-zero q are taken once, and
    # each proposal pays logarithms only where it paints.
    entropy = 0.0
    total_log_p = 0.0
    for i in range(n_cells):
        for c in range(n_classes):
            mass[c] += p[i, c]
            entropy += smooth_p[i, c] * log_p[i, c]
            total_log_p += log_p[i, c]
    base_forward = entropy - log_zero * smooth_p.sum()
    base_backward = zero * (log_zero * n_cells * n_classes - total_log_p)
    for m in range(n_proposals):
        row = values[m]
        forward = base_forward
        backward = base_backward
        for i in range(n_cells):
            for c in range(n_classes):
                share = q[m, i, c]
                if share != 0.0:
                    smooth_q = (1.0 - smoothing) * share + zero
                    log_q = np.log(smooth_q)
                    forward -= smooth_p[i, c] * (log_q - log_zero)
                    backward += smooth_q * (log_q - log_p[i, c]) - zero * (log_zero - log_p[i, c])
                    row[2 + c] += p[i, c] * share
                    row[2 + n_classes + c] += share
        row[0] = forward
        row[1] = backward
        for c in range(n_classes):
            intersection = row[2 + c]
            union = row[2 + n_classes + c] + mass[c] - intersection
            row[2 + n_classes + c] = union
            if union > 0.0:
                row[2 + 2 * n_classes + c] = intersection / union
            row[2 + 3 * n_classes + c] = union / max(intersection, floor)
    return values
