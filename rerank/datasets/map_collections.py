"""Network maps in HDF5 files of strangers: arrays that lie in the file itself, and nothing else.

HDF5 can link to other files, keep values in other files, and put filters from anywhere before
values. None of it is followed here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rerank.datasets.map_bounds import check_bytes
from rerank.datasets.problems import unreadable_error
from rerank.errors import DataError, RerankError
from rerank.types import Array

#: Filters that HDF5 itself has: deflate, shuffle, fletcher32, szip, nbit, scale-offset; and LZF.
_FILTERS = frozenset({1, 2, 3, 4, 5, 6, 32000})
#: No compression of HDF5's own gains more; constant chunks that were never written are the rest.
_MOST_GAIN = 1100
_NOT_WRITTEN = 1 << 26
_KINDS = "biuf"
#: Groups within groups.
_DEEPEST = 16
_MOST_OBJECTS = 1_000_000


@contextmanager
def opened_maps(path: Path) -> Iterator[Any]:
    """Open an HDF5 file of maps; every error within is the file's.

    Parameters
    ----------
    path : Path

    Yields
    ------
    h5py.File

    Raises
    ------
    DataError
        If the file cannot be read.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            yield file
    except RerankError:
        raise
    # h5py turns damage into OSError, KeyError, RuntimeError, ValueError, TypeError and others.
    except Exception as error:
        remedy = "write it with h5py"
        raise unreadable_error(path, "map", error, remedy, "not an HDF5 file") from None


def data_sets(file: Any) -> list[str]:
    """Names of all arrays in a file; what links point to is left out.

    Parameters
    ----------
    file : h5py.File

    Returns
    -------
    list of str

    Raises
    ------
    DataError
        If groups are nested without an end.
    """
    import h5py

    names: list[str] = []
    visited = 0
    groups = [("", file, 0)]
    while groups:
        prefix, group, depth = groups.pop()
        for key in group:
            visited += 1
            if depth >= _DEEPEST or visited > _MOST_OBJECTS:
                raise DataError(f"{file.filename}: groups are nested without an end; write it anew")
            if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                continue
            item = group[key]
            if isinstance(item, h5py.Group):
                groups.append((f"{prefix}{key}/", item, depth + 1))
            elif isinstance(item, h5py.Dataset):
                names.append(f"{prefix}{key}")
    return sorted(names)


def holds(file: Any, name: str) -> bool:
    """Whether a file has a data set of a name at its top, which is no link.

    Parameters
    ----------
    file : h5py.File
    name : str

    Returns
    -------
    bool
    """
    import h5py

    if "/" in name or name in ("", "."):
        return False
    link = file.get(name, getlink=True)
    return isinstance(link, h5py.HardLink) and isinstance(file[name], h5py.Dataset)


def data_set(path: Path, file: Any, name: str) -> Any:
    """A data set that may be read: see the module.

    Parameters
    ----------
    path : Path
        Of the file, for errors.
    file : h5py.File
    name : str

    Returns
    -------
    h5py.Dataset

    Raises
    ------
    DataError
        If there is no such data set, it lies elsewhere or is a link, holds no numbers, has an
        unknown filter, or is larger than 4 GiB or than its bytes in the file can be.
    """
    import h5py

    where = f"{path}:{name}"
    item = file
    for part in name.split("/"):
        link = item.get(part, getlink=True) if isinstance(item, h5py.Group) and part else None
        if link is None:
            raise DataError(f"{where}: no such data set; write it with h5py")
        if not isinstance(link, h5py.HardLink):
            raise DataError(f"{where}: is a link, which is not followed; write the array itself")
        item = item[part]
    if not isinstance(item, h5py.Dataset):
        raise DataError(f"{where}: is no data set; write it with h5py")
    if item.external or item.is_virtual:
        raise DataError(f"{where}: its values are in another file; write the array itself")
    if item.dtype.kind not in _KINDS or item.shape is None:
        raise DataError(f"{where}: holds {item.dtype} and no numbers; write an array of floats")
    settings = item.id.get_create_plist()
    for k in range(settings.get_nfilters()):
        if settings.get_filter(k)[0] not in _FILTERS:
            raise DataError(f"{where}: has a filter that is not HDF5's own; compress it by gzip")
    size = check_bytes(where, item.shape, item.dtype.itemsize)
    if item.chunks is not None:
        check_bytes(where, item.chunks, item.dtype.itemsize)
    if size > max(_NOT_WRITTEN, _MOST_GAIN * item.id.get_storage_size()):
        raise DataError(
            f"{where}: an array of shape {item.shape} of which {item.id.get_storage_size()} bytes "
            "are there; write it again"
        )
    return item


def read_data_set(path: Path, file: Any, name: str) -> Array:
    """The array of a data set; `DataError` as `data_set`.

    Parameters
    ----------
    path, file, name
        As in `data_set`.

    Returns
    -------
    ndarray
    """
    found: Array = data_set(path, file, name)[()]
    return found
