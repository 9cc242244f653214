"""Exact integer counts of agreement between a labeling and the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit

from rerank.errors import InputError
from rerank.types import VOID, Array, IntArray
from rerank.validation import check_label_range, check_same_shape


@dataclass(frozen=True, eq=False)
class IntersectionUnion:
    """Pixels in the intersection and in the union of truth and prediction, per class.

    Attributes
    ----------
    intersections : (..., C) int64 array
        Pixels that are labelled and predicted as the class (true positives).
    unions : (..., C) int64 array
        Pixels that are labelled or predicted as the class; 0 where a class is absent from both.
    """

    intersections: IntArray
    unions: IntArray

    def __post_init__(self) -> None:
        check_same_shape(self.intersections, self.unions, "intersections", "unions")
        for values, name in ((self.intersections, "intersections"), (self.unions, "unions")):
            if not np.issubdtype(values.dtype, np.integer):
                raise InputError(f"{name} must be integers (pixels), got {values.dtype}")
        if (self.intersections < 0).any() or (self.intersections > self.unions).any():
            raise InputError("intersections must lie between 0 and their unions")

    @classmethod
    def stack(cls, counts: Sequence[IntersectionUnion]) -> IntersectionUnion:
        """Counts of several images, all of one shape, with a leading axis for the images."""
        return cls(
            np.stack([c.intersections for c in counts]), np.stack([c.unions for c in counts])
        )


def confusion_counts(
    labels: IntArray, prediction: IntArray, n_classes: int, ignore_index: int | None = VOID
) -> IntArray:
    """Count pixels by their true and their predicted class.

    Parameters
    ----------
    labels : integer array of any shape
        True labels, 0..n_classes-1 or `ignore_index`.
    prediction : integer array of the shape of `labels`, or with one leading axis more, (M, ...)
        Predicted labels, 0..n_classes-1 wherever the truth is not void. What is predicted on
        void pixels is not looked at.
    n_classes : int
    ignore_index : int or None
        Label of void pixels, which are not counted. None: every pixel counts.

    Returns
    -------
    (n_classes, n_classes) int64 array, or (M, n_classes, n_classes) for M predictions
        Rows are the truth, columns the prediction. A class that is absent has a row or column
        of zeros.

    Raises
    ------
    InputError
        `n_classes` is not positive.
        The shapes of `labels` and `prediction` do not agree.
        A label, or a prediction on a labelled pixel, is not an integer or out of range.

    Examples
    --------
    >>> import numpy as np
    >>> labels = np.array([[0, 0, 1], [1, 255, 1]])
    >>> prediction = np.array([[0, 1, 1], [1, 1, 0]])
    >>> confusion_counts(labels, prediction, n_classes=2)
    array([[1, 1],
           [1, 2]])
    """
    labels, prediction = np.asarray(labels), np.asarray(prediction)
    _check_n_classes(n_classes)
    many = prediction.ndim == labels.ndim + 1
    if prediction.shape[int(many) :] != labels.shape:
        raise InputError(
            f"prediction has shape {prediction.shape} and labels have shape {labels.shape}; "
            "they must be equal, or prediction may have one leading axis more"
        )
    check_label_range(labels, n_classes, ignore_index)
    keep = slice(None) if ignore_index is None else labels.ravel() != ignore_index
    truth = labels.ravel()[keep].astype(np.intp)
    predictions = prediction.reshape(prediction.shape[0] if many else 1, -1)
    counts = np.empty((len(predictions), n_classes, n_classes), dtype=np.int64)
    for m, one in enumerate(predictions):
        kept = one[keep]
        _check_prediction(kept, n_classes)
        cells = np.bincount(truth * n_classes + kept.astype(np.intp), minlength=n_classes**2)
        counts[m] = cells.reshape(n_classes, n_classes)
    return counts if many else counts[0]


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
    ignore_index : int or None
    n_regions : int, optional
        Number of regions; the largest region plus one if not given.

    Returns
    -------
    (n_regions, n_classes) int64 array
        A row of zeros where a region holds nothing but void.

    Raises
    ------
    InputError
        The shapes of `regions` and `labels` differ.
        A region or label is not an integer or out of range.
    """
    regions, labels = np.asarray(regions), np.asarray(labels)
    _check_n_classes(n_classes)
    check_same_shape(regions, labels, "regions", "labels")
    check_label_range(labels, n_classes, ignore_index)
    if not np.issubdtype(regions.dtype, np.integer):
        raise InputError(f"regions must be integers, got {regions.dtype}")
    largest = int(regions.max(initial=-1))
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

    Parameters and Raises as in `region_confusion`.

    Returns
    -------
    IntersectionUnion of (M, C) or (C,) arrays

    Examples
    --------
    >>> import numpy as np
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


