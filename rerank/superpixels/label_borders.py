"""Superpixels split where labels of pixels change."""

from __future__ import annotations

import numba
import numpy as np

from rerank.errors import InputError
from rerank.superpixels.region_map import count_superpixels
from rerank.types import Array, IntArray


def border_pixels(labels: Array) -> int:
    """Number of pixels whose right or lower neighbour has another label.

    Parameters
    ----------
    labels : (H, W) array

    Returns
    -------
    int

    Examples
    --------
    >>> border_pixels(np.array([[0, 0, 1], [0, 1, 1]]))
    2
    """
    differ = np.zeros(labels.shape, dtype=bool)
    differ[:, :-1] |= labels[:, 1:] != labels[:, :-1]
    differ[:-1] |= labels[1:] != labels[:-1]
    return int(differ.sum())


def split_at_borders(superpixels: IntArray, labels: Array) -> IntArray:
    """Split superpixels so that each region has one label.

    A region is all pixels of one superpixel that have one label. So the labels of the pixels are
    a labeling of the regions, pixel for pixel.

    Parameters
    ----------
    superpixels : (H, W) integer array
        Superpixel of each pixel, 0..n-1, every one used.
    labels : (H, W) integer array
        Label of each pixel, 0..255, such as those of a network.

    Returns
    -------
    (H, W) int32 array
        Region of each pixel, numbered from 0 in the order of the regions' first pixels.

    Raises
    ------
    InputError
        If the map is not a gapless superpixel map.
    InputError
        If the labels are not integers in 0..255 of the map's size.

    Examples
    --------
    >>> split_at_borders(np.array([[0, 0, 1]]), np.array([[5, 7, 7]]))
    array([[0, 1, 2]], dtype=int32)
    """
    superpixels, labels = np.asarray(superpixels), np.asarray(labels)
    n = count_superpixels(superpixels)
    if labels.shape != superpixels.shape or not np.issubdtype(labels.dtype, np.integer):
        raise InputError(
            f"labels must be integers of shape {superpixels.shape} to fit the superpixel map, "
            f"got {labels.dtype} of shape {labels.shape}"
        )
    if labels.min() < 0 or labels.max() > _MOST:
        raise InputError(f"labels must be in 0..{_MOST}, got {labels.min()}..{labels.max()}")
    found: IntArray = _split(
        np.ascontiguousarray(superpixels, np.int32), np.ascontiguousarray(labels, np.uint8), n
    )
    return found


def labels_of_regions(regions: IntArray, labels: Array) -> Array:
    """The label of each region of `split_at_borders`.

    Parameters
    ----------
    regions : (H, W) integer array
        Region of each pixel, 0..n-1, every one used.
    labels : (H, W) integer array
        Those that the regions were split by.

    Returns
    -------
    (n,) uint8 array
    """
    found = np.zeros(int(np.max(regions)) + 1, dtype=np.uint8)
    found[np.asarray(regions)] = labels
    return found


_MOST = 255


@numba.njit(cache=True)
def _split(superpixels: IntArray, labels: Array, n: int) -> IntArray:
    height, width = superpixels.shape
    number = np.full((n, _MOST + 1), -1, dtype=np.int32)
    regions = np.empty((height, width), dtype=np.int32)
    n_used = 0
    for y in range(height):
        for x in range(width):
            i, c = superpixels[y, x], labels[y, x]
            if number[i, c] < 0:
                number[i, c] = n_used
                n_used += 1
            regions[y, x] = number[i, c]
    return regions
