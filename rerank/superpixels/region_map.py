"""The check of a superpixel map."""

from __future__ import annotations

import numpy as np

from rerank.errors import InputError
from rerank.types import Array


def count_superpixels(superpixels: Array) -> int:
    """Check a superpixel map and say how many superpixels it has.

    Parameters
    ----------
    superpixels : (H, W) integer array
        Index of each pixel's superpixel.

    Returns
    -------
    int
        n, where the map uses each of 0..n-1.

    Raises
    ------
    InputError
        If the map is not a 2-d, non-empty integer array.
    InputError
        If its indices do not run from 0 to n-1 without a gap.

    Examples
    --------
    >>> count_superpixels(np.array([[0, 0, 1], [2, 2, 1]]))
    3
    """
    superpixels = np.asarray(superpixels)
    if superpixels.ndim != 2 or superpixels.size == 0:
        raise InputError(
            f"a superpixel map must be a non-empty (H, W) array, got shape {superpixels.shape}"
        )
    if not np.issubdtype(superpixels.dtype, np.integer):
        raise InputError(f"a superpixel map must hold integers, got {superpixels.dtype}")
    lowest, highest = int(superpixels.min()), int(superpixels.max())
    if lowest < 0 or highest >= superpixels.size:
        raise InputError(
            f"a superpixel map of {superpixels.size} pixels must number its superpixels from 0 "
            f"without a gap, got indices {lowest}..{highest}"
        )
    areas = np.bincount(superpixels.ravel(), minlength=highest + 1)
    if not areas.all():
        missing = int(np.flatnonzero(areas == 0)[0])
        raise InputError(
            f"a superpixel map must number its superpixels 0..{highest} without a gap; "
            f"{missing} is the first index that no pixel has"
        )
    return highest + 1
