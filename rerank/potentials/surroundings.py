"""Features of the surroundings of a superpixel: its neighbours, and places around it."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix

from rerank.superpixels import RegionGraph
from rerank.types import FloatArray

#: Directions of `surroundings`: (name, down, across).
DIRECTIONS = (
    ("above", -1, 0),
    ("below", 1, 0),
    ("left", 0, -1),
    ("right", 0, 1),
    ("above_left", -1, -1),
    ("above_right", -1, 1),
    ("below_left", 1, -1),
    ("below_right", 1, 1),
)
N_CELLS = 16


def neighbour_mean(values: FloatArray, graph: RegionGraph) -> FloatArray:
    """Average over the neighbours of each superpixel, by length of common boundary.

    Parameters
    ----------
    values : (n, D) float array
    graph : RegionGraph
        Of n superpixels.

    Returns
    -------
    (n, D) float array
        A superpixel without neighbours gets its own values.
    """
    n = graph.n_nodes
    i, j = graph.edges.T
    lengths = graph.boundary_length
    sums = csr_matrix(
        (np.concatenate([lengths, lengths]), (np.concatenate([i, j]), np.concatenate([j, i]))),
        shape=(n, n),
    )
    totals = np.asarray(sums.sum(axis=1)).ravel()
    alone = totals == 0
    mean = (sums @ values) / np.where(alone, 1, totals)[:, None]
    means: FloatArray = np.where(alone[:, None], values, mean)
    return means


def cell_means(channels: FloatArray, n_cells: int = N_CELLS) -> FloatArray:
    """Average channels over an even grid, by area of overlap.

    `cv2.resize` interpolates instead where the image is smaller than the grid.

    Parameters
    ----------
    channels : (H, W, D) float array
        May be smaller than the grid.
    n_cells : int
        Rows and columns of the grid.

    Returns
    -------
    (n_cells, n_cells, D) float array
    """
    height, width, depth = channels.shape
    down = _overlaps(height, n_cells).astype(np.float32)
    across = _overlaps(width, n_cells).astype(np.float32)
    rows = (down @ channels.reshape(height, -1)).reshape(n_cells, width, depth)
    means: FloatArray = np.matmul(across, rows)
    return means


def surroundings(
    cells: FloatArray, row: FloatArray, column: FloatArray, distance: float
) -> tuple[FloatArray, list[str]]:
    """Look up the image's cells at a distance from each superpixel in eight directions.

    The rectangles of TextonBoost's shape filters (Shotton et al. 2009) in fixed places.

    Parameters
    ----------
    cells : (g, g, D) float array
        Means over a grid, as `cell_means` gives.
    row, column : (n,) float arrays
        Centroids in 0..1.
    distance : float
        In units of the image's height and width; places beyond the border are moved onto it.

    Returns
    -------
    values : (n, 8 * D) float array
    names : list of 8 str
        Of the eight directions, in the order of the blocks.
    """
    blocks = [
        _look_up(cells, row + down * distance, column + across * distance)
        for _, down, across in DIRECTIONS
    ]
    return np.concatenate(blocks, axis=1), [f"{name}_{distance:g}" for name, _, _ in DIRECTIONS]


def above_and_below(cells: FloatArray, row: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean of all cells above and of all below each centroid's row of cells.

    Parameters
    ----------
    cells : (g, g, D) float array
        Means over a grid, as `cell_means` gives.
    row : (n,) float array
        Rows of the centroids in 0..1.

    Returns
    -------
    above, below : (n, D) float arrays
        The centroid's own row of cells belongs to both.
    """
    rows = cells.mean(axis=1)
    counts = np.arange(1, rows.shape[0] + 1)[:, None]
    above = np.cumsum(rows, axis=0) / counts
    below = (np.cumsum(rows[::-1], axis=0) / counts)[::-1]
    at = np.minimum((row * rows.shape[0]).astype(np.int64), rows.shape[0] - 1)
    return above[at], below[at]


def _look_up(cells: FloatArray, row: FloatArray, column: FloatArray) -> FloatArray:
    """Interpolate a grid bilinearly at places in 0..1."""
    g = cells.shape[0]
    y = np.clip(row * g - 0.5, 0, g - 1)
    x = np.clip(column * g - 0.5, 0, g - 1)
    y0, x0 = np.minimum(y.astype(np.int64), g - 2), np.minimum(x.astype(np.int64), g - 2)
    v, u = (y - y0)[:, None], (x - x0)[:, None]
    values: FloatArray = (1 - v) * ((1 - u) * cells[y0, x0] + u * cells[y0, x0 + 1]) + v * (
        (1 - u) * cells[y0 + 1, x0] + u * cells[y0 + 1, x0 + 1]
    )
    return values


def _overlaps(n_pixels: int, n_cells: int) -> FloatArray:
    """Share of each pixel in each cell's extent on one axis, (n_cells, n_pixels), rows sum to 1."""
    cell_edges = np.linspace(0, n_pixels, n_cells + 1)
    pixels = np.arange(n_pixels)
    upper = np.minimum(cell_edges[1:, None], pixels + 1)
    lower = np.maximum(cell_edges[:-1, None], pixels)
    shares: FloatArray = np.maximum(upper - lower, 0) * (n_cells / n_pixels)
    return shares
