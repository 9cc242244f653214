"""Read image files as RGB arrays, and masks in the formats of the data sets as labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import ImageOps
from PIL.Image import Image

from rerank.datasets.file_names import IMAGE_SUFFIXES, files_in, name_of
from rerank.datasets.mat_file import read_mat
from rerank.datasets.picture_files import PathLike, opened_picture
from rerank.datasets.problems import file_error
from rerank.datasets.stored_labels import SIXTEEN_BIT, is_inverted, stored_labels
from rerank.errors import DataError
from rerank.types import Array

__all__ = [
    "IMAGE_SUFFIXES",
    "PathLike",
    "image_orientation",
    "image_size",
    "list_images",
    "read_image",
    "read_index_mask",
    "read_sbd_mask",
    "read_threshold_mask",
]

#: The tag of EXIF data that says how an image is turned, and its values for a quarter turn.
_ORIENTATION, _ON_ITS_SIDE = 0x0112, (5, 6, 7, 8)


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
        A PNG, JPEG, WebP, BMP, TIFF, GIF, PPM or PGM, whatever its ending is.

    Returns
    -------
    ndarray of shape (H, W, 3), uint8

    Raises
    ------
    DataError
        The file is missing.
        The file is not an image, is truncated or damaged, or has more than 179 million pixels.
        The image holds floating-point or 32-bit values, which have no agreed full scale.
    """
    with opened_picture(path, "image") as opened:
        inverted = is_inverted(opened) and opened.mode in SIXTEEN_BIT
        opened.load()
        picture = ImageOps.exif_transpose(opened)
        return _as_rgb(path, picture, inverted)


def _as_rgb(path: PathLike, picture: Image, inverted: bool) -> npt.NDArray[np.uint8]:
    mode = picture.mode
    if mode in SIXTEEN_BIT or mode == "I":
        values = np.asarray(picture).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise file_error(
                path,
                f"the image holds 32-bit values ({values.min()}..{values.max()}), which "
                f"have no agreed full scale",
                "save it with 8 or 16 bits a channel",
            )
        grey = np.rint((65535 - values if inverted else values) / 257.0).astype(np.uint8)
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
    with opened_picture(path, "image") as picture:
        width, height = picture.size
        # Pillow has turned the size of a TIFF already.
        turned = picture.format != "TIFF" and _orientation(picture) in _ON_ITS_SIDE
        return (width, height) if turned else (height, width)


def image_orientation(path: PathLike) -> int:
    """How a picture is to be turned by its EXIF data: 1 is as it is, 2 to 8 are others.

    Raises
    ------
    DataError
        The file is missing or not an image.
    """
    with opened_picture(path, "image") as picture:
        return _orientation(picture)


def _orientation(picture: Image) -> int:
    found = picture.getexif().get(_ORIENTATION, 1)
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


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
    for path in files_in(folder, IMAGE_SUFFIXES):
        other = found.setdefault(name_of(path), path)
        if other != path:
            problems.append(f"{path}: {other.name} has the same name; keep one of them")
    if not found:
        raise DataError(f"{folder}: no images ({', '.join(IMAGE_SUFFIXES)})")
    return found, problems


def read_index_mask(path: PathLike) -> Array:
    """Read a mask whose pixel values are the labels (palette, greyscale or 16-bit PNG).

    The values are those in the file, whatever its depth: a palette's colours are not used, and
    greyscale of 1, 2 or 4 bits is not stretched. Of three equal channels one is taken, and opaque
    alpha is dropped. The mask is rotated as its EXIF data say, and of several frames the first is
    taken.

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
        The file is missing, not an image, truncated or damaged, or too large.
        The mask is coded by colours and not by labels, or is partly transparent.
        Its values cannot be had exactly: JPEG and lossy WebP, colours of 16 bits, inverted TIFF.
    """
    with opened_picture(path, "mask") as picture:
        return stored_labels(path, picture)


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
    with opened_picture(path, "mask") as picture:
        grey = ImageOps.exif_transpose(picture).convert("L")
        return (np.asarray(grey) > 127).astype(np.uint8)


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
    content = read_mat(path, "mask", ("GTcls",))
    holder = content.get("GTcls")
    values = holder.get("Segmentation") if isinstance(holder, dict) else None
    if values is None:
        raise file_error(
            path,
            "the file has no GTcls.Segmentation",
            "take the files of SBD's folder `cls`, not those of `inst`",
        )
    if (
        not isinstance(values, np.ndarray)
        or values.ndim != 2
        or not np.issubdtype(values.dtype, np.integer)
    ):
        about = (
            f"{values.dtype} of shape {values.shape}"
            if isinstance(values, np.ndarray)
            else "a structure"
        )
        raise file_error(
            path,
            f"GTcls.Segmentation must be integers of shape (H, W), got {about}",
            "fetch the file again",
        )
    return values
