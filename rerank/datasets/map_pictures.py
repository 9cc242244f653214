"""Network maps as folders of greyscale PNGs, one for each class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from rerank.errors import DataError
from rerank.types import Array

#: Modes of Pillow, and the type of their pixels.
_DTYPES = {"L": np.uint8, "I;16": np.uint16, "I;16B": np.uint16, "I": np.uint16}


def class_pictures(folder: Path) -> list[Path]:
    """The PNGs of a folder, by name; none where there is no such folder."""
    if not folder.is_dir():
        return []
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() == ".png" and not path.name.startswith(".")
    )


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
        with _open(path) as picture:
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
        with _open(path) as picture:
            values[index] = np.asarray(picture)
    return values


def _in_class_order(folder: Path) -> list[Path]:
    paths = class_pictures(folder)
    by_name = {path.stem: path for path in paths}
    if all(name.isdecimal() for name in by_name):
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
    names = [line.strip() for line in listing.read_text().splitlines() if line.strip()]
    for name in names:
        if name not in by_name:
            raise DataError(f"{folder / name}.png: missing; {listing} lists this class")
    extra = sorted(set(by_name) - set(names))
    if extra:
        raise DataError(f"{by_name[extra[0]]}: no class of {listing}; add it there or remove it")
    return [by_name[name] for name in names]


def _open(path: Path) -> Image.Image:
    try:
        return Image.open(path)
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError) as error:
        reason = " ".join(str(error).split())[:120]
        raise DataError(f"{path}: not a PNG ({reason}); write it again") from None
