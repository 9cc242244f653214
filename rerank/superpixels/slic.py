"""SLIC superpixels, each one 4-connected piece."""

from __future__ import annotations

import cv2
import numpy as np

from rerank.errors import InputError
from rerank.superpixels.cie_lab import lab_planes
from rerank.superpixels.connectivity import merge_fragments
from rerank.superpixels.local_kmeans import Grid, local_kmeans
from rerank.types import Array, FloatArray, IntArray


def slic_superpixels(
    image: Array,
    n_segments: int = 600,
    compactness: float = 8.0,
    sigma: float = 0.7,
    n_iterations: int = 7,
    min_area_fraction: float = 0.25,
) -> IntArray:
    """Cut an image into about `n_segments` superpixels of similar colour.

    The clustering is SLIC (Achanta et al. 2012: k-means over Lab colour and position, each centre
    searching its own neighbourhood), on Lab as it is: unlike scikit-image's, it does not stretch
    the image's own range of values first, so a superpixel does not depend on pixels far away.
    The pieces that it leaves disconnected are not given to whichever neighbour comes first but
    kept where they are large enough and otherwise joined to the neighbour of the most similar
    colour, which at the same number of superpixels follows thin objects better.

    Parameters
    ----------
    image : (H, W, 3) uint8
        RGB image; any size from 1x1 on.
    n_segments : int
        Number of superpixels asked for, at least 1; the result has about as many, and never more
        than it has pixels.
    compactness : float
        Weight of position against colour, greater than 0; higher gives rounder superpixels. The
        distance of one cell's side weighs as much as a difference of this much in Lab.
    sigma : float
        Width of the Gaussian that smooths Lab first, in pixels; 0 for none.
    n_iterations : int
        Rounds of k-means, at least 1.
    min_area_fraction : float
        Least area of a superpixel, as a fraction of H * W / n_segments, in 0..1.

    Returns
    -------
    (H, W) int32
        Superpixel of each pixel, 0..n-1 in raster order of their first pixels, every one used and
        4-connected. Equal images give equal maps.

    Raises
    ------
    InputError
        If the image is not (H, W, 3) uint8 or has no pixel.
    InputError
        If a setting is out of its range.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.zeros((20, 30, 3), dtype=np.uint8)
    >>> image[:, 15:] = 200
    >>> superpixels = slic_superpixels(image, n_segments=6)
    >>> superpixels.shape, superpixels.dtype
    ((20, 30), dtype('int32'))
    >>> bool((superpixels[:, 14] != superpixels[:, 15]).all())
    True
    """
    image = check_image(image)
    if n_segments < 1:
        raise InputError(f"n_segments must be at least 1, got {n_segments}")
    if not compactness > 0:
        raise InputError(f"compactness must be greater than 0, got {compactness}")
    if not sigma >= 0:
        raise InputError(f"sigma must be 0 or greater, got {sigma}")
    if n_iterations < 1:
        raise InputError(f"n_iterations must be at least 1, got {n_iterations}")
    if not 0 <= min_area_fraction <= 1:
        raise InputError(f"min_area_fraction must be in 0..1, got {min_area_fraction}")
    height, width = image.shape[:2]
    if n_segments == 1 or height * width == 1:
        return np.zeros((height, width), dtype=np.int32)
    planes = _smoothed(lab_planes(image), sigma)
    grid = Grid.of(height, width, min(n_segments, height * width))
    assignment = local_kmeans(planes, grid, compactness, n_iterations)
    return merge_fragments(assignment, planes, min_area_fraction * height * width / n_segments)


def _smoothed(planes: FloatArray, sigma: float) -> FloatArray:
    """Put planes (D, H, W) under a Gaussian that ends at four sigma, in place."""
    size = 2 * int(4 * sigma + 0.5) + 1
    if size > 1:
        for plane in planes:
            cv2.GaussianBlur(plane, (size, size), sigma, plane, borderType=cv2.BORDER_REFLECT)
    return planes


def check_image(image: Array, where: str = "") -> Array:
    """Check that an image is RGB, and return it.

    Parameters
    ----------
    image : (H, W, 3) uint8
    where : str
        File or image that the message names.

    Returns
    -------
    (H, W, 3) uint8

    Raises
    ------
    InputError
        Unless the image is (H, W, 3) uint8 with at least one pixel.
    """
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[2] != 3 or image.size == 0 or image.dtype != np.uint8:
        prefix = f"{where}: " if where else ""
        raise InputError(
            f"{prefix}an image must be RGB, a non-empty (H, W, 3) uint8 array, "
            f"got shape {image.shape} of {image.dtype}"
        )
    return image
