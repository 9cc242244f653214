"""Read image files as RGB arrays, and masks in the formats of the data sets as labels."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from rerank.datasets.problems import file_error, missing_file
from rerank.errors import DataError
from rerank.types import Array

PathLike = str | os.PathLike[str]

#: Endings of files that are taken for images.
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm")

#: The tag of EXIF data that says how an image is turned, and its values for a quarter turn.
_ORIENTATION, _ON_ITS_SIDE = 0x0112, (5, 6, 7, 8)
_SIXTEEN_BIT = ("I;16", "I;16B", "I;16L", "I;16N")
_UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    struct.error,
    zlib.error,
    MemoryError,
    Image.DecompressionBombError,
)


def read_image(path: PathLike) -> npt.NDArray[np.uint8]:
    """Read an image of any kind as RGB.

    Greyscale and one-bit images are repeated in the three channels. Palettes are resolved.
    An alpha channel is dropped and the colours stay as stored. 16-bit greyscale is divided by
    257, so that 65535 becomes 255, and not stretched to the values that occur. CMYK, YCbCr,
    LAB and HSV are converted. The image is rotated as its EXIF data say. Of several frames the
    first is taken.

    Parameters
    ----------
    path : path
        A file in a format that Pillow reads.

    Returns
    -------
    ndarray of shape (H, W, 3), uint8

    Raises
    ------
    DataError
        The file is missing.
        The file is not an image, is truncated or damaged.
        The image holds floating-point or 32-bit values, which have no agreed full scale.
    """
    picture = _open(path, "image")
    mode = picture.mode
    if mode in _SIXTEEN_BIT or mode == "I":
        values = np.asarray(picture).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise file_error(
                path,
                f"the image holds 32-bit values ({values.min()}..{values.max()}), which "
                f"have no agreed full scale",
                "save it with 8 or 16 bits a channel",
            )
        grey = np.rint(values / 257.0).astype(np.uint8)
        return np.repeat(grey[:, :, np.newaxis], 3, axis=2)
    if mode == "F":
        raise file_error(
            path,
            "the image holds floating-point values, which have no agreed full scale",
            "save it with 8 or 16 bits a channel",
        )
    if mode in ("P", "PA", "RGBa"):
        picture = picture.convert("RGBA")
    elif mode == "La":
        picture = picture.convert("LA")
    return np.array(picture.convert("RGB"))


def image_size(path: PathLike) -> tuple[int, int]:
    """Height and width of an image as `read_image` gives it, from the header alone.

    Raises
    ------
    DataError
        The file is missing or not an image.
    """
    if not Path(path).is_file():
        raise _missing(path, "image")
    try:
        with Image.open(path) as picture:
            width, height = picture.size
            turned = picture.getexif().get(_ORIENTATION, 1) in _ON_ITS_SIDE
    except _UNREADABLE as error:
        raise _damaged(path, "image", error) from error
    return (width, height) if turned else (height, width)


def list_images(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """The images of a folder by name, in the order of their names.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    images : dict of str to Path
    problems : list of str
        Two images of one name.

    Raises
    ------
    DataError
        If there is no such folder, or no image in it.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder of images")
    found: dict[str, Path] = {}
    problems = []
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith("."):
            other = found.setdefault(path.stem, path)
            if other != path:
                problems.append(f"{path}: {other.name} has the same name; keep one of them")
    if not found:
        raise DataError(f"{folder}: no images ({', '.join(IMAGE_SUFFIXES)})")
    return found, problems


