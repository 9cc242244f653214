"""Which axis of a network map holds the classes, and whether the map has its image's aspect."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rerank.errors import InputError

#: Types of maps in files; integers are quantised probabilities, n / 255 and n / 65535.
QUANTISED = {"uint8": 255.0, "uint16": 65535.0}


class MapLayout(NamedTuple):
    """How the array of a network map is laid out.

    Attributes
    ----------
    height, width, n_classes : int
        Of the map, which may be smaller or larger than its image.
    classes_first : bool
        Whether the array is (C, H, W) and not (H, W, C).
    """

    height: int
    width: int
    n_classes: int
    classes_first: bool


def map_layout(
    shape: tuple[int, ...], size: tuple[int, int], n_classes: int | None = None, where: str = ""
) -> MapLayout:
    """Find the class axis of a network map by the size of its image.

    The two other axes have the image's aspect, but for rounding by a pixel. Where both the first
    and the last axis could be the classes', the map that has exactly the image's size wins, then
    the one that is clearly nearer to its aspect.

    Parameters
    ----------
    shape : tuple of int
        Of the array: (H, W, C) or (C, H, W), and a leading axis of 1 is left out.
    size : (int, int)
        Height and width of the image.
    n_classes : int, optional
        What C must be; any by default.
    where : str
        Names the map in errors.

    Returns
    -------
    MapLayout

    Raises
    ------
    InputError
        If the map has another number of axes, another aspect or another number of classes than it
        should, or both ends could be the classes.
    """
    prefix = f"{where}: " if where else ""
    given = tuple(int(side) for side in shape)
    if len(given) == 4 and given[0] == 1:
        given = given[1:]
    if len(given) != 3:
        raise InputError(
            f"{prefix}{_expected(size, n_classes)}, got shape {shape}; {_of_two_axes(given)}"
        )
    layouts = [
        MapLayout(given[0], given[1], given[2], False),
        MapLayout(given[1], given[2], given[0], True),
    ]
    fitting = [x for x in layouts if has_aspect((x.height, x.width), size)]
    if not fitting and n_classes not in (None, given[0], given[2]):
        raise InputError(
            f"{prefix}{_expected(size, n_classes)}, or of the same aspect, got {given}; neither "
            f"end has the {n_classes} classes that are wanted, in the data set's order"
        )
    if not fitting:
        raise InputError(
            f"{prefix}{_expected(size, n_classes)}, or of the same aspect, got {shape}; "
            + _about_aspect(layouts, size)
        )
    if fitting[0].n_classes < 2:
        raise InputError(
            f"{prefix}a map of one class, {shape}; write both classes, such as "
            "numpy.stack([1 - p, p], axis=-1)"
        )
    right = [x for x in fitting if n_classes in (None, x.n_classes)]
    if not right:
        raise InputError(
            f"{prefix}{_expected(size, n_classes)}, got {shape}; the map has "
            f"{fitting[0].n_classes} classes and {n_classes} are wanted, in the data set's order"
        )
    if len(right) > 1:
        right = [x for x in right if (x.height, x.width) == size] or right
    if len(right) > 1:
        right = _nearest(right, size)
    if len(right) > 1:
        raise InputError(
            f"{prefix}shape {shape}, so that the first and the last axis could both be the "
            f"classes of an image {size[0]}x{size[1]}; resize the map to its image"
        )
    return right[0]


def has_aspect(given: tuple[int, int], size: tuple[int, int]) -> bool:
    """Whether a map has the aspect of an image, each of its sides rounded by up to one pixel.

    Parameters
    ----------
    given, size : (int, int)
        Height and width, of the map and of the image.

    Returns
    -------
    bool
    """
    (h, w), (height, width) = given, size
    if (h, w) == (height, width):
        return True
    if min(h, w) < 1:
        return False
    return (h - 1) * width <= (w + 1) * height and (w - 1) * height <= (h + 1) * width


def check_dtype(dtype: np.dtype[np.generic], where: str = "") -> None:
    """Refuse what is neither of floats nor quantised with 8 or 16 bits.

    Parameters
    ----------
    dtype : dtype
    where : str
        Names the map in errors.

    Raises
    ------
    InputError
        If the map is of another type.
    """
    if np.issubdtype(dtype, np.floating) or dtype.name in QUANTISED:
        return
    raise InputError(
        f"{f'{where}: ' if where else ''}expected floats, or probabilities quantised as uint8 or "
        f"uint16, got {dtype}; a map holds a value for each class and not the labels"
    )


def _nearest(layouts: list[MapLayout], size: tuple[int, int]) -> list[MapLayout]:
    """The layout whose sides are clearly nearer to the image's aspect, or both."""
    off = [abs(x.height * size[1] - x.width * size[0]) for x in layouts]
    if min(off) <= max(off) / 2 and max(off) > 0:
        return [layouts[off.index(min(off))]]
    return layouts


def _expected(size: tuple[int, int], n_classes: int | None) -> str:
    wanted = "C" if n_classes is None else str(n_classes)
    return (
        f"expected ({size[0]}, {size[1]}, {wanted}) or ({wanted}, {size[0]}, {size[1]}) for an "
        f"image {size[0]}x{size[1]}"
    )


def _of_two_axes(given: tuple[int, ...]) -> str:
    if len(given) == 2:
        return (
            "a map has a value for each class; of two classes write both, such as "
            "numpy.stack([1 - p, p], axis=-1)"
        )
    return "write one array of three axes for each image"


def _about_aspect(layouts: list[MapLayout], size: tuple[int, int]) -> str:
    turned = (size[1], size[0])
    if any(has_aspect((x.height, x.width), turned) for x in layouts):
        return (
            "height and width are swapped: transpose the map, or turn the image before the "
            "network sees it, as its EXIF data say"
        )
    return (
        "the map's aspect is another: cut padding off, and resize the output of a network that "
        "sees stretched or cropped images back to the image, as `rerank maps` does"
    )
