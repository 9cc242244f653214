"""Network maps: what a network of the user's says about the pixels of images.

A folder of maps is paired with images, checked by the headers of its files, and read one map at a
time as class probabilities of the size of the image.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from rerank.datasets.map_files import (
    MAP_SUFFIXES,
    MapFile,
    find_map,
    list_maps,
    read_header,
    read_values,
)
from rerank.datasets.map_layout import MapLayout, check_dtype, map_layout
from rerank.datasets.map_values import NetworkMap, fit_map
from rerank.datasets.problems import problems_error
from rerank.errors import DataError, InputError

#: Problems that an error lists.
LISTED = 10

__all__ = [
    "MAP_SUFFIXES",
    "MapCheck",
    "MapFile",
    "NetworkMap",
    "check_maps",
    "find_map",
    "fit_map",
    "list_maps",
    "read_map",
]


def read_map(
    source: MapFile | Path, size: tuple[int, int], n_classes: int | None = None
) -> NetworkMap:
    """Read the network map of an image as class probabilities of its pixels.

    Parameters
    ----------
    source : MapFile or Path
    size : (int, int)
        Height and width of the image.
    n_classes : int, optional
        What the map's number of classes must be; any by default.

    Returns
    -------
    NetworkMap
        Of the image's size, (H, W, C) float32: see `fit_map`.

    Raises
    ------
    DataError
        If the file cannot be read, or its map does not fit the image or the classes.
    """
    where = source if isinstance(source, MapFile) else MapFile(Path(source))
    try:
        return fit_map(read_values(where), size, n_classes, str(where))
    except InputError as error:
        raise DataError(str(error)) from None


class MapCheck(NamedTuple):
    """A map that is to be checked, and the size that its image has: height and width."""

    source: MapFile
    size: tuple[int, int]


@dataclass(frozen=True)
class MapsFound:
    """What the headers of checked maps say.

    Attributes
    ----------
    n_maps : int
    n_classes : int
        Of every map.
    resized : int
        How many maps have another size than their image.
    example : str
        One of these sizes and that of its image.
    scores : bool
        Whether the first map holds scores, to which a softmax is applied.
    """

    n_maps: int
    n_classes: int
    resized: int = 0
    example: str = ""
    scores: bool = False

    def notes(self) -> list[str]:
        """What is done with the maps, as sentences that are shown once."""
        found = []
        if self.resized:
            found.append(
                f"{self.resized} of {self.n_maps} maps are resized to their images, bilinear "
                f"({self.example})"
            )
        if self.scores:
            found.append("the maps hold scores (logits), so a softmax over the classes is applied")
        return found


def check_maps(
    pairs: Iterable[MapCheck], n_classes: int | None = None, problems: Iterable[str] = ()
) -> MapsFound:
    """Check maps against their images before anything is computed, and list all problems.

    Only headers are read, and the values of the first map.

    Parameters
    ----------
    pairs : iterable of MapCheck
    n_classes : int, optional
        What the number of classes must be; that of most maps by default.
    problems : iterable of str
        Problems that are known already, listed first.

    Returns
    -------
    MapsFound

    Raises
    ------
    DataError
        If there are problems: it lists them.
    """
    found, layouts = list(problems), []
    for pair in pairs:
        try:
            layouts.append((pair, _layout(pair, n_classes)))
        except (DataError, InputError) as error:
            found.append(str(error))
    counts = Counter(layout.n_classes for _, layout in layouts)
    wanted = n_classes or (counts.most_common(1)[0][0] if counts else 0)
    if layouts and len(counts) == 1 and wanted not in counts:
        pair, layout = layouts[0]
        more = f", like the other {len(layouts) - 1} maps" if len(layouts) > 1 else ""
        found.append(
            f"{pair.source}: {layout.n_classes} classes{more}, and {wanted} are wanted; give maps "
            "of the data set's classes, in its order"
        )
        layouts = []
    found += [
        f"{pair.source}: {layout.n_classes} classes, and "
        + (f"{wanted} are wanted" if n_classes else f"most maps have {wanted}")
        for pair, layout in layouts
        if layout.n_classes != wanted
    ]
    scores = False
    if not found and layouts:
        try:
            scores = read_map(*layouts[0][0]).scores
        except DataError as error:
            found.append(str(error))
    if len(found) == 1:
        raise DataError(found[0])
    if found:
        raise problems_error(found, LISTED)
    other = [(p, x) for p, x in layouts if (x.height, x.width) != p.size]
    example = ""
    if other:
        pair, layout = other[0]
        example = f"{layout.height}x{layout.width} to {pair.size[0]}x{pair.size[1]}"
    return MapsFound(len(layouts), wanted, len(other), example, scores)


def _layout(pair: MapCheck, n_classes: int | None) -> MapLayout:
    header = read_header(pair.source)
    check_dtype(header.dtype, str(pair.source))
    try:
        return map_layout(header.shape, pair.size, None, str(pair.source))
    except InputError:
        # With the number of classes, the layout may be clear after all, or the error clearer.
        return map_layout(header.shape, pair.size, n_classes, str(pair.source))
