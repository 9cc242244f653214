"""Arrays and texts in HDF5 files: the same bytes for the same arrays, begun only where they fit."""

from __future__ import annotations

import errno
import io
import math
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from h5py import h5a, h5d, h5f, h5fd, h5g, h5l, h5o, h5p, h5s, h5t, h5z

from rerank.engine.guarded_file import guard_of, guarded

_CHUNK_BYTES = 1 << 20
#: Room that is left on a disk, for manifests and for others.
RESERVE_BYTES = 16 << 20
#: What files may hold, and how: numbers and texts, in the file, plain or compressed by gzip.
_LETTERS = {h5t.INTEGER: "i", h5t.FLOAT: "f", h5t.STRING: "S"}
_LAYOUTS = (h5d.COMPACT, h5d.CONTIGUOUS, h5d.CHUNKED)
_FILTERS = (h5z.FILTER_DEFLATE, h5z.FILTER_SHUFFLE)
#: Most bytes that the arrays of a file may have: this many, and this many for each byte of it.
_FREE_BYTES, _MOST_EXPANSION = 64 << 20, 200
#: Data sets that are kept open at a time: each takes 80 KB.
_MOST_OPEN = 64
#: Most groups within groups.
_MOST_DEPTH = 8


@contextmanager
def new_file(place: Path | io.BytesIO) -> Iterator[h5py.File]:
    """A new, empty file whose bytes are decided by what is written to it alone.

    Parameters
    ----------
    place : Path or BytesIO
        What is there is replaced.

    Yields
    ------
    HDF5 file

    Raises
    ------
    OSError
        If anything could not be written.
    """
    with nullcontext(place) if isinstance(place, io.BytesIO) else guarded(place) as raw:
        access, settings = h5p.create(h5p.FILE_ACCESS), h5p.create(h5p.FILE_CREATE)
        access.set_fileobj_driver(h5fd.fileobj_driver, raw)
        access.set_fclose_degree(h5f.CLOSE_STRONG)
        # An older layout spends 3 KB on each small array.
        access.set_libver_bounds(h5f.LIBVER_V110, h5f.LIBVER_V110)
        settings.set_obj_track_times(False)
        name = repr(raw).encode()
        with _UntimedFile(h5f.create(name, h5f.ACC_TRUNC, fapl=access, fcpl=settings)) as file:
            yield file


class _Untimed:
    """A group that makes groups in it without the time at which they were made."""

    id: Any

    def create_group(self, name: str, track_order: None = None) -> h5py.Group:
        """Make a group, and those that it lies in.

        Parameters
        ----------
        name : str
        track_order : None
            Without meaning here.

        Returns
        -------
        HDF5 group
        """
        folder, _, own = name.rpartition("/")
        settings = h5p.create(h5p.GROUP_CREATE)
        settings.set_obj_track_times(False)
        parent = self.require_group(folder) if folder else self
        return _UntimedGroup(h5g.create(parent.id, own.encode(), gcpl=settings))

    def require_group(self, name: str) -> h5py.Group:
        """The group of that name, made where it is not there."""
        return self[name] if name in self else self.create_group(name)  # type: ignore[operator]

    def __getitem__(self, name: str) -> Any:
        found = super().__getitem__(name)  # type: ignore[misc]
        return _UntimedGroup(found.id) if type(found) is h5py.Group else found


class _UntimedGroup(_Untimed, h5py.Group):
    pass


class _UntimedFile(_Untimed, h5py.File):
    pass


def write_array(group: h5py.Group, name: str, values: Any, compress: bool | None = None) -> None:
    """Write an array.

    Parameters
    ----------
    group : HDF5 group
    name : str
        May name groups that it lies in.
    values : array-like of numbers
    compress : bool, optional
        Whether it is packed. By default all but single precision is, which hardly shrinks.

    Raises
    ------
    TypeError
        If `values` are strings.
    OSError
        If the disk has no room for them.
    """
    array = np.asarray(values)
    if array.dtype.kind in "UOS":
        raise TypeError("strings are written by write_strings")
    _create(group, name, array, array.dtype != np.float32 if compress is None else compress)


def write_arrays(group: h5py.Group, arrays: Mapping[str, Any]) -> None:
    """Write each array of a mapping.

    Parameters
    ----------
    group : HDF5 group
    arrays : mapping of name to array-like
        Tuples, lists and arrays of strings go to `write_strings`.
    """
    for name, values in arrays.items():
        if isinstance(values, (tuple, list)) and (not values or isinstance(values[0], str)):
            write_strings(group, name, values)
        elif np.asarray(values).dtype.kind in "UO":
            write_strings(group, name, [str(v) for v in np.atleast_1d(np.asarray(values))])
        else:
            write_array(group, name, values)


def read_arrays(group: h5py.Group) -> dict[str, Any]:
    """The inverse of `write_arrays`: arrays, and tuples of strings."""
    found: dict[str, Any] = {}
    for name, item in group.items():
        if isinstance(item, h5py.Dataset):
            is_text = h5py.check_string_dtype(item.dtype) is not None
            found[name] = read_strings(item) if is_text else item[()]
    return found


def write_strings(group: h5py.Group, name: str, values: Sequence[str]) -> None:
    """Write a list of strings as texts of one length, in UTF-8.

    Parameters
    ----------
    group : HDF5 group
    name : str
    values : sequence of str
    """
    encoded = [value.encode("utf-8", "surrogatepass") for value in values]
    length = max([1, *map(len, encoded)])
    array = np.array(encoded, dtype=f"S{length}").reshape(len(encoded))
    _create(group, name, array.astype(h5py.string_dtype("utf-8", length)), True)


