"""Labels at full resolution as class distributions over the cells of a coarse grid.

torch's `adaptive_avg_pool2d` counts each pixel that a cell touches as a whole one; here a pixel
counts by the share of its area.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from rerank.errors import InputError
from rerank.types import VOID, Array, FloatArray, IntArray
from rerank.validation import check_label_range


class _Axis(NamedTuple):
    """Cells on one axis: cell i spans `start[i]` to `stop[i]`, its pixels `first` to `last`."""

    first: IntArray
    last: IntArray
    start: FloatArray
    stop: FloatArray


def soft_target(
    labels: IntArray,
    grid: tuple[int, int] = (13, 13),
    n_classes: int | None = None,
    ignore_index: int | None = VOID,
) -> FloatArray:
    """Return the distribution over classes in each cell of a grid laid over the labels.

    The cells split the image evenly; a pixel that lies in two cells counts in each by the
    share of its area that lies there, so that the distribution is exact for any grid and
    image size (Cogswell et al. 2014, section 3.1). Void pixels don't count: the distribution
    of a cell is that of its labelled part.

    Parameters
    ----------
    labels : (H, W) int array
        Classes 0..n_classes-1, or `ignore_index`.
    grid : (int, int)
        Rows and columns of cells, each at least 1.
    n_classes : int
        Number of classes C; must be given.
    ignore_index : int, optional
        Label of void pixels; None where there are none.

    Returns
    -------
    (gh, gw, C) float64 array
        Sums to 1 over classes wherever a cell holds a labelled pixel, and is all zeros
        elsewhere. A class that is absent has zeros everywhere. `labelled_share` gives the
        share of each cell that is labelled.

    Raises
    ------
    InputError
        If the labels are not a non-empty (H, W) integer array, a label is out of range,
        `n_classes` is missing or below 1, or the grid has a side below 1.

    Examples
    --------
    >>> soft_target(np.array([[0, 0, 1], [0, 255, 1]]), grid=(1, 2), n_classes=2)
    array([[[1. , 0. ],
            [0.2, 0.8]]])
    """
    areas, _ = _class_areas(labels, grid, n_classes, ignore_index)
    total = areas.sum(axis=2, keepdims=True)
    shares: FloatArray = np.divide(areas, total, out=np.zeros_like(areas), where=total > 0)
    return shares


def labelled_share(
    labels: IntArray, grid: tuple[int, int] = (13, 13), ignore_index: int | None = VOID
) -> FloatArray:
    """Return the share of each cell's area that is not void, (gh, gw) float64 in 0..1.

    Parameters
    ----------
    labels : (H, W) int array
        Classes, or `ignore_index`.
    grid : (int, int)
        Rows and columns of cells, each at least 1.
    ignore_index : int, optional
        Label of void pixels; None where there are none.

    Returns
    -------
    (gh, gw) float64 array

    Raises
    ------
    InputError
        If the labels are not a non-empty (H, W) integer array.
    InputError
        If the grid has a side below 1.

    Examples
    --------
    >>> labelled_share(np.array([[0, 0, 1], [0, 255, 1]]), grid=(1, 3))
    array([[1. , 0.5, 1. ]])
    """
    labels = _check_map(labels, "labels")
    known = np.ones(labels.shape, np.int64)
    if ignore_index is not None:
        known = (labels != ignore_index).astype(np.int64)
    areas, cell_area = _class_areas(known, grid, 2, None)
    shares: FloatArray = np.minimum(areas[:, :, 1] / cell_area, 1.0)
    return shares


def cell_overlap(
    superpixels: IntArray, grid: tuple[int, int] = (13, 13), n_superpixels: int | None = None
) -> FloatArray:
    """Return the share of each cell's area that each superpixel covers.

    With it the soft target of a superpixel labeling is a product, without drawing the
    labeling: `cell_overlap(superpixels, grid) @ onehot(labeling)` equals
    `soft_target(labeling[superpixels], grid, C)` cell by cell.

    Parameters
    ----------
    superpixels : (H, W) int array
        Index of each pixel's superpixel, 0..n-1.
    grid : (int, int)
        Rows and columns of cells, each at least 1.
    n_superpixels : int, optional
        n; by default the highest index plus one.

    Returns
    -------
    (gh * gw, n) float64 array
        Rows, cell by cell in reading order, sum to 1.

    Raises
    ------
    InputError
        If the superpixels are not a non-empty (H, W) integer array, an index is out of range,
        or the grid has a side below 1.

    Examples
    --------
    >>> cell_overlap(np.array([[0, 0, 1], [2, 2, 1]]), grid=(1, 2))
    array([[0.5       , 0.        , 0.5       ],
           [0.16666667, 0.66666667, 0.16666667]])
    """
    superpixels = _check_map(superpixels, "superpixels")
    n = int(superpixels.max()) + 1 if n_superpixels is None else n_superpixels
    areas, cell_area = _class_areas(superpixels, grid, n, None, "superpixels")
    return areas.reshape(-1, n) / cell_area


def _class_areas(
    labels: IntArray,
    grid: tuple[int, int],
    n_classes: int | None,
    ignore_index: int | None,
    name: str = "labels",
) -> tuple[FloatArray, float]:
    """Return the area of each class in each cell, (gh, gw, C), and the area of a cell."""
    labels = _check_map(labels, name)
    if n_classes is None or n_classes < 1:
        raise InputError(f"n_classes must be given and at least 1, got {n_classes}")
    if len(grid) != 2 or min(grid) < 1:
        raise InputError(f"grid must be two numbers of at least 1, got {grid}")
    check_label_range(labels, n_classes, ignore_index)
    codes = labels.astype(np.int64)
    if ignore_index is not None:
        codes[labels == ignore_index] = -1
    height, width = labels.shape
    areas = np.zeros((grid[0], grid[1], n_classes))
    _add_areas(codes, _axis(height, grid[0]), _axis(width, grid[1]), areas)
    return areas, (height / grid[0]) * (width / grid[1])


def _check_map(labels: Array, name: str) -> Array:
    labels = np.asarray(labels)
    if labels.ndim != 2 or labels.size == 0:
        raise InputError(f"{name} must be a non-empty (H, W) array, got shape {labels.shape}")
    if not np.issubdtype(labels.dtype, np.integer):
        raise InputError(f"{name} must be integers, got {labels.dtype}")
    return labels


def _axis(n_pixels: int, n_cells: int) -> _Axis:
    cells = np.arange(n_cells, dtype=np.int64)
    # Whole-number arithmetic decides which pixels a cell touches: a rounded end such as
    # 3.0000000000000004 would touch one pixel too many.
    first = cells * n_pixels // n_cells
    last = -(-(cells + 1) * n_pixels // n_cells)
    return _Axis(first, last, cells * n_pixels / n_cells, (cells + 1) * n_pixels / n_cells)


@njit(cache=True)
def _add_areas(codes: IntArray, rows: _Axis, columns: _Axis, areas: FloatArray) -> None:
    for i in range(rows.first.size):
        for y in range(rows.first[i], rows.last[i]):
            tall = min(rows.stop[i], y + 1.0) - max(rows.start[i], float(y))
            for j in range(columns.first.size):
                for x in range(columns.first[j], columns.last[j]):
                    code = codes[y, x]
                    if code >= 0:
                        wide = min(columns.stop[j], x + 1.0) - max(columns.start[j], float(x))
                        areas[i, j, code] += tall * wide