def intersection_union(counts: IntArray) -> IntersectionUnion:
    """Read intersections and unions per class from confusion counts.

    Parameters
    ----------
    counts : (..., C, C) integer array
        Rows are the truth, columns the prediction.

    Returns
    -------
    IntersectionUnion of (..., C) arrays

    Raises
    ------
    InputError
        `counts` are not square matrices of integers that are at least 0.
    """
    counts = np.asarray(counts)
    if counts.ndim < 2 or counts.shape[-1] != counts.shape[-2] or counts.shape[-1] == 0:
        raise InputError(f"counts must have shape (..., C, C), got {counts.shape}")
    if not np.issubdtype(counts.dtype, np.integer):
        raise InputError(f"counts must be integers, got {counts.dtype}")
    if counts.min(initial=0) < 0:
        raise InputError(f"counts must be at least 0, found {int(counts.min())}")
    counts = counts.astype(np.int64)
    intersections = np.diagonal(counts, axis1=-2, axis2=-1).copy()
    unions = counts.sum(axis=-1) + counts.sum(axis=-2) - intersections
    return IntersectionUnion(intersections, unions)


def _check_n_classes(n_classes: int) -> None:
    if n_classes < 1:
        raise InputError(f"n_classes must be at least 1, got {n_classes}")


def _check_prediction(prediction: Array, n_classes: int) -> None:
    if not np.issubdtype(prediction.dtype, np.integer):
        raise InputError(f"predictions must be integers, got {prediction.dtype}")
    if prediction.size and (prediction.min() < 0 or prediction.max() >= n_classes):
        bad = prediction[(prediction < 0) | (prediction >= n_classes)]
        found = ", ".join(str(int(v)) for v in np.unique(bad)[:5])
        raise InputError(
            f"predictions must be 0..{n_classes - 1} where the truth is not void, found {found}"
        )


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
    _check_n_classes(n_classes)
    if labelings.ndim not in (1, 2) or labelings.shape[-1] != n:
        raise InputError(
            f"labelings must have shape (M, {n}) or ({n},) for a histogram of {n} regions, "
            f"got {labelings.shape}"
        )
    _check_prediction(labelings, n_classes)
    rows = np.ascontiguousarray(np.atleast_2d(labelings))
    return np.ascontiguousarray(histogram, dtype=np.int64), rows


@njit(cache=True)
def _region_confusion(histogram, labelings):
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
def _region_intersections(histogram, labelings):
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


def chosen_counts(counts: IntersectionUnion, choice: IntArray) -> IntersectionUnion:
    """Counts of the chosen proposal of each image.

    Parameters
    ----------
    counts : IntersectionUnion
        Of all proposals, arrays (n_images, n_proposals, n_classes).
    choice : (n_images,) int array
        Index of a proposal.
    """
    if len(choice) != len(counts.intersections):
        raise InputError(f"{len(choice)} choices for {len(counts.intersections)} images")
    rows = np.arange(len(choice))
    return IntersectionUnion(counts.intersections[rows, choice], counts.unions[rows, choice])
