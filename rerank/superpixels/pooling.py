"""From pixels to superpixels and back."""

from __future__ import annotations

import numba
import numpy as np

from rerank.errors import InputError
from rerank.superpixels.region_map import count_superpixels
from rerank.types import VOID, Array, FloatArray, IntArray
from rerank.validation import check_label_range, check_same_shape


def pool_mean(values: Array, superpixels: IntArray) -> FloatArray:
    """Average pixel values over each superpixel.

    Parameters
    ----------
    values : (H, W, D) or (H, W) array of numbers
        Values at each pixel.
    superpixels : (H, W) integer array
        Superpixel of each pixel, 0..n-1, every one used.

    Returns
    -------
    (n, D) or (n,) float64
        Means, summed in float64.

    Raises
    ------
    InputError
        If the map is not a gapless superpixel map.
    InputError
        If the values are not of the map's size.

    Examples
    --------
    >>> pool_mean(np.array([[1.0, 3.0, 5.0]]), np.array([[0, 0, 1]]))
    array([2., 5.])
    """
    values, superpixels = np.asarray(values), np.asarray(superpixels)
    n = count_superpixels(superpixels)
    if values.ndim not in (2, 3) or values.shape[:2] != superpixels.shape:
        raise InputError(
            f"values must be {superpixels.shape} or {superpixels.shape + ('D',)} to fit the "
            f"superpixel map, got shape {values.shape}"
        )
    columns = np.ascontiguousarray(values.reshape(superpixels.size, -1))
    if columns.dtype not in (np.float32, np.float64):
        columns = columns.astype(np.float64)
    flat = np.ascontiguousarray(superpixels.ravel(), dtype=np.int32)
    sums = _sum_rows(columns, flat, n)
    means = sums / np.bincount(flat, minlength=n)[:, None]
    return means[:, 0] if values.ndim == 2 else means


@numba.njit(cache=True)
def _sum_rows(columns, flat, n):
    depth = columns.shape[1]
    sums = np.zeros((n, depth))
    for p in range(flat.size):
        i = flat[p]
        for d in range(depth):
            sums[i, d] += columns[p, d]
    return sums


def to_pixels(labeling: Array, superpixels: IntArray) -> Array:
    """Give every pixel the value of its superpixel.

    Parameters
    ----------
    labeling : (..., n) array
        Values of the superpixels, for example (n,) labels or (M, n) proposals.
    superpixels : (H, W) integer array
        Superpixel of each pixel, 0..n-1, every one used.

    Returns
    -------
    (..., H, W) array
        Of the labeling's dtype.

    Raises
    ------
    InputError
        If the map is not a gapless superpixel map.
    InputError
        If the labeling's last axis is not n.

    Examples
    --------
    >>> to_pixels(np.array([7, 9]), np.array([[0, 0, 1]]))
    array([[7, 7, 9]])
    """
    labeling, superpixels = np.asarray(labeling), np.asarray(superpixels)
    n = count_superpixels(superpixels)
    if labeling.ndim == 0 or labeling.shape[-1] != n:
        raise InputError(
            f"the last axis of a labeling must be the {n} superpixels of the map, got shape "
            f"{labeling.shape}"
        )
    return labeling[..., superpixels]


def label_histogram(
    superpixels: IntArray, labels: IntArray, n_classes: int, ignore_index: int | None = VOID
) -> IntArray:
    """Count the pixels of each class in each superpixel.

    Parameters
    ----------
    superpixels : (H, W) integer array
        Superpixel of each pixel, 0..n-1, every one used.
    labels : (H, W) integer array
        Class of each pixel, 0..n_classes-1 or `ignore_index`.
    n_classes : int
        Number of classes, C.
    ignore_index : int, optional
        Label of void pixels, which are not counted.

    Returns
    -------
    (n, C) int64
        Counts; a superpixel of void alone has a row of zeros, an absent class a column of zeros.

    Raises
    ------
    InputError
        If the map is not a gapless superpixel map, or the labels are of another size.
    InputError
        If a label is out of range.

    Examples
    --------
    >>> label_histogram(np.array([[0, 0, 1]]), np.array([[1, 255, 0]]), n_classes=2)
    array([[0, 1],
           [1, 0]])
    """
    superpixels, labels = np.asarray(superpixels), np.asarray(labels)
    n = count_superpixels(superpixels)
    check_same_shape(superpixels, labels, "superpixels", "labels")
    check_label_range(labels, n_classes, ignore_index)
    counted = np.ones(labels.shape, dtype=bool) if ignore_index is None else labels != ignore_index
    keys = superpixels[counted].astype(np.int64) * n_classes + labels[counted]
    return np.bincount(keys, minlength=n * n_classes).reshape(n, n_classes)


def majority_labels(histogram: IntArray, void: int = VOID) -> IntArray:
    """The most frequent class of each superpixel.

    Used as a labeling this is the best that any choice of one class per superpixel can do for the
    pixel accuracy, hence the "superpixel bound" of the reports.

    Parameters
    ----------
    histogram : (n, C) array
        Pixels of each class in each superpixel, as `label_histogram` counts them.
    void : int
        What a superpixel without a counted pixel gets.

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