def read_strings(dataset: h5py.Dataset) -> tuple[str, ...]:
    """Read a list of strings."""
    values = np.atleast_1d(dataset[()])
    return tuple(bytes(value).decode("utf-8", "surrogatepass") for value in values)


class StoredArray(NamedTuple):
    """Type and shape of a data set.

    Attributes
    ----------
    kind : str
        `f4`, `i8`, `u1`, `b1`, ... or `S` for texts.
    shape : tuple of int
    item : DatasetID or None
        The open data set, of the first ones: to open it again takes longer than most checks.
    """

    kind: str
    shape: tuple[int, ...]
    item: h5d.DatasetID | None = None


def check_structure(file: h5py.File, n_bytes: int) -> dict[str, StoredArray]:
    """Every data set of a file by its path, if the file holds arrays alone.

    Files come from strangers too: nothing in one may lead out of it, or grow without a bound when
    it is read.

    Parameters
    ----------
    file : HDF5 file
    n_bytes : int
        Its size.

    Returns
    -------
    dict of path to StoredArray

    Raises
    ------
    ValueError
        If it holds a link to elsewhere, an object twice, an attribute, data outside the file, a
        type that is neither a number nor a text of fixed length, a filter other than gzip's, or
        more than it may.
    """
    found: dict[str, StoredArray] = {}
    top = h5o.open(file.id, b"/")
    left, seen = _FREE_BYTES + _MOST_EXPANSION * n_bytes, {h5o.get_info(top).addr}
    groups = [("", top)]
    while groups:
        prefix, group = groups.pop()
        if h5a.get_num_attrs(group):
            raise ValueError(f"{prefix or 'it'} has attributes")
        for name, kind, address in _links(group):
            path = f"{prefix}{name.decode()}"
            if kind != h5l.TYPE_HARD:
                raise ValueError(f"{path} is a link to elsewhere")
            if address in seen:
                raise ValueError(f"{path} is another name of something else")
            seen.add(address)
            item = h5o.open(group, name)
            if isinstance(item, h5g.GroupID) and path.count("/") < _MOST_DEPTH:
                groups.append((f"{path}/", item))
                continue
            if not isinstance(item, h5d.DatasetID) or h5a.get_num_attrs(item):
                raise ValueError(f"{path} is no array, or has attributes")
            array = _checked(path, item)
            found[path] = array if len(found) < _MOST_OPEN else array._replace(item=None)
            left -= math.prod(array.shape) * item.get_type().get_size()
            if left < 0:
                raise ValueError(f"{path} holds more than a file of {n_bytes} bytes may")
    return found


def is_full(error: OSError) -> bool:
    """Whether an error says that the disk or the user's share of it is full."""
    return error_number(error) in (errno.ENOSPC, errno.EDQUOT)


def error_number(error: OSError) -> int | None:
    """The system's number of an error, which HDF5 tells in its text alone; None without one."""
    if error.errno is not None:
        return error.errno
    found = re.search(r"errno = (\d+)", str(error))
    return int(found[1]) if found else None


def _create(group: h5py.Group, name: str, array: Any, compress: bool) -> None:
    _check_room(group.file.filename, array.nbytes)
    settings: dict[str, Any] = {}
    if array.size > 0 and array.ndim > 0:
        # Pieces of equal size: the last one takes as much room as the others.
        pieces = -(-array.nbytes // _CHUNK_BYTES)
        settings["chunks"] = (-(-len(array) // max(1, min(pieces, len(array)))), *array.shape[1:])
        if compress and array.nbytes > 64:
            settings |= {"compression": "gzip", "compression_opts": 1, "shuffle": True}
    folder, _, name = name.rpartition("/")
    if folder:
        group = group.require_group(folder)
    made = group.create_dataset(name, data=array, track_times=False, **settings)
    # Values are placed in the file when the last reference to the data set ends, and another thread
    # may hold one, such as a profiler's; so that their order is always the same, it is ended here.
    made.id.close()


def _check_room(name: str, size: int) -> None:
    """Raise what was wrong with the writes before, or that the next has no room."""
    guard = guard_of(name)
    if guard is None:
        return
    if guard.error is not None:
        raise guard.error
    if shutil.disk_usage(guard.path.parent).free < size + RESERVE_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(guard.path))


def _links(group: h5g.GroupID) -> list[tuple[bytes, int, Any]]:
    """Name, kind and address of each link of a group."""
    found: list[tuple[bytes, int, Any]] = []
    group.links.iterate(lambda name, info: found.append((name, info.type, info.u)), info=True)
    return found


def _checked(path: str, item: h5d.DatasetID) -> StoredArray:
    """Type and shape of a data set, if it is a plain array in the file."""
    settings = item.get_create_plist()
    if settings.get_external_count() or settings.get_layout() not in _LAYOUTS:
        raise ValueError(f"{path} keeps its values in other files")
    if any(settings.get_filter(i)[0] not in _FILTERS for i in range(settings.get_nfilters())):
        raise ValueError(f"{path} is packed in an unknown way")
    kind = item.get_type()
    letter = _LETTERS.get(kind.get_class())
    if letter == "i" and kind.get_sign() == h5t.SGN_NONE:
        letter = "u"
    if kind.get_class() == h5t.ENUM and item.dtype == bool:
        letter = "b"
    if letter is None or (letter == "S" and kind.is_variable_str()):
        raise ValueError(f"{path} is neither of numbers nor of texts")
    if item.get_space().get_simple_extent_type() == h5s.NULL:
        raise ValueError(f"{path} has no values")
    return StoredArray(letter if letter == "S" else f"{letter}{kind.get_size()}", item.shape, item)
