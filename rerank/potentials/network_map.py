"""Class probabilities of superpixels from a network map, the class probabilities of pixels."""

from __future__ import annotations

import numpy as np
import torch

from rerank.datasets.map_values import NetworkMap
from rerank.errors import InputError
from rerank.layers import dense_crf
from rerank.nets.activation_maps import torch_threads
from rerank.nets.devices import torch_device
from rerank.superpixels import region_mean
from rerank.types import Array, BoolArray, FloatArray

#: Labels are 0..254 in files; 255 is void.
_MOST_CLASSES = 255


def refine_map(
    probabilities: FloatArray, image: Array, void: BoolArray | None = None, device: str = "cpu"
) -> FloatArray:
    """Class probabilities of pixels after `dense_crf` with its customary parameters.

    Parameters
    ----------
    probabilities : (H, W, C) float array
    image : (H, W, 3) uint8 array
    void : (H, W) bool array, optional
        Pixels that influence nothing.
    device : {"cpu", "auto"}
        As in `torch_device`.

    Returns
    -------
    (H, W, C) float32 array
    """
    place = torch_device(device)
    maps, pixels = (
        torch.from_numpy(np.ascontiguousarray(np.moveaxis(values, 2, 0), dtype=np.float32))
        for values in (probabilities, image)
    )
    valid = None if void is None else torch.from_numpy(~void).to(place)
    with torch_threads(1):
        found = dense_crf(maps.to(place), pixels.to(place), valid=valid)
    return found.permute(1, 2, 0).cpu().numpy()


def network_labels(network_map: NetworkMap, where: str = "") -> Array:
    """A network's own labeling, the class of the highest probability at each pixel.

    Parameters
    ----------
    network_map : NetworkMap
    where : str
        Names the map in errors.

    Returns
    -------
    (H, W) uint8 array
        Of equal probabilities the first class.

    Raises
    ------
    InputError
        If the map has more than 255 classes.
    """
    n_classes = network_map.values.shape[2]
    if n_classes > _MOST_CLASSES:
        raise InputError(
            f"{where}: {n_classes} classes; at most {_MOST_CLASSES} can be written as PNG"
        )
    labels: Array = network_map.values.argmax(axis=2).astype(np.uint8)
    return labels


def map_to_regions(
    network_map: NetworkMap,
    image: Array,
    regions: Array,
    *,
    refined: bool = False,
    device: str = "cpu",
) -> FloatArray:
    """A network map averaged over the regions of its image.

    Parameters
    ----------
    network_map : NetworkMap
        Of `rerank.datasets.fit_map`.
    image : (H, W, 3) uint8 array
    regions : (H, W) int array
        Values 0..n-1.
    refined : bool
        Refine the map by `refine_map` first.
    device : {"cpu", "auto"}
        Where it is refined.

    Returns
    -------
    (n, C) float64 array
        Rows sum to 1. Void pixels are left out; a region of void alone has 1 / C everywhere.
    """
    values, void = network_map.values, network_map.void
    if refined:
        values = refine_map(values, image, void, device)
    return average_over_regions(values, regions, void)


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
