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
        """The grid of about `n_cells` nearly square cells.

        Parameters
        ----------
        height, width : int
            Of the image, in pixels; a cell is no smaller than a pixel.
        n_cells : int
            At least 1.

        Returns
        -------
        Grid
        """
        rows = min(max(round(math.sqrt(n_cells * height / width)), 1), height, n_cells)
        return cls(rows, min(max(round(n_cells / rows), 1), width))


# half the side of a centre's window, in sides of a cell
_REACH = 1.5
# its square times that of any distance is a float32
_MOST = 1e12


def local_kmeans(planes: FloatArray, grid: Grid, compactness: float, n_iterations: int) -> IntArray:
    """Cluster pixels by colour and position (Achanta et al. 2012, Algorithm 1).

    With S the larger side of a cell, the distance of a pixel from a centre is, squared,
    ``|colours' difference|^2 + (compactness / S)^2 |positions' difference|^2`` (their Eq. 3). A
    centre is compared with the pixels at most 1.5 S rows and columns away: S, as in the paper,
    follows borders less well, and 2 S no better. A pixel that no window reaches keeps its cluster.
    At a tie the first centre wins. The centres start in the middle of the cells, with the colour
    that is there.

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
    weight = np.float32(min(compactness / step, _MOST) ** 2)
    assignment: IntArray = _cluster(planes, centres, _REACH * step, weight, n_iterations)
    return assignment


def _first_centres(planes: FloatArray, rows: int, columns: int) -> FloatArray:
    """Row, column and colours of the middle of each cell, in raster order: (n, 5) float32."""
    _, height, width = planes.shape
    y = (np.arange(rows) + 0.5) * height / rows - 0.5
    x = (np.arange(columns) + 0.5) * width / columns - 0.5
    y, x = (axis.ravel() for axis in np.meshgrid(y, x, indexing="ij"))
    colours = planes[:, np.rint(y).astype(int), np.rint(x).astype(int)]
    return np.column_stack([y, x, colours.T]).astype(np.float32)


@numba.njit(cache=True)
def _cluster(
    planes: FloatArray, centres: FloatArray, reach: float, weight: np.float32, n_iterations: int
) -> IntArray:
    assignment = np.zeros(planes.shape[1:], dtype=np.int32)
    nearest = np.empty(planes.shape[1:], dtype=np.float32)
    columns = np.arange(planes.shape[2]).astype(np.float32)
    for i in range(n_iterations):
        if i > 0:
            _move(planes, assignment, centres)
        nearest[:] = np.inf
        for k in range(centres.shape[0]):
            _claim(planes, columns, centres[k], (reach, weight, k), nearest, assignment)
    return assignment


@numba.njit(cache=True)
def _claim(
    planes: FloatArray,
    columns: FloatArray,
    centre: FloatArray,
    cluster: tuple[float, np.float32, int],
    nearest: FloatArray,
    assignment: IntArray,
) -> None:
    """Give a centre the pixels of its window that are closer to it than to those before it."""
    height, width = nearest.shape
    reach, weight, k = cluster
    y, x, p, q, r = centre[0], centre[1], centre[2], centre[3], centre[4]
    first, second, third = planes[0], planes[1], planes[2]
    # indices without a sign let the compiler use vector instructions
    top, bottom = np.uint64(max(math.ceil(y - reach), 0)), np.uint64(min(y + reach + 1, height))
    left, right = np.uint64(max(math.ceil(x - reach), 0)), np.uint64(min(x + reach + 1, width))
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
    area, sums = sums_over_regions(planes, assignment, centres.shape[0])
    for k in range(area.size):
        if area[k] > 0:
            for d in range(sums.shape[1]):
                centres[k, d] = sums[k, d] / area[k]


@numba.njit(cache=True)
def sums_over_regions(
    planes: FloatArray, regions: IntArray, n: int
) -> tuple[FloatArray, FloatArray]:
    """Add up row, column and values of the pixels of each region, a run of a row at a time.

    Parameters
    ----------
    planes : (3, H, W) float32
    regions : (H, W) int32
        Region of each pixel, 0..n-1; some may be empty.
    n : int

    Returns
    -------
    area : (n,) float64
    sums : (n, 5) float64
    """
    first, second, third = planes[0], planes[1], planes[2]
    height, width = regions.shape
    area = np.zeros(n)
    sums = np.zeros((n, 5))
    for y in range(height):
        start = 0
        while start < width:
            i = regions[y, start]
            p, q, r = 0.0, 0.0, 0.0
            end = start
            while end < width and regions[y, end] == i:
                p += first[y, end]
                q += second[y, end]
                r += third[y, end]
                end += 1
            area[i] += end - start
            sums[i, 0] += (end - start) * y
            sums[i, 1] += (end - start) * (start + end - 1) * 0.5
            sums[i, 2] += p
            sums[i, 3] += q
            sums[i, 4] += r
            start = end
    return area, sums
