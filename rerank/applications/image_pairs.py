"""Images and network maps in two folders, paired by name and checked before they are read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rerank.datasets.image_files import image_size, list_images
from rerank.datasets.map_files import KINDS
from rerank.datasets.network_maps import MapCheck, MapFile, MapsFound, check_maps, list_maps
from rerank.errors import DataError


class ImagePair(NamedTuple):
    """The files of an image and of its network map."""

    image: Path
    probabilities: MapFile


def pair_images(probabilities: Path, images: Path) -> list[ImagePair]:
    """Pair the images of a folder with the network maps of another, by name.

    Parameters
    ----------
    probabilities : Path
        The folder of the maps, or one HDF5 file with a data set for each image: see
        `rerank.datasets.map_files`.
    images : Path

    Returns
    -------
    list of ImagePair
        In the order of the images' names.

    Raises
    ------
    DataError
        If a folder is missing or empty, two files have one name, an image has no map or a map no
        image, or a map does not fit its image or the other maps. All problems are listed.
    """
    return check_pairs(probabilities, images)[0]


def check_pairs(probabilities: Path, images: Path) -> tuple[list[ImagePair], MapsFound]:
    """`pair_images`, and what the headers of the maps say.

    Parameters
    ----------
    probabilities, images : Path
        As in `pair_images`.

    Returns
    -------
    pairs : list of ImagePair
    found : MapsFound

    Raises
    ------
    DataError
        As `pair_images`.
    """
    pictures, problems = list_images(images)
    if not probabilities.exists():
        raise DataError(f"{probabilities}: no such folder; --probabilities names one")
    maps = list_maps(probabilities)
    if not maps:
        raise DataError(f"{probabilities}: no probability maps; expected {KINDS}")
    for several in maps.values():
        if len(several) > 1:
            problems.append(f"{several[1]}: {several[0]} has the same name; keep one of them")
    for name in sorted(set(pictures) ^ set(maps)):
        if name in pictures:
            problems.append(
                f"{pictures[name]}: no probability map; expected {probabilities / name}.npy"
            )
        else:
            problems.append(
                f"{maps[name][0]}: no image called {name} in {images}; add it, or give maps of "
                "these images alone"
            )
    pairs = [ImagePair(path, maps[name][0]) for name, path in pictures.items() if name in maps]
    return pairs, check_map_pairs(pairs, problems=problems)


def check_map_pairs(
    pairs: Sequence[ImagePair], n_classes: int | None = None, problems: Sequence[str] = ()
) -> MapsFound:
    """Check the maps of images by their headers, and list all problems at once.

    Parameters
    ----------
    pairs : sequence of ImagePair
    n_classes : int, optional
        What the number of classes must be; that of most maps by default.
    problems : sequence of str
        Problems that are known already, listed first.

    Returns
    -------
    MapsFound

    Raises
    ------
    DataError
        If there are problems.
    """
    known, checks = list(problems), []
    for pair in pairs:
        try:
            checks.append(MapCheck(pair.probabilities, image_size(pair.image)))
        except DataError as error:
            known.append(str(error))
    return check_maps(checks, n_classes, known)
