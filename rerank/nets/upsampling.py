"""From the coarse grid back to pixels and superpixels (Cogswell et al. 2014, section 4)."""

from __future__ import annotations

import numpy as np

from rerank.features import cells_to_regions
from rerank.nets.soft_target import cell_overlap
from rerank.types import Array, FloatArray


def enlarge(coarse: Array, shape: tuple[int, ...]) -> Array:
    """Naive upsampling (Cogswell et al. 2014, Eq. 16): each pixel takes its cell's label."""
    rows = np.arange(shape[0]) * coarse.shape[0] // shape[0]
    columns = np.arange(shape[1]) * coarse.shape[1] // shape[1]
    return coarse[np.ix_(rows, columns)]


def superpixel_upsampling(segnet_map: FloatArray, superpixels: Array) -> FloatArray:
    """Class distributions of superpixels (n, C), averaged over the cells that they overlap.

    Cogswell et al. 2014, section 4: each cell counts by the share of the superpixel's pixels
    that lie in it.
    """
    grid = segnet_map.shape[:2]
    overlap = cell_overlap(superpixels, (int(grid[0]), int(grid[1])))
    return cells_to_regions(segnet_map.reshape(-1, segnet_map.shape[-1]), overlap)
