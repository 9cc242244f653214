"""Network maps as folders of greyscale PNGs, one for each class."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rerank.datasets.file_names import files_in, lines_of, name_of
from rerank.datasets.map_bounds import check_bytes
from rerank.datasets.picture_files import opened_picture
from rerank.errors import DataError
from rerank.types import Array

_ORIENTATION = 0x0112
#: Modes of Pillow, and the type of their pixels.
_DTYPES = {"L": np.uint8, "I;16": np.uint16, "I;16B": np.uint16, "I": np.uint16}


def class_pictures(folder: Path) -> list[Path]:
    """The PNGs of a folder, by name; none where there is no such folder."""
    return files_in(folder, (".png",))


def pictures_header(folder: Path) -> tuple[tuple[int, int, int], np.dtype[np.generic]]:
    """The shape and type of the map that a folder's PNGs are, from their headers.

    Raises
    ------
    DataError
        If a class is missing or a picture is no greyscale PNG, or two have different sizes.
    """
    found = []
    paths = _in_class_order(folder)
    for path in paths:
        with opened_picture(path, "map", "not a PNG") as picture:
            if picture.format != "PNG":
                raise DataError(f"{path}: not a PNG but a {picture.format}; write it again")
            if picture.getexif().get(_ORIENTATION, 1) != 1:
                raise DataError(f"{path}: is turned by its EXIF data; write it without them")
            found.append((picture.size, _DTYPES.get(picture.mode)))
            if found[-1][1] is None:
                raise DataError(
                    f"{path}: a {picture.mode} picture; write the probabilities of a class as a "
                    "greyscale PNG of 8 or 16 bits"
                )
        if found[-1] != found[0]:
            raise DataError(
                f"{path}: another size or depth than {paths[0].name}; write all classes of an "
                "image alike"
            )
    (width, height), dtype = found[0]
    check_bytes(folder, (len(found), height, width), np.dtype(dtype).itemsize)
    return (len(found), height, width), np.dtype(dtype)


def read_pictures(folder: Path) -> Array:
    """The map that a folder's PNGs are, (C, H, W) uint8 or uint16.

    Raises
    ------
    DataError
        As `pictures_header`, or if a picture cannot be read.
    """
    shape, dtype = pictures_header(folder)
    values = np.empty(shape, dtype)
    for index, path in enumerate(_in_class_order(folder)):
        with opened_picture(path, "map", "not a PNG") as picture:
            values[index] = np.asarray(picture)
    return values


def _in_class_order(folder: Path) -> list[Path]:
    paths = class_pictures(folder)
    by_name: dict[str, Path] = {}
    for path in paths:
        other = by_name.setdefault(name_of(path), path)
        if other != path:
            raise DataError(f"{path}: {other.name} has the same name; keep one of them")
    if all(name.isascii() and name.isdecimal() and len(name) < 6 for name in by_name):
        numbers = {int(name): path for name, path in by_name.items()}
        missing = [k for k in range(max(numbers) + 1) if k not in numbers]
        if missing or len(numbers) < len(by_name):
            raise DataError(
                f"{folder}: {len(by_name)} PNGs, and class {missing[0] if missing else 0} is "
                f"{'missing' if missing else 'there twice'}; write one for each class, 0.png to "
                f"{max(numbers)}.png"
            )
        return [numbers[k] for k in sorted(numbers)]
    listing = folder.parent / "classes.txt"
    if not listing.is_file():
        raise DataError(
            f"{listing}: missing, and the PNGs of {folder.name} are named by class; list the "
            "classes there in their order, one per line"
        )
    names = lines_of(listing, "list of classes")
    for name in names:
        if name not in by_name:
            raise DataError(f"{folder / name}.png: missing; {listing} lists this class")
    extra = sorted(set(by_name) - set(names))
    if extra:
        raise DataError(f"{by_name[extra[0]]}: no class of {listing}; add it there or remove it")
    return [by_name[name] for name in names]
