"""Arrays in `.npy` and `.npz` files of strangers: no pickle, and nothing read that is not there."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy_format

from rerank.datasets.map_bounds import check_bytes
from rerank.datasets.problems import unreadable_error
from rerank.errors import RerankError
from rerank.types import Array

#: Characters of the largest header: of a plain array it has about 100.
_LONGEST_HEADER = 4096
_KINDS = "biuf"
_BLOCK = 1 << 24
_REMEDY, _NO_ARRAY = "write it with numpy.save", "not a NumPy array"


class NumpyHeader(NamedTuple):
    """What a file says of its array."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class _Malformed(Exception):
    """The file holds no plain array."""


def npy_header(path: Path, what: str = "map") -> NumpyHeader:
    """The shape and type of the array in an `.npy` file.

    Parameters
    ----------
    path : Path
    what : str
        What errors call the file.

    Returns
    -------
    NumpyHeader

    Raises
    ------
    DataError
        If the file cannot be read, is no array of numbers, or is shorter than its header says.
    """
    try:
        with open(path, "rb") as stream:
            return _header(path, stream, os.fstat(stream.fileno()).st_size)[0]
    except RerankError:
        raise
    except Exception as error:  # numpy raises many kinds, depending on how a header is damaged
        raise unreadable_error(path, what, error, _REMEDY, _NO_ARRAY) from None


def read_npy(path: Path, what: str = "map") -> Array:
    """The array in an `.npy` file.

    Parameters
    ----------
    path, what
        As in `npy_header`.

    Returns
    -------
    ndarray

    Raises
    ------
    DataError
        As `npy_header`.
    """
    try:
        with open(path, "rb") as stream:
            return _array(path, stream, os.fstat(stream.fileno()).st_size)
    except RerankError:
        raise
    except Exception as error:
        raise unreadable_error(path, what, error, _REMEDY, _NO_ARRAY) from None


class NumpyArchive:
    """An `.npz` file, of which arrays are read one at a time.

    Parameters
    ----------
    path : Path
    what : str
        What errors call the file.
    problem : str
        What they say of a file that is damaged.

    Attributes
    ----------
    names : list of str
        Of the arrays.

    Raises
    ------
    DataError
        If the file cannot be read, or is no archive of arrays.
    """

    def __init__(self, path: Path, what: str = "map", problem: str = _NO_ARRAY) -> None:
        self._path, self._what, self._problem = path, what, problem
        try:
            with zipfile.ZipFile(path) as archive:
                entries = archive.namelist()
        except Exception as error:
            raise self._unreadable(error) from None
        self.names = [name.removesuffix(".npy") for name in entries if name.endswith(".npy")]

    def header(self, name: str) -> NumpyHeader:
        """The shape and type of an array; `DataError` as `npy_header`."""
        found: NumpyHeader = self._member(
            name, lambda stream, size: _header(self._path, stream, size)[0]
        )
        return found

    def read(self, name: str, text: bool = False) -> Array:
        """An array.

        Parameters
        ----------
        name : str
        text : bool
            Whether texts are taken too.

        Returns
        -------
        ndarray

        Raises
        ------
        DataError
            As `npy_header`, or if it would have more than 4 GiB.
        """
        kinds = f"{_KINDS}U" if text else _KINDS
        found: Array = self._member(
            name, lambda stream, size: _array(self._path, stream, size, kinds)
        )
        return found

    def _member(self, name: str, read: Callable[..., Any]) -> Any:
        try:
            with zipfile.ZipFile(self._path) as archive:
                member = archive.getinfo(f"{name}.npy")
                with archive.open(member) as stream:
                    return read(stream, member.file_size)
        except RerankError:
            raise
        # Archives fail in many ways: BadZipFile, zlib.error, LZMAError, NotImplementedError, ...
        except Exception as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: Exception) -> RerankError:
        remedy = "write it with numpy.savez"
        return unreadable_error(self._path, self._what, error, remedy, self._problem)


def _header(
    path: Path, stream: IO[bytes], size: int, kinds: str = _KINDS
) -> tuple[NumpyHeader, bool]:
    """What the header says, and whether columns come first; the stream is behind it then."""
    version = npy_format.read_magic(stream)
    readers = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}
    if version not in readers:
        raise _Malformed(f"a NumPy array of the unknown version {version[0]}.{version[1]}")
    shape, columns_first, dtype = readers[version](stream, max_header_size=_LONGEST_HEADER)
    if dtype.kind not in kinds or dtype.hasobject:
        raise _Malformed(f"values of the type {dtype} in place of numbers"[:100])
    shape = tuple(int(side) for side in shape)
    nbytes = check_bytes(path, shape, dtype.itemsize)
    there = size - stream.tell()
    if nbytes > there:
        raise _Malformed(f"{there} bytes follow the header, which promises {nbytes}")
    return NumpyHeader(shape, dtype), columns_first


def _array(path: Path, stream: IO[bytes], size: int, kinds: str = _KINDS) -> Array:
    header, columns_first = _header(path, stream, size, kinds)
    values = np.empty(header.shape, header.dtype, order="F" if columns_first else "C")
    flat = values.T if columns_first else values
    if values.nbytes:
        # Into the array itself, so that a file takes no more memory than its array.
        into = flat.reshape(-1).view(np.uint8).data
        at = 0
        while at < len(into):
            block = stream.read(min(_BLOCK, len(into) - at))
            if not block:
                raise _Malformed("the file ends within the array")
            into[at : at + len(block)] = block
            at += len(block)
    return values
