"""Exact integer counts of labelings of regions (superpixels), without drawing them on pixels."""

from __future__ import annotations

import numpy as np
from numba import njit

from rerank.errors import InputError
from rerank.metrics.counts import IntersectionUnion, check_n_classes, check_prediction
from rerank.types import VOID, IntArray
from rerank.validation import check_label_range, check_same_shape


def region_histogram(
    regions: IntArray,
    labels: IntArray,
    n_classes: int,
    ignore_index: int | None = VOID,
    n_regions: int | None = None,
) -> IntArray:
    """Count the true labels within each region (superpixel), void left out.

    Parameters
    ----------
    regions : (H, W) integer array
        Region of each pixel, 0..n_regions-1.
    labels : (H, W) integer array
        True labels, 0..n_classes-1 or `ignore_index`.
    n_classes : int
        Number of classes, C.
    ignore_index : int or None
        Label of void pixels, which are not counted. None: every pixel counts.
    n_regions : int, optional
        Number of regions; the largest region plus one if not given.

    Returns
    -------
    (n_regions, n_classes) int64 array
        A row of zeros where a region holds nothing but void; a column of zeros for an absent
        class.

    Raises
    ------
    InputError
        The shapes of `regions` and `labels` differ.
        A region or label is not an integer or out of range.

    Examples
    --------
    >>> region_histogram(np.array([[0, 0, 1]]), np.array([[1, 255, 0]]), n_classes=2)
    array([[0, 1],
           [1, 0]])
    """
    regions, labels = np.asarray(regions), np.asarray(labels)
    check_n_classes(n_classes)
    check_same_shape(regions, labels, "regions", "labels")
    check_label_range(labels, n_classes, ignore_index)
    if not np.issubdtype(regions.dtype, np.integer):
        raise InputError(f"regions must be integers, got {regions.dtype}")
    largest = int(regions.max()) if regions.size else -1
    n = largest + 1 if n_regions is None else n_regions
    if regions.min(initial=0) < 0 or largest >= n:
        raise InputError(f"regions must be 0..{n - 1}, found {int(regions.min())}..{largest}")
    keep = slice(None) if ignore_index is None else labels != ignore_index
    inside, truth = regions[keep].ravel().astype(np.intp), labels[keep].ravel().astype(np.intp)
    cells = inside * n_classes + truth
    return np.bincount(cells, minlength=n * n_classes).reshape(n, n_classes).astype(np.int64)


def region_confusion(histogram: IntArray, labelings: IntArray) -> IntArray:
    """Confusion counts of labelings of regions, equal to those of the full-size images.

    Parameters
    ----------
    histogram : (n, C) integer array
        Pixels of each true class in each region, as `region_histogram` gives them.
    labelings : (M, n) or (n,) integer array
        Predicted class of each region, 0..C-1.

    Returns
    -------
    (M, C, C) or (C, C) int64 array
        Rows are the truth, columns the prediction.

    Raises
    ------
    InputError
        `histogram` is not a matrix of integers that are at least 0.
        `labelings` are not integers in 0..C-1, or not of n regions.
    """
    histogram, rows = _check_regions(histogram, labelings)
    counts = _region_confusion(histogram, rows).transpose(0, 2, 1)
    return np.ascontiguousarray(counts if np.ndim(labelings) == 2 else counts[0])


def region_intersection_union(histogram: IntArray, labelings: IntArray) -> IntersectionUnion:
    """Intersections and unions of labelings of regions, without their confusion matrices.

    Parameters
    ----------
    histogram : (n, C) integer array
        Pixels of each true class in each region, as `region_histogram` gives them.
    labelings : (M, n) or (n,) integer array
        Predicted class of each region, 0..C-1.

    Returns
    -------
    IntersectionUnion of (M, C) or (C,) arrays

    Raises
    ------
    InputError
        As in `region_confusion`.

    Examples
    --------
    >>> histogram = np.array([[8, 2], [0, 5], [1, 4]])
    >>> both = region_intersection_union(histogram, np.array([[0, 1, 1], [0, 1, 0]]))
    >>> both.intersections.tolist(), both.unions.tolist()
    ([[8, 9], [9, 5]], [[11, 12], [15, 11]])
    """
    histogram, rows = _check_regions(histogram, labelings)
    intersections, predicted = _region_intersections(histogram, rows)
    unions = histogram.sum(axis=0) + predicted - intersections
    if np.ndim(labelings) == 1:
        return IntersectionUnion(intersections[0], unions[0])
    return IntersectionUnion(intersections, unions)


