"""A reader of numeric arrays and structures in MATLAB files of version 5 to 7.

scipy's reader takes the process down on some damaged files. The few kinds that masks are stored in
are read here, with every length checked against the bytes that are there. Format: "MAT-File
Format", The MathWorks, chapter 1.
"""

from __future__ import annotations

import math
import os
import struct
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rerank.datasets.problems import file_error, missing_file, unreadable_error
from rerank.errors import DataError
from rerank.types import Array

#: Bytes of the largest file and of what it may decompress to.
MOST_BYTES = 1 << 26
_TOO_LARGE = f"larger than {MOST_BYTES >> 20} MiB"
#: Structures within structures.
_DEEPEST = 8
_MOST_AXES = 32
_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_STRUCT = 2
_COMPLEX = 0x0800
#: Types of stored numbers, and classes of arrays, by their codes.
_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8"}
_STORED |= {12: "i8", 13: "u8"}
_CLASSES = dict(zip(range(6, 16), ["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"]))

MatValue = Array | dict[str, "MatValue"] | None


class _Malformed(Exception):
    """The bytes are no MATLAB file of version 5 to 7."""


class _Element(NamedTuple):
    kind: int
    body: memoryview


def read_mat(
    path: str | os.PathLike[str], what: str, wanted: Collection[str]
) -> dict[str, MatValue]:
    """Read some variables of a MATLAB file.

    Parameters
    ----------
    path : path
    what : str
        What the file is, for errors.
    wanted : collection of str
        Names of variables; others are passed over.

    Returns
    -------
    dict of str to array, dict or None
        Numeric arrays keep their class and shape, which has two axes at least. A structure is a
        dict of its fields. None stands for all else: cells, texts, sparse and complex arrays, and
        arrays of structures.

    Raises
    ------
    DataError
        The file is missing, is larger than 64 MiB or decompresses to more, or is no MATLAB file
        of version 5 to 7.
    """
    file = Path(path)
    try:
        if not file.exists():
            raise DataError(missing_file(path, what))
        if not file.is_file():
            raise file_error(path, f"the {what} is not a file", "put a file of that name there")
        if file.stat().st_size > MOST_BYTES:
            raise file_error(path, f"the {what} is {_TOO_LARGE}", "fetch the file again")
        content = memoryview(file.read_bytes())
        found: dict[str, MatValue] = {}
        order = _byte_order(content)
        for element in _elements(content[_HEADER:], order):
            if element.kind == _COMPRESSED:
                element = next(_elements(_decompressed(element.body), order))
            if element.kind == _MATRIX:
                name, value = _matrix(element.body, order, wanted)
                if name in wanted:
                    found[name] = value
        return found
    except StopIteration:
        raise unreadable_error(path, what, _Malformed("an element is missing")) from None
    except (OSError, _Malformed, zlib.error) as error:
        raise unreadable_error(path, what, error) from error


def _byte_order(content: memoryview) -> str:
    mark = bytes(content[_HEADER - 2 : _HEADER])
    order = {b"IM": "<", b"MI": ">"}.get(mark)
    if order is None:
        raise _Malformed("no MATLAB file of version 5 to 7")
    return order


def _elements(content: memoryview, order: str) -> Iterator[_Element]:
    """The data elements of a stretch of bytes, one after another."""
    at = 0
    while at < len(content):
        if len(content) - at < 8:
            raise _Malformed("the file ends within a tag")
        kind, length = struct.unpack_from(f"{order}II", content, at)
        if kind >> 16:
            # A small element: its length and up to four bytes are in the tag itself.
            kind, length, start, end = kind & 0xFFFF, kind >> 16, at + 4, at + 8
            if length > 4:
                raise _Malformed("a small element of more than four bytes")
        else:
            start = at + 8
            end = start + length
            # Compressed elements are not padded.
            end += 0 if kind == _COMPRESSED else -length % 8
        if start + length > len(content):
            raise _Malformed("the file ends within an element")
        yield _Element(kind, content[start : start + length])
        at = end


def _decompressed(body: memoryview) -> memoryview:
    decoder = zlib.decompressobj()
    found = decoder.decompress(body, MOST_BYTES)
    if decoder.unconsumed_tail:
        raise _Malformed(f"decompressed, it is {_TOO_LARGE}")
    if not decoder.eof:
        raise _Malformed("the file ends within compressed data")
    return memoryview(found)


def _matrix(
    body: memoryview, order: str, wanted: Collection[str] | None, depth: int = 0
) -> tuple[str, MatValue]:
    """The name and value of an array; the value is None where the name is not wanted."""
    if not len(body):
        return "", None
    parts = _elements(body, order)
    flags = _integers(next(parts), order)
    shape = _integers(next(parts), order)
    name = bytes(next(parts).body).decode("latin-1")
    if len(flags) < 1 or not 2 <= len(shape) <= _MOST_AXES or min(shape) < 0:
        raise _Malformed("an array without a shape")
    code = flags[0]
    if wanted is not None and name not in wanted:
        return name, None
    if code & 0xFF == _STRUCT and math.prod(shape) == 1:
        return name, _structure(parts, order, depth)
    dtype = _CLASSES.get(code & 0xFF)
    if dtype is None or code & _COMPLEX:
        return name, None
    values = _numbers(next(parts), order)
    if values.size != math.prod(shape):
        raise _Malformed(f"an array of shape {shape} holds {values.size} values")
    with np.errstate(invalid="ignore"):
        return name, values.astype(dtype).reshape(shape, order="F")


def _structure(parts: Iterator[_Element], order: str, depth: int) -> dict[str, MatValue]:
    if depth >= _DEEPEST:
        raise _Malformed("structures are nested too deeply")
    length = _integers(next(parts), order)
    width = length[0] if len(length) == 1 else 0
    names = bytes(next(parts).body)
    if width < 1 or len(names) % width:
        raise _Malformed("a structure without names of fields")
    found: dict[str, MatValue] = {}
    for start in range(0, len(names), width):
        field = names[start : start + width].split(b"\0")[0].decode("latin-1")
        element = next(parts)
        if element.kind != _MATRIX:
            raise _Malformed("a field that is no array")
        found[field] = _matrix(element.body, order, None, depth + 1)[1]
    return found


def _integers(element: _Element, order: str) -> tuple[int, ...]:
    found = _numbers(element, order)
    if found.dtype.kind == "f":
        raise _Malformed("fractions where whole numbers belong")
    return tuple(found.tolist())


def _numbers(element: _Element, order: str) -> Array:
    stored = _STORED.get(element.kind)
    if stored is None:
        raise _Malformed(f"numbers of the unknown type {element.kind}")
    dtype = np.dtype(f"{order}{stored}")
    if len(element.body) % dtype.itemsize:
        raise _Malformed("half a number")
    return np.frombuffer(element.body, dtype)
