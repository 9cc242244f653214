"""Which rows and images a model is fitted on, so that they fit in the memory that a recipe gives.

Of all rows that could be read, a random share of each image is: images are more telling than many
rows of one. Where all fit, all are read.
"""

from __future__ import annotations

import numpy as np

from rerank.types import Array, BoolArray, IntArray

_MIB = 1 << 20
#: Streams of random numbers, apart from those of other draws.
_ROWS, _IMAGES = 101, 102


def rows_that_fit(counts: IntArray, row_bytes: int, memory: int) -> IntArray:
    """How many rows of each image are read.

    Parameters
    ----------
    counts : (N,) int array
        Rows of each image.
    row_bytes : int
        Bytes of a row in memory.
    memory : int
        MiB of all rows at most; one row of each image is always read.

    Returns
    -------
    (N,) int array
        All, or as many of each image as the largest number that fits.

    Examples
    --------
    >>> rows_that_fit(np.array([2, 9, 9]), 1 << 20, 12)
    array([2, 5, 5])
    """
    most = memory * _MIB // max(1, row_bytes)
    if counts.sum() <= most or not len(counts):
        return counts
    low, high = 1, int(counts.max())
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (
            (middle, high) if np.minimum(counts, middle).sum() <= most else (low, middle - 1)
        )
    fitting: IntArray = np.minimum(counts, low)
    return fitting


def drawn_rows(count: int, wanted: int, place: int) -> Array:
    """The rows of an image that are read.

    Parameters
    ----------
    count, wanted : int
        Rows that there are, and that are read.
    place : int
        Of the image among the training images; the seed of the draw.

    Returns
    -------
    (wanted,) int array
        Ascending.
    """
    if wanted >= count:
        return np.arange(count)
    return np.sort(np.random.default_rng([_ROWS, place]).permutation(count)[:wanted])


def images_that_fit(
    groups: Array, image_bytes: int, memory: int, random_state: int = 0
) -> BoolArray:
    """Which images are read whole.

    Parameters
    ----------
    groups : (N,) array
        Group of each image; of each about the same share is read, and at least one image.
    image_bytes : int
        Bytes of an image in memory.
    memory : int
        MiB of all images at most, but for the one of each group.
    random_state : int
        Of the draw.

    Returns
    -------
    (N,) bool array

    Examples
    --------
    >>> int(images_that_fit(np.zeros(5), 1 << 20, 3).sum())
    3
    """
    most = memory * _MIB // max(1, image_bytes)
    kept = np.ones(len(groups), dtype=bool)
    if len(groups) > most:
        order = np.random.default_rng([_IMAGES, random_state]).permutation(len(groups))
        for group in np.unique(groups):
            own = order[groups[order] == group]
            kept[own[max(1, most * len(own) // len(groups)) :]] = False
    return kept