def majority_labels(histogram: IntArray, void: int = VOID) -> IntArray:
    """Return the most frequent class of each region (superpixel).

    Used as a labeling this is the best that any choice of one class per region can do for the
    pixel accuracy, hence the "superpixel bound" of the reports.

    Parameters
    ----------
    histogram : (n, C) array
        Pixels of each class in each region, as `region_histogram` counts them.
    void : int
        What a region without a counted pixel gets.

    Returns
    -------
    (n,) int64
        Classes, ties to the lowest; `void` where a row is all zeros.

    Raises
    ------
    InputError
        If the histogram is not (n, C).

    Examples
    --------
    >>> majority_labels(np.array([[0, 4], [0, 0], [2, 2]]))
    array([  1, 255,   0])
    """
    histogram = np.asarray(histogram)
    if histogram.ndim != 2 or histogram.shape[1] == 0:
        raise InputError(f"a histogram must be (n, C), got shape {histogram.shape}")
    return np.where(histogram.any(axis=1), histogram.argmax(axis=1), void).astype(np.int64)


def _check_regions(histogram: IntArray, labelings: IntArray) -> tuple[IntArray, IntArray]:
    histogram, labelings = np.asarray(histogram), np.asarray(labelings)
    if histogram.ndim != 2 or not np.issubdtype(histogram.dtype, np.integer):
        raise InputError(
            f"histogram must be a (n, C) array of integers, got shape {histogram.shape} of "
            f"{histogram.dtype}"
        )
    if histogram.size and histogram.min() < 0:
        raise InputError(f"histogram must be at least 0, found {int(histogram.min())}")
    n, n_classes = histogram.shape
    check_n_classes(n_classes)
    if labelings.ndim not in (1, 2) or labelings.shape[-1] != n:
        raise InputError(
            f"labelings must have shape (M, {n}) or ({n},) for a histogram of {n} regions, "
            f"got {labelings.shape}"
        )
    check_prediction(labelings, n_classes)
    rows = np.ascontiguousarray(np.atleast_2d(labelings))
    return np.ascontiguousarray(histogram, dtype=np.int64), rows


@njit(cache=True)
def _region_confusion(histogram: IntArray, labelings: IntArray) -> IntArray:
    n_labelings, n = labelings.shape
    n_classes = histogram.shape[1]
    counts = np.zeros((n_labelings, n_classes, n_classes), dtype=np.int64)
    for m in range(n_labelings):
        for i in range(n):
            predicted = labelings[m, i]
            for truth in range(n_classes):
                counts[m, predicted, truth] += histogram[i, truth]
    return counts


@njit(cache=True)
def _region_intersections(histogram: IntArray, labelings: IntArray) -> tuple[IntArray, IntArray]:
    n_labelings, n = labelings.shape
    n_classes = histogram.shape[1]
    areas = np.zeros(n, dtype=np.int64)
    for i in range(n):
        for k in range(n_classes):
            areas[i] += histogram[i, k]
    intersections = np.zeros((n_labelings, n_classes), dtype=np.int64)
    predicted = np.zeros((n_labelings, n_classes), dtype=np.int64)
    for m in range(n_labelings):
        for i in range(n):
            k = labelings[m, i]
            intersections[m, k] += histogram[i, k]
            predicted[m, k] += areas[i]
    return intersections, predicted
