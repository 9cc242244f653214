"""Class probabilities of superpixels from a network map, the class probabilities of pixels."""

from __future__ import annotations

import numpy as np

from rerank.errors import InputError
from rerank.layers import dense_crf
from rerank.nets.activation_maps import torch_threads
from rerank.potentials.unary import classes_last, region_probabilities
from rerank.types import Array, FloatArray

#: Labels are 0..254 in files; 255 is void.
_MOST_CLASSES = 255


def refine_map(probabilities: FloatArray, image: Array) -> FloatArray:
    """Class probabilities of pixels after `dense_crf` with its customary parameters.

    Parameters
    ----------
    probabilities : (H, W, C) float array
    image : (H, W, 3) uint8 array

    Returns
    -------
    (H, W, C) float32 array
    """
    maps = np.ascontiguousarray(np.moveaxis(probabilities, 2, 0), dtype=np.float32)
    with torch_threads(1):
        return np.moveaxis(dense_crf(maps, image), 0, 2)


def network_labels(
    probabilities: Array, image: Array, *, n_classes: int | None = None, where: str = ""
) -> Array:
    """A network's own labeling, the class of the highest probability at each pixel.

    Parameters
    ----------
    probabilities : (H, W, C) or (C, H, W) float array
    image : (H, W, 3) uint8 array
    n_classes : int, optional
        What C must be; any by default.
    where : str
        Names the map in errors.

    Returns
    -------
    (H, W) uint8 array
        Of equal probabilities the first class.

    Raises
    ------
    InputError
        If the map does not fit the image or the classes, or has more than 255 classes.
    """
    values = classes_last(np.asarray(probabilities), image.shape[:2], n_classes, where)
    if values.shape[2] > _MOST_CLASSES:
        raise InputError(
            f"{where}: {values.shape[2]} classes; at most {_MOST_CLASSES} can be written as PNG"
        )
    labels: Array = values.argmax(axis=2).astype(np.uint8)
    return labels


def map_to_regions(
    probabilities: Array,
    image: Array,
    superpixels: Array,
    *,
    n_classes: int | None = None,
    refined: bool = False,
    where: str = "",
) -> FloatArray:
    """A network map averaged over superpixels.

    Parameters
    ----------
    probabilities : (H, W, C) or (C, H, W) float array
    image : (H, W, 3) uint8 array
    superpixels : (H, W) int array
        Values 0..n-1.
    n_classes : int, optional
        What C must be; any by default.
    refined : bool
        Refine the map by `refine_map` first.
    where : str
        Names the map in errors.

    Returns
    -------
    (n, C) float64 array
        Rows sum to 1.

    Raises
    ------
    InputError
        If the map does not fit the image or the classes, or is not of probabilities.
    """
    if refined:
        # As many superpixels as pixels: the map checked, normalised and with its classes last.
        pixels = np.arange(superpixels.size).reshape(superpixels.shape)
        rows = region_probabilities(probabilities, pixels, n_classes, where)
        probabilities = refine_map(rows.reshape(*superpixels.shape, rows.shape[1]), image)
    return region_probabilities(probabilities, superpixels, n_classes, where)
