"""The colours of classes, and masks as palette PNGs and as overlays."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from rerank.datasets.problems import file_error
from rerank.errors import InputError
from rerank.files import replace_file
from rerank.types import Array, IntArray

Palette = npt.NDArray[np.uint8]


def voc_palette() -> Palette:
    """The 256 colours of the PASCAL VOC devkit (`VOClabelcolormap.m`).

    The lowest three bits of the label are the highest bits of red, green and blue, and so on, so
    that neighbouring labels differ strongly. Label 0 is black and label 255, void, is cream.

    Returns
    -------
    ndarray of shape (256, 3), uint8
        Red, green and blue of every label.

    Examples
    --------
    >>> voc_palette()[[0, 1, 15, 255]].tolist()
    [[0, 0, 0], [128, 0, 0], [192, 128, 128], [224, 224, 192]]
    """
    labels = np.arange(256)
    palette = np.zeros((256, 3), dtype=np.uint8)
    for step in range(3):
        for channel in range(3):
            bit = (labels >> (3 * step + channel)) & 1
            palette[:, channel] |= (bit << (7 - step)).astype(np.uint8)
    return palette


def palette_of(colours: list[tuple[int, int, int]]) -> Palette:
    """VOC's palette with other colours for the first labels.

    Parameters
    ----------
    colours : list of (red, green, blue), each 0..255
        Colours of the labels 0, 1, ...; at most 255 of them.

    Returns
    -------
    ndarray of shape (256, 3), uint8
    """
    palette = voc_palette()
    palette[: len(colours)] = np.asarray(colours, dtype=np.uint8).reshape(-1, 3)
    return palette


def colourize(labels: IntArray, palette: Palette) -> npt.NDArray[np.uint8]:
    """Paint a mask in the colours of its classes.

    Parameters
    ----------
    labels : ndarray of shape (H, W), integers in 0..255
    palette : ndarray of shape (256, 3), uint8

    Returns
    -------
    ndarray of shape (H, W, 3), uint8

    Raises
    ------
    InputError
        `labels` is not two-dimensional, not integer, or beyond 0..255.
        `palette` is not (256, 3) uint8.
    """
    return _checked_palette(palette)[_checked_labels(labels)]


def overlay(
    image: Array, labels: IntArray, palette: Palette, alpha: float = 0.5
) -> npt.NDArray[np.uint8]:
    """Mix a mask's colours into its image.

    Parameters
    ----------
    image : ndarray of shape (H, W, 3), uint8
    labels : ndarray of shape (H, W), integers in 0..255
    palette : ndarray of shape (256, 3), uint8
    alpha : float in 0..1
        Share of the mask's colours; 0 gives the image and 1 gives `colourize`.

    Returns
    -------
    ndarray of shape (H, W, 3), uint8

    Raises
    ------
    InputError
        `alpha` is outside 0..1.
        `image` is not (H, W, 3) uint8 of the mask's size.
    """
    if not 0.0 <= alpha <= 1.0:
        raise InputError(f"alpha must be in 0..1, got {alpha}")
    colours = colourize(labels, palette)
    if image.dtype != np.uint8 or image.shape != colours.shape:
        raise InputError(
            f"image must be uint8 of shape {colours.shape} to go with the mask, got "
            f"{image.dtype} of shape {image.shape}"
        )
    mixed = (1.0 - alpha) * image.astype(np.float64) + alpha * colours
    return np.rint(mixed).astype(np.uint8)


def painted_classes(
    image: Array, labels: IntArray, palette: Palette, alpha: float = 0.5
) -> npt.NDArray[np.uint8]:
    """An overlay in which a class that is black, such as background, stays clear.

    Parameters
    ----------
    image, labels, palette, alpha
        As in `overlay`.

    Returns
    -------
    ndarray of shape (H, W, 3), uint8
    """
    coloured = np.asarray(palette.any(axis=1))[labels]
    found = np.where(coloured[..., None], overlay(image, labels, palette, alpha), image)
    return np.asarray(found, dtype=np.uint8)


def save_labels_png(path: str | os.PathLike[str], labels: IntArray, palette: Palette) -> None:
    """Write a mask as a PNG whose pixel values are the labels, with a palette to show them in.

    Parameters
    ----------
    path : path
        The file to write, ending in .png. It is written whole or not at all.
    labels : ndarray of shape (H, W), integers in 0..255
    palette : ndarray of shape (256, 3), uint8

    Raises
    ------
    InputError
        `labels` or `palette` is not as said, or the name does not end in .png.
    DataError
        The file cannot be written.
    """
    target = Path(path)
    if target.suffix.lower() != ".png":
        raise InputError(f"{target}: a mask is written as .png, got '{target.suffix}'")
    picture = Image.fromarray(_checked_labels(labels))
    picture.putpalette(_checked_palette(palette).tobytes())
    try:
        with replace_file(target) as temporary:
            picture.save(temporary, format="PNG")
    except OSError as error:
        raise file_error(
            target,
            f"the mask cannot be written ({error.strerror or error})",
            "check that the folder exists, may be written to and has room",
        ) from error


def _checked_labels(labels: IntArray) -> npt.NDArray[np.uint8]:
    values = np.asarray(labels)
    if values.ndim != 2 or not np.issubdtype(values.dtype, np.integer):
        raise InputError(
            f"labels must be integers of shape (H, W), got {values.dtype} of shape {values.shape}"
        )
    if values.size and (values.min() < 0 or values.max() > 255):
        raise InputError(f"labels must be in 0..255, got {int(values.min())}..{int(values.max())}")
    return np.ascontiguousarray(values, dtype=np.uint8)


def _checked_palette(palette: Palette) -> Palette:
    values = np.asarray(palette)
    if values.shape != (256, 3) or values.dtype != np.uint8:
        raise InputError(
            f"palette must be uint8 of shape (256, 3), got {values.dtype} of shape {values.shape}"
        )
    return values
