"""The files that hold network maps: where the map of an image is, its shape, and its values."""

from __future__ import annotations

import functools
import hashlib
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rerank.datasets.file_names import composed, files_in, folders_in, name_of
from rerank.datasets.map_collections import data_set, data_sets, holds, opened_maps, read_data_set
from rerank.datasets.map_pictures import class_pictures, pictures_header, read_pictures
from rerank.datasets.numpy_files import NumpyArchive, npy_header, read_npy
from rerank.datasets.problems import unreadable_error
from rerank.errors import DataError
from rerank.types import Array

#: Endings of files that hold the map of one image.
MAP_SUFFIXES = (".npy", ".npz", ".h5", ".hdf5")
#: Files that hold the maps of all images, a data set for each.
COLLECTIONS = ("maps.h5", "maps.hdf5")
#: What a folder of maps may hold, for errors.
KINDS = (
    "ID.npy, ID.npz, ID.h5, one maps.h5 with a data set ID for each image, or folders ID of PNGs, "
    "one per class"
)
_HDF5 = (".h5", ".hdf5")


class MapFile(NamedTuple):
    """Where the network map of an image is.

    Attributes
    ----------
    path : Path
        A file, or a folder of PNGs.
    item : str or None
        The data set, in a file that holds the maps of all images.
    """

    path: Path
    item: str | None = None

    def __str__(self) -> str:
        return str(self.path) if self.item is None else f"{self.path}:{self.item}"


class MapHeader(NamedTuple):
    """What is known of a map before its values are read."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def find_map(folder: Path, image_id: str) -> MapFile:
    """The network map of an image.

    Parameters
    ----------
    folder : Path
        The folder of the maps, or one HDF5 file with a data set for each image.
    image_id : str

    Returns
    -------
    MapFile

    Raises
    ------
    DataError
        If there is none, or more than one.
    """
    found = _files_of(folder, image_id)
    for path in _collections(folder):
        with opened_maps(path) as file:
            names = [form for form in _forms(image_id) if holds(file, form)]
            found += [MapFile(path, name) for name in names]
    if not found:
        raise DataError(
            f"{folder / image_id}.npy: no probability map for image {image_id}; {folder} may hold "
            f"{KINDS}"
        )
    if len(found) > 1:
        raise DataError(f"{found[1]}: {found[0]} is a map of the same image; keep one of them")
    return found[0]


def list_maps(folder: Path) -> dict[str, list[MapFile]]:
    """All network maps of a folder, by the name of their image.

    Parameters
    ----------
    folder : Path
        The folder of the maps, or one HDF5 file with a data set for each image.

    Returns
    -------
    dict of str to list of MapFile
        More than one where an image has several.

    Raises
    ------
    DataError
        If an HDF5 file cannot be read.
    """
    found: dict[str, list[MapFile]] = {}
    for path in _collections(folder):
        with opened_maps(path) as file:
            for name in data_sets(file):
                found.setdefault(composed(name), []).append(MapFile(path, name))
    for name, files in _single_maps(folder).items():
        found.setdefault(name, []).extend(files)
    return found


def read_header(source: MapFile) -> MapHeader:
    """The shape and type of a map, without its values.

    Raises
    ------
    DataError
        If the file cannot be read, or holds more than one array.
    """
    path = source.path
    if path.is_dir():
        return MapHeader(*pictures_header(path))
    suffix = path.suffix.lower()
    if suffix in _HDF5:
        with opened_maps(path) as file:
            data = data_set(path, file, source.item or _only(path, data_sets(file)))
            return MapHeader(tuple(data.shape), data.dtype)
    if suffix == ".npz":
        archive = NumpyArchive(path)
        return MapHeader(*archive.header(_only(path, archive.names)))
    return MapHeader(*npy_header(path))


def read_values(source: MapFile) -> Array:
    """The array of a map, as it is in the file.

    Raises
    ------
    DataError
        If the file cannot be read, or holds more than one array.
    """
    path = source.path
    if path.is_dir():
        return read_pictures(path)
    suffix = path.suffix.lower()
    if suffix in _HDF5:
        with opened_maps(path) as file:
            return read_data_set(path, file, source.item or _only(path, data_sets(file)))
    if suffix == ".npz":
        archive = NumpyArchive(path)
        return archive.read(_only(path, archive.names))
    return read_npy(path)


def map_digest(source: MapFile) -> str:
    """A digest of a map's bytes, hexadecimal: it changes when the map does.

    Raises
    ------
    DataError
        If the file cannot be read.
    """
    digest = hashlib.blake2b()
    if source.item is not None:
        values = read_values(source)
        digest.update(f"{values.shape} {values.dtype}".encode())
        digest.update(np.ascontiguousarray(values).tobytes())
        return digest.hexdigest()
    files = class_pictures(source.path) if source.path.is_dir() else [source.path]
    for path in files:
        try:
            with open(path, "rb") as file:
                if len(files) > 1:
                    digest.update(f"{path.name} {path.stat().st_size} ".encode())
                while block := file.read(1 << 20):
                    digest.update(block)
        except OSError as error:
            raise unreadable_error(path, "map", error) from error
    return digest.hexdigest()


def _files_of(folder: Path, image_id: str) -> list[MapFile]:
    """The files and folders of an image's map; of an odd ending, by a look at all of them."""
    forms = _forms(image_id)
    try:
        found = [MapFile(p) for p in _there(folder, (f + e for f in forms for e in MAP_SUFFIXES))]
        pictured = next((form for form in forms if class_pictures(folder / form)), None)
        changed = folder.stat().st_mtime_ns if folder.exists() else 0
    except OSError as error:
        raise unreadable_error(folder, "folder of maps", error) from error
    if pictured is not None:
        found.append(MapFile(folder / pictured))
    return found or _single_maps_at(folder, changed).get(composed(image_id), [])


