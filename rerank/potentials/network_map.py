"""Class probabilities of superpixels from a network map, the class probabilities of pixels."""

from __future__ import annotations

import numpy as np

from rerank.datasets.map_values import fit_map
from rerank.layers import dense_crf
from rerank.nets.activation_maps import torch_threads
from rerank.superpixels import region_mean
from rerank.types import Array, BoolArray, FloatArray


def refine_map(
    probabilities: FloatArray, image: Array, void: BoolArray | None = None
) -> FloatArray:
    """Class probabilities of pixels after `dense_crf` with its customary parameters.

    Parameters
    ----------
    probabilities : (H, W, C) float array
    image : (H, W, 3) uint8 array
    void : (H, W) bool array, optional
        Pixels that influence nothing.

    Returns
    -------
    (H, W, C) float32 array
    """
    maps = np.ascontiguousarray(np.moveaxis(probabilities, 2, 0), dtype=np.float32)
    with torch_threads(1):
        return np.moveaxis(dense_crf(maps, image, valid=None if void is None else ~void), 0, 2)


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
    probabilities : (H, W, C) or (C, H, W) array
        Probabilities or scores at any size, as in `rerank.datasets.map_values.fit_map`.
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
        Rows sum to 1. Void pixels are left out; a superpixel of void alone has 1 / C everywhere.

    Raises
    ------
    InputError
        If the map does not fit the image or the classes.
    """
    found = fit_map(probabilities, superpixels.shape, n_classes, where)
    values = refine_map(found.values, image, found.void) if refined else found.values
    return average_over_regions(values, superpixels, found.void)


def average_over_regions(
    values: FloatArray, superpixels: Array, void: BoolArray | None = None
) -> FloatArray:
    """Average class probabilities of pixels over superpixels, void pixels left out.

    Parameters
    ----------
    values : (H, W, C) float array
        Each pixel's sum to 1.
    superpixels : (H, W) int array
        Values 0..n-1.
    void : (H, W) bool array, optional
        Pixels that are left out.

    Returns
    -------
    (n, C) float64 array
        Rows sum to 1; 1 / C everywhere in a superpixel of void alone.
    """
    if void is None:
        means = region_mean(values, superpixels)
    else:
        share = region_mean((~void).astype(np.float64), superpixels)
        means = region_mean(np.where(void[..., None], 0, values), superpixels)
        means[share == 0] = 1
    rows: FloatArray = means / means.sum(axis=1, keepdims=True)
    return rows
