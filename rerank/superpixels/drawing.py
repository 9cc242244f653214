"""Pictures of superpixels."""

from __future__ import annotations

import numpy as np

from rerank.errors import InputError
from rerank.superpixels.region_map import count_superpixels
from rerank.superpixels.slic import check_image
from rerank.types import Array, BoolArray, IntArray


def boundary_mask(superpixels: IntArray) -> BoolArray:
    """The pixels whose right or lower neighbour belongs to another superpixel.

    Parameters
    ----------
    superpixels : (H, W) integer array

    Returns
    -------
    (H, W) bool array
        One side of each boundary: scikit-image's `mark_boundaries` marks both, 1.6 times as many.

    Examples
    --------
    >>> boundary_mask(np.array([[0, 0, 1], [0, 0, 1]])).astype(int).tolist()
    [[0, 1, 0], [0, 1, 0]]
    """
    boundary = np.zeros(superpixels.shape, dtype=bool)
    boundary[:, :-1] |= superpixels[:, :-1] != superpixels[:, 1:]
    boundary[:-1] |= superpixels[:-1] != superpixels[1:]
    return boundary


def draw_boundaries(
    superpixels: IntArray,
    image: Array | None = None,
    colour: tuple[int, int, int] = (255, 220, 0),
    scale: int = 1,
) -> Array:
    """Draw the boundaries of superpixels over their image.

    Parameters
    ----------
    superpixels : (H, W) integer array
        Superpixel of each pixel, 0..n-1, every one used.
    image : (H, W, 3) uint8, optional
        RGB image to draw on; white without it.
    colour : three integers in 0..255
        RGB colour of the lines.
    scale : int
        Enlargement; the lines stay one pixel wide.

    Returns
    -------
    (scale * H, scale * W, 3) uint8
        A picture, ready to be saved as PNG.

    Raises
    ------
    InputError
        If the map is not a gapless superpixel map.
    InputError
        If the image is not (H, W, 3) uint8 of the map's size, or `scale` is below 1.
    """
    superpixels = np.asarray(superpixels)
    count_superpixels(superpixels)
    if scale < 1:
        raise InputError(f"scale must be at least 1, got {scale}")
    if image is None:
        image = np.full(superpixels.shape + (3,), 255, dtype=np.uint8)
    image = check_image(image)
    if image.shape[:2] != superpixels.shape:
        raise InputError(
            f"image and superpixel map must be of one size, got {image.shape[:2]} and "
            f"{superpixels.shape}"
        )
    picture = image.repeat(scale, axis=0).repeat(scale, axis=1)
    enlarged = superpixels.repeat(scale, axis=0).repeat(scale, axis=1)
    picture[boundary_mask(enlarged)] = np.asarray(colour, dtype=np.uint8)
    return picture
