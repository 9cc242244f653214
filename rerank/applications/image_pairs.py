"""Images and network maps in two folders, paired by name."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from rerank.datasets.network_maps import MAP_SUFFIXES
from rerank.errors import DataError

_IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


class ImagePair(NamedTuple):
    """The files of an image and of its network map."""

    image: Path
    probabilities: Path


def pair_images(probabilities: Path, images: Path) -> list[ImagePair]:
    """Pair the images of a folder with the network maps of another, by name.

    Parameters
    ----------
    probabilities : Path
        Folder of `ID.npy` or `ID.npz`.
    images : Path

    Returns
    -------
    list of ImagePair
        In the order of the images' names.

    Raises
    ------
    DataError
        If a folder is missing or empty, two files have one name, or an image has no map or a map
        no image.
    """
    for folder, what in ((probabilities, "--probabilities"), (images, "--images")):
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder; {what} names one")
    pictures, maps = _by_stem(images, _IMAGES), _by_stem(probabilities, MAP_SUFFIXES)
    if not pictures:
        raise DataError(f"{images}: no images ({', '.join(_IMAGES)})")
    if not maps:
        raise DataError(
            f"{probabilities}: no probability maps; expected ID.npy or ID.npz, "
            "written with numpy.save"
        )
    for stem in sorted(set(pictures) ^ set(maps)):
        if stem in pictures:
            raise DataError(
                f"{pictures[stem]}: no probability map; expected {probabilities / stem}.npy"
            )
        raise DataError(f"{maps[stem]}: no image called {stem} in {images}")
    return [ImagePair(path, maps[stem]) for stem, path in pictures.items()]


def _by_stem(folder: Path, endings: tuple[str, ...]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in endings:
            other = found.get(path.stem)
            if other is not None:
                raise DataError(f"{path}: {other.name} has the same name; keep one of them")
            found[path.stem] = path
    return found
