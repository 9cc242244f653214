"""The clustering of SLIC: k-means in which each centre sees its own neighbourhood."""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np

from rerank.types import FloatArray, IntArray


class Grid(NamedTuple):
    """Rows and columns of the cells that the clustering starts from."""

    rows: int
    columns: int

    @classmethod
    def of(cls, height: int, width: int, n_cells: int) -> Grid:
        """The grid of about `n_cells` nearly square cells that are no smaller than a pixel."""
        rows = min(max(round(math.sqrt(n_cells * height / width)), 1), height)
        return cls(rows, min(max(round(n_cells / rows), 1), width))


def local_kmeans(planes: FloatArray, grid: Grid, compactness: float, n_iterations: int) -> IntArray:
    """Cluster pixels by colour and position (Achanta et al. 2012, Algorithm 1).

    With S the larger side of a cell, the distance of a pixel from a centre is, squared,
    ``|colours' difference|^2 + (compactness / S)^2 |positions' difference|^2`` (their Eq. 3). A
    centre is compared with the pixels at most S rows and columns away; at a tie the first centre
    wins. The centres start in the middle of the cells, with the colour that is there.

    Parameters
    ----------
    planes : (3, H, W) float32
        Colour of each pixel, such as Lab.
    grid : Grid
        The cells, at most H rows and W columns.
    compactness : float
        Weight of position against colour, greater than 0.
    n_iterations : int
        Rounds, at least 1.

    Returns
    -------
    (H, W) int32
        Cluster of each pixel; a cluster may be in several pieces, or empty.
    """
    _, height, width = planes.shape
    step = max(height / grid.rows, width / grid.columns)
    centres = _first_centres(planes, grid.rows, grid.columns)
    weight = np.float32((compactness / step) ** 2)
    assignment: IntArray = _cluster(planes, centres, step, weight, n_iterations)
    return assignment


def _first_centres(planes: FloatArray, rows: int, columns: int) -> FloatArray:
    """Row, column and colours of the middle of each cell, in raster order: (n, 2 + D) float32."""
    _, height, width = planes.shape
    y = (np.arange(rows) + 0.5) * height / rows - 0.5
    x = (np.arange(columns) + 0.5) * width / columns - 0.5
    y, x = (axis.ravel() for axis in np.meshgrid(y, x, indexing="ij"))
    colours = planes[:, np.rint(y).astype(int), np.rint(x).astype(int)]
    return np.column_stack([y, x, colours.T]).astype(np.float32)


@numba.njit(cache=True)
def _cluster(
    planes: FloatArray, centres: FloatArray, step: float, weight: float, n_iterations: int
) -> IntArray:
    assignment = np.zeros(planes.shape[1:], dtype=np.int32)
    nearest = np.empty(planes.shape[1:], dtype=np.float32)
    columns = np.arange(planes.shape[2]).astype(np.float32)
    for i in range(n_iterations):
        if i > 0:
            _move(planes, assignment, centres)
        nearest[:] = np.inf
        for k in range(centres.shape[0]):
            _claim(planes, columns, centres[k], (step, weight, k), nearest, assignment)
    return assignment


@numba.njit(cache=True)
def _claim(
    planes: FloatArray,
    columns: FloatArray,
    centre: FloatArray,
    cluster: tuple[float, float, int],
    nearest: FloatArray,
    assignment: IntArray,
) -> None:
    """Give a centre the pixels of its window that are closer to it than to those before it."""
    height, width = nearest.shape
    step, weight, k = cluster
    y, x, p, q, r = centre[0], centre[1], centre[2], centre[3], centre[4]
    first, second, third = planes[0], planes[1], planes[2]
    # indices without a sign let the compiler use vector instructions
    top, bottom = np.uint64(max(math.ceil(y - step), 0)), np.uint64(min(y + step + 1, height))
    left, right = np.uint64(max(math.ceil(x - step), 0)), np.uint64(min(x + step + 1, width))
    label = np.int32(k)
    for v in range(top, bottom):
        below = weight * ((np.float32(v) - y) * (np.float32(v) - y))
        for u in range(left, right):
            across = columns[u] - x
            d, e, f = first[v, u] - p, second[v, u] - q, third[v, u] - r
            distance = d * d + e * e + f * f + (weight * (across * across) + below)
            closer = distance < nearest[v, u]
            nearest[v, u] = distance if closer else nearest[v, u]
            assignment[v, u] = label if closer else assignment[v, u]


@numba.njit(cache=True)
def _move(planes: FloatArray, assignment: IntArray, centres: FloatArray) -> None:
    """Set each centre to the mean of its pixels; one without pixels stays."""
    first, second, third = planes[0], planes[1], planes[2]
    height, width = assignment.shape
    sums = np.zeros((centres.shape[0], 5))
    area = np.zeros(centres.shape[0], dtype=np.int64)
    for y in range(height):
        start = 0
        while start < width:
            k = assignment[y, start]
            p, q, r = 0.0, 0.0, 0.0
            end = start
            while end < width and assignment[y, end] == k:
                p += first[y, end]
                q += second[y, end]
                r += third[y, end]
                end += 1
            area[k] += end - start
            sums[k, 0] += (end - start) * y
            sums[k, 1] += (end - start) * (start + end - 1) * 0.5
            sums[k, 2] += p
            sums[k, 3] += q
            sums[k, 4] += r
            start = end
    for k in range(area.size):
        if area[k] > 0:
            for d in range(5):
                centres[k, d] = sums[k, d] / area[k]
