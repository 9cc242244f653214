"""Open picture files of strangers: known formats alone, of bounded size, whatever they hold."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from rerank.datasets.problems import file_error, missing_file, unreadable_error
from rerank.errors import DataError, RerankError

PathLike = str | os.PathLike[str]

#: What Pillow may decode. Its other decoders stay closed: that of EPS runs another program.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM")
#: Pixels of the largest picture that is decoded: twice Pillow's own mark of a decompression bomb.
MOST_PIXELS = 2 * 89_478_485
#: Where the header of a BMP says how long it is, and where the number of bits a pixel stands then.
_BMP_HEADER, _BMP_BITS, _BMP_OLD_BITS = 14, 28, 24


@contextmanager
def opened_picture(path: PathLike, what: str, problem: str = "") -> Iterator[Image.Image]:
    """Open a picture, of which no pixel is decoded yet; every error within is the file's.

    Parameters
    ----------
    path : path
    what : str
        "image" or "mask", for errors.
    problem : str
        What errors say of a file that is damaged; that it cannot be read by default.

    Yields
    ------
    Image

    Raises
    ------
    DataError
        The file is missing, is no picture of a format in `FORMATS`, is damaged, or has more than
        `MOST_PIXELS`.
    """
    try:
        if not Path(path).is_file():
            raise _missing(path, what)
        # By its stream: of an opened path, Pillow maps TIFFs into memory and misreads turned ones.
        with open(path, "rb") as stream, Image.open(stream, formats=FORMATS) as picture:
            width, height = picture.size
            if width * height > MOST_PIXELS:
                raise file_error(path, _too_large(what, width, height), "cut or shrink it")
            if picture.format == "BMP":
                _check_bmp(path, picture, what)
            yield picture
    except RerankError:
        raise
    except Image.DecompressionBombError as error:
        raise file_error(path, _too_large(what), "cut or shrink it") from error
    # Decoders raise many kinds, depending on where a file is damaged.
    except Exception as error:
        raise unreadable_error(path, what, error, problem=problem) from error


def _missing(path: PathLike, what: str) -> DataError:
    if Path(path).exists():
        return file_error(path, f"the {what} is not a file", "put a file of that name there")
    return DataError(missing_file(path, what))


def _too_large(what: str, width: int = 0, height: int = 0) -> str:
    size = f"{width}x{height} and so " if width else ""
    return f"the {what} has {size}more than {MOST_PIXELS} pixels"


def _check_bmp(path: PathLike, picture: Image.Image, what: str) -> None:
    """Refuse bitmaps that Pillow misreads: grey palettes with another depth than it assumes."""
    with open(path, "rb") as file:
        head = file.read(32)
    old = struct.unpack_from("<I", head, _BMP_HEADER)[0] < 40
    bits = struct.unpack_from("<H", head, _BMP_OLD_BITS if old else _BMP_BITS)[0]
    assumed = {"1": 1, "L": 8}.get(picture.mode, bits)
    if bits != assumed:
        raise file_error(
            path,
            f"the {what} is a bitmap of {bits} bits a pixel with a grey palette, which is not "
            "read exactly",
            "save it as PNG",
        )
