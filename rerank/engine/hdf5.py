"""Arrays and strings in HDF5 files: checksummed, begun only where the disk has room."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

import h5py
import numpy as np

_CHUNK_BYTES = 1 << 20
#: Room that is left on a disk: HDF5 crashes where it cannot write what it has buffered.
RESERVE_BYTES = 16 << 20


def write_array(group: h5py.Group, name: str, values: Any) -> None:
    """Write an array with a checksum.

    Integers are compressed. Floats are not: they hardly shrink.

    Parameters
    ----------
    group : HDF5 group
    name : str
    values : array-like of numbers

    Raises
    ------
    TypeError
        If `values` are strings.
    OSError
        If the disk has no room for them.
    """
    array = np.asarray(values)
    if array.dtype.kind in "UO":
        raise TypeError("strings are written by write_strings")
    _check_room(group.file.filename, array.nbytes)
    if array.size == 0 or array.ndim == 0:
        group.create_dataset(name, data=array)
        return
    rows = max(1, _CHUNK_BYTES // max(1, array[0].nbytes))
    chunks = (min(rows, len(array)), *array.shape[1:])
    compress: dict[str, Any] = {}
    if array.dtype.kind in "iub" and array.nbytes > 64:
        compress = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
    group.create_dataset(name, data=array, chunks=chunks, fletcher32=True, **compress)


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
    """Write a list of strings.

    Parameters
    ----------
    group : HDF5 group
    name : str
    values : sequence of str
    """
    group.create_dataset(
        name,
        data=np.array(list(values), dtype=object).reshape(len(values)),
        dtype=h5py.string_dtype(),
    )


def read_strings(dataset: h5py.Dataset) -> tuple[str, ...]:
    """Read a list of strings."""
    return tuple(str(value) for value in dataset.asstr()[()])


def _check_room(path: str, size: int) -> None:
    if shutil.disk_usage(os.path.dirname(path) or ".").free < size + RESERVE_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def is_full(error: OSError) -> bool:
    """Whether an error says that the disk or the user's share of it is full."""
    # HDF5 tells the system's error number in its text alone.
    return error.errno in (errno.ENOSPC, errno.EDQUOT) or f"errno = {errno.ENOSPC}," in str(error)