def _there(folder: Path, names: Iterable[str]) -> list[Path]:
    """Which files of these names are there, with their endings in lower or in upper case."""
    found: dict[tuple[int, int], Path] = {}
    for name in names:
        stem, point, ending = name.rpartition(".")
        for path in (folder / name, folder / f"{stem}{point}{ending.upper()}"):
            if path.is_file():
                # Where a disk makes no difference of these names, they are one file.
                about = path.stat()
                found.setdefault((about.st_dev, about.st_ino), path)
    return list(found.values())


@functools.lru_cache(maxsize=8)
def _single_maps_at(folder: Path, changed: int) -> dict[str, list[MapFile]]:
    """`_single_maps`, looked up once for each time at which the folder changed."""
    return _single_maps(folder)


def _single_maps(folder: Path) -> dict[str, list[MapFile]]:
    """The maps of a folder that are files or folders of their own, by the name of their image."""
    found: dict[str, list[MapFile]] = {}
    for path in files_in(folder, MAP_SUFFIXES):
        if path.name.lower() not in COLLECTIONS:
            found.setdefault(name_of(path), []).append(MapFile(path))
    for path in folders_in(folder):
        if class_pictures(path):
            found.setdefault(composed(path.name), []).append(MapFile(path))
    return found


def _forms(name: str) -> tuple[str, ...]:
    """A name as it is, with accents joined to their letters, and apart from them."""
    apart = unicodedata.normalize("NFD", name)
    return tuple(dict.fromkeys((name, composed(name), apart)))


def _collections(folder: Path) -> list[Path]:
    if folder.suffix.lower() in _HDF5 and folder.is_file():
        return [folder]
    return _there(folder, COLLECTIONS)


def _only(path: Path, names: list[str]) -> str:
    if len(names) == 1:
        return names[0]
    some = f" ({', '.join(names[:5])}{', ...' if len(names) > 5 else ''})" if names else ""
    remedy = "; the file of all images is called maps.h5" if path.suffix.lower() in _HDF5 else ""
    raise DataError(f"{path}: holds {len(names)} arrays{some}; keep one{remedy}")
