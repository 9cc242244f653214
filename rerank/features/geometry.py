"""Where each region lies, and how much of the image's frame it holds."""

from __future__ import annotations

import numpy as np
from numba import njit

from rerank.errors import InputError
from rerank.types import Array, FloatArray


def region_geometry(superpixels: Array, n_regions: int) -> tuple[FloatArray, FloatArray]:
    """Centres and frame pixels of the regions of a map.

    Parameters
    ----------
    superpixels : (H, W) int
        Region of each pixel, 0..n_regions-1, every one used.
    n_regions : int

    Returns
    -------
    centroids : (n, 2) float64
        Row and column of the centre of gravity as shares of height and width, in (0, 1).
    frame : (n,) float64
        Pixels on the image's outermost rows and columns.

    Raises
    ------
    InputError
        If the map is not (H, W), or a region is out of range or without a pixel.
    """
    labels = np.asarray(superpixels)
    if labels.ndim != 2 or not np.issubdtype(labels.dtype, np.integer):
        raise InputError(f"superpixels must be (H, W) integers, got {labels.dtype} {labels.shape}")
    if labels.size and not (labels.min() >= 0 and labels.max() < n_regions):
        raise InputError(
            f"superpixels must be 0..{n_regions - 1}, found {labels.min()} to {labels.max()}"
        )
    sums, counts, frame = _geometry_kernel(labels, n_regions)
    if not (counts > 0).all():
        raise InputError(f"region {int(np.argmin(counts > 0))} has no pixel")
    centroids = (sums / counts[:, None] + 0.5) / np.array(labels.shape)
    return centroids, frame


@njit(cache=True)
def _geometry_kernel(labels: Array, n: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    sums = np.zeros((n, 2))
    counts = np.zeros(n)
    frame = np.zeros(n)
    height, width = labels.shape
    # Run by run of one region in a row of pixels: the sums are of integers, and so exact.
    for y in range(height):
        outer = y == 0 or y == height - 1
        x = 0
        while x < width:
            region = labels[y, x]
            start = x
            while x < width and labels[y, x] == region:
                x += 1
            length = x - start
            sums[region, 0] += y * length
            sums[region, 1] += 0.5 * (start + x - 1) * length
            counts[region] += length
            if outer:
                frame[region] += length
            elif length == width and width > 1:
                frame[region] += 2.0
            elif start == 0 or x == width:
                frame[region] += 1.0
    return sums, counts, frame
