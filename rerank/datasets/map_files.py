"""The files that hold network maps: where the map of an image is, its shape, and its values."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rerank.datasets.map_pictures import class_pictures, pictures_header, read_pictures
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
_UNREADABLE = (OSError, ValueError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile)


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
    found = []
    if folder.is_dir():
        single = (folder / f"{image_id}{suffix}" for suffix in MAP_SUFFIXES)
        found = [MapFile(path) for path in single if path.is_file()]
        if class_pictures(folder / image_id):
            found.append(MapFile(folder / image_id))
    for path in _collections(folder):
        with _opened(path) as file:
            if image_id in file:
                found.append(MapFile(path, image_id))
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
    collections = _collections(folder)
    for path in collections:
        with _opened(path) as file:
            for name in _data_sets(file):
                found.setdefault(name, []).append(MapFile(path, name))
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path in collections or path.name.startswith("."):
            continue
        if path.suffix.lower() in MAP_SUFFIXES and path.is_file():
            found.setdefault(path.stem, []).append(MapFile(path))
        elif path.is_dir() and class_pictures(path):
            found.setdefault(path.name, []).append(MapFile(path))
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
    with _readable(path):
        if path.suffix.lower() in _HDF5:
            with _opened(path) as file:
                data = file[source.item or _only(path, _data_sets(file))]
                return MapHeader(tuple(data.shape), data.dtype)
        if path.suffix.lower() == ".npz":
            with np.load(path, allow_pickle=False) as arrays, zipfile.ZipFile(path) as archive:
                with archive.open(f"{_only(path, arrays.files)}.npy") as member:
                    return _npy_header(member)
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        return MapHeader(mapped.shape, mapped.dtype)


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
    with _readable(path):
        if path.suffix.lower() in _HDF5:
            with _opened(path) as file:
                found: Array = file[source.item or _only(path, _data_sets(file))][()]
                return found
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            found = loaded[_only(path, loaded.files)]
            return found


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
        if len(files) > 1:
            digest.update(f"{path.name} {path.stat().st_size} ".encode())
        with _readable(path), open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _collections(folder: Path) -> list[Path]:
    if folder.suffix.lower() in _HDF5 and folder.is_file():
        return [folder]
    return [folder / name for name in COLLECTIONS if (folder / name).is_file()]


def _only(path: Path, names: list[str]) -> str:
    if len(names) == 1:
        return names[0]
    some = f" ({', '.join(names[:5])}{', ...' if len(names) > 5 else ''})" if names else ""
    remedy = "; the file of all images is called maps.h5" if path.suffix.lower() in _HDF5 else ""
    raise DataError(f"{path}: holds {len(names)} arrays{some}; keep one{remedy}")


def _npy_header(member: Any) -> MapHeader:
    version = np.lib.format.read_magic(member)
    read = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    shape, _, dtype = read(member)
    return MapHeader(shape, dtype)


def _data_sets(file: Any) -> list[str]:
    import h5py

    names: list[str] = []

    def note(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            names.append(name)

    file.visititems(note)
    return names


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    import h5py

    with _readable(path), h5py.File(path, "r") as file:
        yield file


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except _UNREADABLE as error:
        what = "an HDF5 file" if path.suffix.lower() in _HDF5 else "a NumPy array"
        remedy = "h5py" if path.suffix.lower() in _HDF5 else "numpy.save"
        reason = " ".join(str(error).split())[:120]
        raise DataError(f"{path}: not {what} ({reason}); write it with {remedy}") from None