def read_index_mask(path: PathLike) -> Array:
    """Read a mask whose pixel values are the labels (palette, greyscale or 16-bit PNG).

    The colours of a palette are not used. Of three equal channels one is taken.

    Parameters
    ----------
    path : path

    Returns
    -------
    ndarray of shape (H, W), integer
        The values in the file, not yet checked against a number of classes.

    Raises
    ------
    DataError
        The file is missing, not an image, truncated or damaged.
        The mask is coded by colours and not by labels.
    """
    picture = _open(path, "mask", turn=False)
    if picture.mode in ("L", "P", "I") or picture.mode in _SIXTEEN_BIT:
        values = np.array(picture)
        return values if picture.mode in ("L", "P") else values.astype(np.int32)
    if picture.mode == "1":
        return np.array(picture).astype(np.uint8)
    if picture.mode == "RGB":
        channels = np.array(picture)
        if (channels == channels[:, :, :1]).all():
            return channels[:, :, 0]
    raise file_error(
        path,
        f"a mask must hold one label a pixel, and this one is a {picture.mode} picture",
        "save it as a greyscale or palette PNG whose pixel values are the labels",
    )


def read_threshold_mask(path: PathLike) -> npt.NDArray[np.uint8]:
    """Read a figure-ground mask that is not exactly two-valued: 1 where it is brighter than 127.

    Parameters
    ----------
    path : path
        A greyscale mask, such as a JPEG.

    Returns
    -------
    ndarray of shape (H, W), uint8
        0 for ground and 1 for figure.

    Raises
    ------
    DataError
        The file is missing, not an image, truncated or damaged.
    """
    picture = _open(path, "mask", turn=False)
    return (np.asarray(picture.convert("L")) > 127).astype(np.uint8)


def read_sbd_mask(path: PathLike) -> Array:
    """Read `GTcls.Segmentation` of the Semantic Boundaries Dataset.

    Hariharan et al. 2011, "Semantic contours from inverse detectors". Labels are VOC's 0..20;
    SBD marks no void.

    Parameters
    ----------
    path : path
        A .mat file of `benchmark_RELEASE/dataset/cls`.

    Returns
    -------
    ndarray of shape (H, W), integer

    Raises
    ------
    DataError
        The file is missing, is not a MATLAB file, or has no `GTcls.Segmentation`.
    """
    # Only SBD needs it, and it takes as long to import as all else here.
    import scipy.io

    if not Path(path).is_file():
        raise _missing(path, "mask")
    try:
        content: dict[str, Any] = scipy.io.loadmat(
            path, struct_as_record=False, squeeze_me=True, variable_names=["GTcls"]
        )
    except (*_UNREADABLE, RuntimeError, scipy.io.matlab.MatReadError) as error:
        raise _damaged(path, "mask", error) from error
    segmentation = getattr(content.get("GTcls"), "Segmentation", None)
    if segmentation is None:
        raise file_error(
            path,
            "the file has no GTcls.Segmentation",
            "take the files of SBD's folder `cls`, not those of `inst`",
        )
    values = np.atleast_2d(np.asarray(segmentation))
    if values.ndim != 2 or not np.issubdtype(values.dtype, np.integer):
        raise file_error(
            path,
            f"GTcls.Segmentation must be integers of shape (H, W), got {values.dtype} of "
            f"shape {values.shape}",
            "fetch the file again",
        )
    return values


def _open(path: PathLike, what: str, turn: bool = True) -> Image.Image:
    """Decode the first frame whole, so that a truncated file is found here and not later."""
    if not Path(path).is_file():
        raise _missing(path, what)
    try:
        with Image.open(path) as picture:
            picture.load()
            turned = ImageOps.exif_transpose(picture) if turn else picture
            return turned.copy()
    except _UNREADABLE as error:
        raise _damaged(path, what, error) from error


def _missing(path: PathLike, what: str) -> DataError:
    if Path(path).exists():
        return file_error(path, f"the {what} is not a file", "put a file of that name there")
    return DataError(missing_file(path, what))


def _damaged(path: PathLike, what: str, error: BaseException) -> DataError:
    reason = (str(error) or type(error).__name__).split("\n")[0].replace(str(path), "file")
    return file_error(
        path,
        f"the {what} cannot be read ({reason})",
        "replace the file or take its id off the list",
    )
