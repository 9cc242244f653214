"""From the cells of a coarse grid to the regions and pixels of an image."""

from __future__ import annotations

import numpy as np
from numba import njit

from rerank.errors import InputError
from rerank.nets import cell_overlap as overlap_of_cells
from rerank.types import Array, FloatArray


def cells_to_regions(cell_values: Array, cell_overlap: Array) -> FloatArray:
    """Average a map over grid cells in each region, weighted by the cells' overlap with it.

    This is the "superpixel" rule of Cogswell et al. 2014, section 4, before its argmax. Cells are
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
        If shapes disagree.
    InputError
        If a region overlaps no cell.
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


def enlarge(coarse: Array, shape: tuple[int, ...]) -> Array:
    """Naive upsampling (Cogswell et al. 2014, Eq. 16): each pixel takes its cell's label.

    Parameters
    ----------
    coarse : (gh, gw) array
    shape : (H, W)

    Returns
    -------
    (H, W) array
    """
    rows = np.arange(shape[0]) * coarse.shape[0] // shape[0]
    columns = np.arange(shape[1]) * coarse.shape[1] // shape[1]
    return coarse[np.ix_(rows, columns)]


def superpixel_upsampling(segnet_map: FloatArray, superpixels: Array) -> FloatArray:
    """Class distributions of superpixels, averaged over the cells that they overlap.

    Cogswell et al. 2014, section 4: each cell counts by the share of the superpixel's pixels
    that lie in it.

    Parameters
    ----------
    segnet_map : (gh, gw, C) float array
    superpixels : (H, W) int array

    Returns
    -------
    (n, C) float64 array
    """
    grid = segnet_map.shape[:2]
    overlap = overlap_of_cells(superpixels, (int(grid[0]), int(grid[1])))
    return cells_to_regions(segnet_map.reshape(-1, segnet_map.shape[-1]), overlap)


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
