"""Activations of a frozen backbone as plain arrays.

The last layer gives the coarse maps that the SegNet's head reads. Several layers, with the places
of their cells, give features of superpixels (`rerank.potentials.deep_features`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from rerank.errors import InputError
from rerank.nets.backbone import Backbone
from rerank.nets.devices import device_of
from rerank.types import Array, FloatArray


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
    """Warp RGB images to one size and stack them.

    Parameters
    ----------
    images : sequence of (H, W, 3) uint8 arrays
    size : (int, int)
        Height and width.

    Returns
    -------
    (B, 3, h, w) float32 tensor
        In 0..255.

    Raises
    ------
    InputError
        If an image is not (H, W, 3) uint8.
    """
    stack = np.stack([warp_image(image, size) for image in images])
    return torch.from_numpy(stack).permute(0, 3, 1, 2).float()


def backbone_activations(
    backbone: Backbone,
    images: Sequence[Array],
    size: int | tuple[int, int] | None = None,
    *,
    flip: bool = False,
    batch_size: int = 1,
    n_threads: int | None = 1,
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
            batch = images_to_tensor(images[start : start + batch_size], (height, width))
            if flip:
                batch = batch.flip(3)
            result[start : start + batch_size] = (
                backbone(batch.to(device_of(backbone))).cpu().numpy()
            )
    return result


def multi_layer_activations(
    backbone: Backbone,
    image: Array,
    layers: Sequence[str],
    *,
    scale: float = 1.0,
    size: tuple[int, int] | None = None,
    n_threads: int | None = 1,
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
        outputs = backbone.activations(batch.to(device_of(backbone)), layers)
    maps = []
    for name, output in outputs.items():
        place = backbone.geometry(name)
        maps.append(
            ActivationMap(
                name,
                np.ascontiguousarray(output[0].cpu().numpy()),
                (place.stride * down, place.stride * across),
                (place.first_centre * down, place.first_centre * across),
                (height, width),
            )
        )
    return maps


@contextmanager
def torch_threads(n_threads: int | None) -> Iterator[None]:
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
