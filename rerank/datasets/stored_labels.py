"""Pixel values of masks as their files hold them, where Pillow converts them to something else."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageOps

from rerank.datasets.picture_files import PathLike
from rerank.datasets.problems import file_error
from rerank.types import Array

SIXTEEN_BIT = ("I;16", "I;16B", "I;16L", "I;16N")
#: TIFF's tags, and what they say of masks that cannot be read exactly.
_BITS, _COMPRESSION, _PHOTOMETRIC = 258, 259, 262
_JPEG_COMPRESSIONS, _WHITE_IS_ZERO = (6, 7), 0
#: Pillow enlarges greyscale of 2 and 4 bits to 8.
_ENLARGED = {2: 85, 4: 17}
_REMEDY = "save it as a greyscale or palette PNG whose pixel values are the labels"


def stored_labels(path: PathLike, picture: Image.Image) -> Array:
    """The values in a mask's file, turned as its EXIF data say.

    Parameters
    ----------
    path : path
    picture : Image
        As opened, with no pixel decoded yet.

    Returns
    -------
    ndarray of shape (H, W), uint8 or int32

    Raises
    ------
    DataError
        The format changes values (JPEG), the mask is coded by colours, is partly transparent, or
        its values cannot be had exactly.
    """
    divisor, largest = _conversion(path, picture)
    turned = ImageOps.exif_transpose(picture)
    values = _one_channel(path, turned)
    if divisor != 1:
        values = (values // divisor).astype(values.dtype)
    if largest:
        # The inverse of round(value * full / largest), which is exact where largest <= full.
        full = 255 if values.dtype == np.uint8 else 65535
        values = ((values.astype(np.int64) * largest + full // 2) // full).astype(values.dtype)
    return values


def is_inverted(picture: Image.Image) -> bool:
    """Whether white is 0 in a greyscale TIFF, which Pillow inverts, but for 16 bits."""
    tags = getattr(picture, "tag_v2", None)
    grey = picture.mode in ("1", "L", *SIXTEEN_BIT)
    return bool(tags is not None and grey and tags.get(_PHOTOMETRIC, 0) == _WHITE_IS_ZERO)


def _conversion(path: PathLike, picture: Image.Image) -> tuple[int, int]:
    """What Pillow multiplied the values by, and for PGM the largest value; or an error."""
    kind = picture.format
    with open(path, "rb") as file:
        head = file.read(64)
    if kind in ("JPEG", "MPO") or (kind == "WEBP" and b"VP8L" not in head):
        raise file_error(path, f"the mask is a {kind}, which changes labels", _REMEDY)
    if kind == "PNG":
        depth, colours = head[24:26]
        if depth == 16 and colours != 0:
            raise _inexact(path, "16 bits a channel in several channels")
        return (_ENLARGED.get(depth, 1), 0) if colours == 0 else (1, 0)
    if kind == "TIFF":
        return _tiff_divisor(path, picture), 0
    if kind == "PPM":
        if picture.mode == "1":
            raise _inexact(path, "a bitmap in which 1 is black")
        decoder, _, _, arguments = picture.tile[0]  # type: ignore[attr-defined]
        # Only where the largest value is no full scale is it an argument of the decoder.
        return 1, 0 if decoder == "raw" else int(arguments[1])
    return 1, 0


def _tiff_divisor(path: PathLike, picture: Image.Image) -> int:
    tags = picture.tag_v2  # type: ignore[attr-defined]
    if tags.get(_COMPRESSION) in _JPEG_COMPRESSIONS:
        raise file_error(
            path, "the mask is a TIFF compressed as JPEG, which changes labels", _REMEDY
        )
    if is_inverted(picture):
        raise _inexact(path, "inverted (WhiteIsZero)")
    bits = tags.get(_BITS, (1,))
    bits = bits if isinstance(bits, tuple) else (bits,)
    if len(bits) > 1 and max(bits) > 8:
        raise _inexact(path, f"{max(bits)} bits a channel in several channels")
    return _ENLARGED.get(bits[0], 1) if picture.mode == "L" else 1


def _one_channel(path: PathLike, picture: Image.Image) -> Array:
    mode = picture.mode
    if mode in ("L", "P"):
        return np.array(picture)
    if mode == "I" or mode in SIXTEEN_BIT:
        return np.array(picture).astype(np.int32)
    if mode == "1":
        return np.array(picture).astype(np.uint8)
    if mode in ("LA", "PA", "RGB", "RGBA"):
        channels = np.array(picture)
        if mode in ("LA", "PA", "RGBA"):
            if (channels[:, :, -1] != 255).any():
                raise file_error(path, "the mask is partly transparent", _REMEDY)
            channels = channels[:, :, :-1]
        if (channels == channels[:, :, :1]).all():
            return np.ascontiguousarray(channels[:, :, 0])
    raise file_error(
        path, f"a mask must hold one label a pixel, and this one is a {mode} picture", _REMEDY
    )


def _inexact(path: PathLike, about: str) -> Exception:
    return file_error(path, f"the mask is {about}, whose labels are not read exactly", _REMEDY)
