"""Activations of a frozen backbone as plain arrays: coarse maps for the head, and maps of
several layers pooled over superpixels."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import Iterator, Optional, Sequence

import numpy as np
import torch
from numba import njit
from PIL import Image

from rerank.errors import InputError
from rerank.nets.architectures import Backbone
from rerank.types import Array, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class ActivationMap:
    """The output of one layer for one image, and where its cells lie.

    Attributes
    ----------
    layer : str
    values : (D, h, w) float32 array
    stride : (float, float)
        Distance of neighbouring cells down and across, in pixels of the image as given.
    first_centre : (float, float)
        Centre of the first cell's receptive field down and across, in pixels of the image,
        where pixel `j` covers `[j, j + 1)`.
    image_size : (int, int)
        Height and width of the image as given.
    """

    layer: str
    values: FloatArray
    stride: tuple[float, float]
    first_centre: tuple[float, float]
    image_size: tuple[int, int]


def warp_image(image: Array, size: tuple[int, int]) -> Array:
    """Resize an RGB image to `size`, whatever its shape, with an antialiased bilinear filter.

    Parameters
    ----------
    image : (H, W, 3) uint8 array
    size : (int, int)
        Height and width of the result.

    Returns
    -------
    size + (3,) uint8 array

    Raises
    ------
    InputError
        If the image is not a non-empty (H, W, 3) uint8 array.
    """
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise InputError(
            f"image must be a non-empty (H, W, 3) uint8 array, got {image.shape} {image.dtype}"
        )
    if image.shape[:2] == tuple(size):
        return image
    resized = Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(resized)


def images_to_tensor(images: Sequence[Array], size: tuple[int, int]) -> torch.Tensor:
    """Warp RGB images to `size` and stack them, (B, 3, h, w) float32 in 0..255."""
    stack = np.stack([warp_image(image, size) for image in images])
    return torch.from_numpy(stack).permute(0, 3, 1, 2).float()


def backbone_activations(
    backbone: Backbone,
    images: Sequence[Array],
    size: Optional[int | tuple[int, int]] = None,
    *,
    flip: bool = False,
    batch_size: int = 1,
    n_threads: Optional[int] = 1,
) -> FloatArray:
    """Return the last layer's output for warped images, to be computed once and kept.

    Parameters
    ----------
    backbone : Backbone
        Put in evaluation mode by the caller (`build_backbone` returns it so).
    images : sequence of (H, W, 3) uint8 arrays
        RGB, of any sizes.
    size : int or (int, int), optional
        Side, or height and width, that the images are warped to; by default the backbone's
        own for a 13x13 grid (227; 104 for "small"). `backbone.input_size(grid)` gives the
        size for another grid.
    flip : bool
        Mirror the images first.
    batch_size : int
        Images per pass. With 1, an image's activations do not depend on its neighbours in
        the sequence, bit for bit.
    n_threads : int, optional
        Threads of torch during the call; None leaves torch's setting as it is.

    Returns
    -------
    (B, D, gh, gw) float32 array

    Raises
    ------
    InputError
        If an image is not (H, W, 3) uint8, `size` is too small for the backbone, or
        `batch_size` is below 1.
    """
    if batch_size < 1:
        raise InputError(f"batch_size must be at least 1, got {batch_size}")
    if size is None:
        size = backbone.input_size()
    height, width = (size, size) if isinstance(size, int) else size
    grid = backbone.output_size((height, width))
    result = np.empty((len(images), backbone.n_channels, *grid), np.float32)
    with torch_threads(n_threads), torch.inference_mode():
        for start in range(0, len(images), batch_size):
            batch = images_to_tensor(images[start:start + batch_size], (height, width))
            if flip:
                batch = batch.flip(3)
            result[start:start + batch_size] = backbone(batch).numpy()
    return result


def multi_layer_activations(
    backbone: Backbone,
    image: Array,
    layers: Sequence[str],
    *,
    scale: float = 1.0,
    size: Optional[tuple[int, int]] = None,
    n_threads: Optional[int] = 1,
) -> list[ActivationMap]:
    """Return the outputs of several layers for one image at its own aspect.

    Parameters
    ----------
    backbone : Backbone
    image : (H, W, 3) uint8 array
        RGB.
    layers : sequence of str
        Names from `backbone.layer_names`.
    scale : float
        Factor by which the image is resized first, above 0.
    size : (int, int), optional
        Height and width it is resized to instead.
    n_threads : int, optional
        As in `backbone_activations`.

    Returns
    -------
    list of ActivationMap
        In the order of `layers`, with the place of their cells in the image as given.

    Raises
    ------
    InputError
        If the image is not (H, W, 3) uint8 or too small for a layer, a layer is unknown, the
        scale is not above 0, or both `scale` and `size` are set.
    """
    image = np.asarray(image)
    if not scale > 0 or (size is not None and scale != 1.0):
        raise InputError(f"give a scale above 0 or a size, got scale={scale} and size={size}")
    height, width = image.shape[:2] if image.ndim == 3 else (0, 0)
    if size is None:
        size = (max(1, round(height * scale)), max(1, round(width * scale)))
    batch = images_to_tensor([image], size)
    down, across = height / size[0], width / size[1]
    with torch_threads(n_threads), torch.inference_mode():
        outputs = backbone.activations(batch, layers)
    maps = []
    for name, output in outputs.items():
        place = backbone.geometry(name)
        maps.append(ActivationMap(
            name,
            np.ascontiguousarray(output[0].numpy()),
            (place.stride * down, place.stride * across),
            (place.first_centre * down, place.first_centre * across),
            (height, width),
        ))
    return maps


def pool_activations(
    maps: Sequence[ActivationMap], superpixels: IntArray, n_superpixels: Optional[int] = None
) -> FloatArray:
    """Average activations over superpixels, interpolating bilinearly between cells.

    Equal to resizing each map to the image and taking means over superpixels, but through
    the weight of each cell in each superpixel, which takes a fraction of time and memory.

    Parameters
    ----------
    maps : sequence of ActivationMap
        Of one image.
    superpixels : (H, W) int array
        Index of each pixel's superpixel, 0..n-1.
    n_superpixels : int, optional
        n; by default the highest index plus one. A superpixel without pixels gets zeros.

    Returns
    -------
    (n, D) float32 array
        D is the sum of the maps' depths, in the maps' order.

    Raises
    ------
    InputError
        If the superpixels are not of the image's size, or an index is out of range.
    """
    superpixels = np.asarray(superpixels)
    n = int(superpixels.max()) + 1 if n_superpixels is None else n_superpixels
    if superpixels.min() < 0 or superpixels.max() >= n:
        raise InputError(f"superpixels must be 0..{n - 1}, found "
                         f"{superpixels.min()}..{superpixels.max()}")
    counts = np.maximum(np.bincount(superpixels.ravel(), minlength=n), 1)
    columns = []
    for layer in maps:
        if superpixels.shape != layer.image_size:
            raise InputError(f"superpixels are {superpixels.shape}, the image of layer "
                             f"{layer.layer} was {layer.image_size}")
        depth, rows, across = layer.values.shape
        cells = np.ascontiguousarray(layer.values.reshape(depth, -1).T)
        sums = np.zeros((n, depth), np.float32)
        weights = np.zeros((n, rows * across), np.float32)
        y0, y1, fy = _neighbours(layer.image_size[0], rows, layer.stride[0],
                                 layer.first_centre[0])
        x0, x1, fx = _neighbours(layer.image_size[1], across, layer.stride[1],
                                 layer.first_centre[1])
        _add_weights(superpixels.astype(np.int64), y0, y1, fy, x0, x1, fx, across, weights)
        _add_weighted_rows(weights, cells, sums)
        columns.append(sums / counts[:, None].astype(np.float32))
    return np.concatenate(columns, axis=1)


@contextmanager
def torch_threads(n_threads: Optional[int]) -> Iterator[None]:
    """Set the number of torch's threads for a block; None leaves it as it is.

    A sum that is split over threads is rounded differently for each number of threads, so
    results that must be equal bit for bit are computed with a stated number.
    """
    before = torch.get_num_threads()
    if n_threads is not None:
        torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _neighbours(
    n_pixels: int, n_cells: int, stride: float, first_centre: float
) -> tuple[IntArray, IntArray, FloatArray]:
    """Return the two nearest cells of each pixel on an axis, and the weight of the second."""
    at = (np.arange(n_pixels) + 0.5 - first_centre) / stride
    at = np.clip(at, 0, n_cells - 1)
    first = np.minimum(np.floor(at).astype(np.int64), max(n_cells - 2, 0))
    second = np.minimum(first + 1, n_cells - 1)
    return first, second, (at - first).astype(np.float32)


@njit(cache=True)
def _add_weights(superpixels, y0, y1, fy, x0, x1, fx, across,
                 weights):
    for y in range(superpixels.shape[0]):
        for x in range(superpixels.shape[1]):
            row = weights[superpixels[y, x]]
            v, u = fy[y], fx[x]
            row[y0[y] * across + x0[x]] += (1 - v) * (1 - u)
            row[y0[y] * across + x1[x]] += (1 - v) * u
            row[y1[y] * across + x0[x]] += v * (1 - u)
            row[y1[y] * across + x1[x]] += v * u


@njit(cache=True)
def _add_weighted_rows(weights, cells, sums):
    # A superpixel touches a few dozen of some ten thousand cells: skip the zeros.
    for i in range(weights.shape[0]):
        for cell in range(weights.shape[1]):
            weight = weights[i, cell]
            if weight != 0:
                for channel in range(cells.shape[1]):
                    sums[i, channel] += weight * cells[cell, channel]
