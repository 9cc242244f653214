"""A reader of the few protobuf fields of a `.caffemodel` that hold layers' filters.

The wire format is that of Protocol Buffers (varints, fixed words and length-delimited
fields); the field numbers are those of Caffe's `NetParameter`, `LayerParameter`,
`V1LayerParameter` and `BlobProto`. Google's `protobuf` would need Caffe's compiled schema.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rerank.errors import DataError
from rerank.types import FloatArray

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

# NetParameter: (field of the layers, field of the name in a layer, field of its blobs)
_LAYER_FIELDS = {100: (1, 7), 2: (4, 6)}
_V0_LAYER, _V0_NAME, _V0_BLOBS = 1, 1, 50

_MOST_AXES = 32

_Value = int | memoryview


class _Malformed(Exception):
    """The bytes are no protobuf message of the expected kind."""


@dataclass(frozen=True, eq=False)
class CaffeLayer:
    """A layer's name and its blobs (weights first, then bias), float32 in Caffe's shapes."""

    name: str
    blobs: tuple[FloatArray, ...]


def read_caffemodel(path: str | Path) -> list[CaffeLayer]:
    """Read all layers that hold filters, in the file's order.

    Understands the current layer format and the two before it (V1, V0), blobs with a shape
    record or with the four old dimensions, in single or double precision.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    list of CaffeLayer

    Raises
    ------
    DataError
        If the file is missing or is no caffemodel, holds no filters, or a blob's size does
        not agree with its shape (the layer is named).
    """
    file = Path(path)
    try:
        content = memoryview(file.read_bytes())
    except OSError as error:
        raise DataError(f"{file}: unreadable weights file: {error}") from error
    layers = []
    try:
        for number, value in _fields(content):
            if number in _LAYER_FIELDS and isinstance(value, memoryview):
                layer = _read_layer(file, value, *_LAYER_FIELDS[number])
                if layer.blobs:
                    layers.append(layer)
    except (_Malformed, UnicodeDecodeError) as error:
        raise DataError(f"{file}: not a readable caffemodel: {error}; get it again") from error
    if not layers:
        raise DataError(f"{file}: holds no layer with filters; is it a caffemodel?")
    return layers


def _read_layer(file: Path, message: memoryview, name_field: int, blobs_field: int) -> CaffeLayer:
    name, blobs = "", []
    for number, value in _fields(message):
        if not isinstance(value, memoryview):
            continue
        if number == name_field:
            name = bytes(value).decode("utf-8")
        elif number == blobs_field:
            blobs.append(value)
        elif blobs_field == 6 and number == _V0_LAYER:
            inner = _read_layer(file, value, _V0_NAME, _V0_BLOBS)
            name, blobs = inner.name or name, blobs
            if inner.blobs:
                return inner
    return CaffeLayer(name, tuple(_read_blob(file, name, blob) for blob in blobs))


def _read_blob(file: Path, layer: str, message: memoryview) -> FloatArray:
    old_shape = {1: 0, 2: 0, 3: 0, 4: 0}
    shape: tuple[int, ...] = ()
    parts: list[FloatArray] = []
    for number, value in _fields(message):
        if number in old_shape and isinstance(value, int):
            old_shape[number] = value
        elif number == 7 and isinstance(value, memoryview):
            shape = _read_shape(value)
        elif number in (5, 8):
            parts.append(_read_numbers(value, 4 if number == 5 else 8))
    data = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    if not shape and any(old_shape.values()):
        shape = tuple(old_shape[number] for number in (1, 2, 3, 4))
    # A side of more than all values is left when another is 0.
    if (
        len(shape) > _MOST_AXES
        or math.prod(shape) != data.size
        or max(shape, default=0) > max(data.size, 1)
    ):
        raise DataError(
            f"{file}: layer {layer}: a blob of shape {shape[:_MOST_AXES]} holds {data.size} values"
        )
    return data.reshape(shape)


def _read_numbers(value: _Value, width: int) -> FloatArray:
    if isinstance(value, int):
        # An unpacked number arrives as the bits of a fixed word.
        if value >> 8 * width:
            raise _Malformed(f"a number that is wider than {width} bytes")
        value = memoryview(value.to_bytes(width, "little"))
    if len(value) % width:
        raise _Malformed(f"packed numbers of {width} bytes in a field of {len(value)}")
    return np.frombuffer(value, dtype=f"<f{width}").astype(np.float32)


def _read_shape(message: memoryview) -> tuple[int, ...]:
    dims: list[int] = []
    for number, value in _fields(message):
        if number != 1:
            continue
        if isinstance(value, int):
            dims.append(value)
            continue
        at = 0
        while at < len(value):
            dim, at = _varint(value, at)
            dims.append(dim)
    return tuple(dims)


def _fields(message: memoryview) -> Iterator[tuple[int, _Value]]:
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise _Malformed(f"field number 0 at byte {at}")
        if kind == _VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if kind == _BYTES:
            length, at = _varint(message, at)
        elif kind in (_FIXED32, _FIXED64):
            length = 4 if kind == _FIXED32 else 8
        else:
            raise _Malformed(f"wire type {kind} at byte {at}")
        if at + length > len(message):
            raise _Malformed(f"the file ends within a field of {length} bytes")
        chunk = message[at : at + length]
        yield number, chunk if kind == _BYTES else int.from_bytes(chunk, "little")
        at += length


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise _Malformed("the file ends within a number")
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise _Malformed(f"a number longer than 10 bytes ends at byte {at}")
