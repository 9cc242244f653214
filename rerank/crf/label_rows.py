"""Rows of numbers, one a label, that compiled solvers hold in vector registers.

A row has a multiple of eight places: `lanes_for` says how many eights by the length of a tuple, so
that rows of each width are a type of their own and loops over their places are unrolled.
Processors without wide registers take several narrow ones, and the results are the same to the
last bit: each place is computed by itself, and a minimum does not round. No value may be NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numba.extending
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import models, register_model
from numba.np.arrayobj import make_array

from rerank.types import FloatArray

#: Numbers in a vector.
_SIDE = 8
_VECTOR = ir.VectorType(ir.DoubleType(), _SIDE)
_BYTE, _INT32 = ir.IntType(8), ir.IntType(32)

Lanes = tuple[int, ...]
#: Untyped, since what it makes is called without the first argument of its definition.
intrinsic: Any = numba.extending.intrinsic


def lanes_for(n_labels: int) -> Lanes:
    """A tuple as long as a row of that many labels has vectors."""
    return (0,) * -(-n_labels // _SIDE)


def padded(values: FloatArray, filling: float) -> FloatArray:
    """A table with further columns, so that each of its lines is a whole row.

    Parameters
    ----------
    values : (k, L) float64
    filling : float
        What further columns hold: infinity for costs, so that no node takes their labels.

    Returns
    -------
    (k, W) float64
        A copy.
    """
    k, n_labels = values.shape
    wide = np.empty((k, _SIDE * len(lanes_for(n_labels))))
    wide[:, :n_labels] = values
    wide[:, n_labels:] = filling
    return wide


class LabelRow(types.Type):
    """Numba's type of a row of `n_vectors` vectors."""

    def __init__(self, n_vectors: int) -> None:
        self.n_vectors = n_vectors
        super().__init__(name=f"LabelRow({n_vectors})")


@register_model(LabelRow)
class _LabelRowModel(models.PrimitiveModel):
    def __init__(self, manager: Any, row: LabelRow) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            manager, row, ir.ArrayType(_VECTOR, row.n_vectors)
        )


def _join(builder: Any, vectors: Sequence[Any]) -> Any:
    row = ir.Constant(ir.ArrayType(_VECTOR, len(vectors)), ir.Undefined)
    for k, vector in enumerate(vectors):
        row = builder.insert_value(row, vector, k)
    return row


def _vectors(builder: Any, row: Any) -> list[Any]:
    return [builder.extract_value(row, k) for k in range(row.type.count)]


def _places(context: Any, builder: Any, array: Any, values: Any, count: int) -> list[Any]:
    """Pointers to the vectors of a row in a flat array, from a place on."""
    made = make_array(array)(context, builder, value=values[0])  # type: ignore[no-untyped-call]
    found = []
    for k in range(count):
        place = builder.add(values[1], ir.Constant(values[1].type, k * _SIDE))
        pointer = builder.gep(made.data, [place], inbounds=True)
        found.append(builder.bitcast(pointer, _VECTOR.as_pointer()))
    return found


def _spread(builder: Any, value: Any) -> Any:
    """A vector of one value."""
    nothing = ir.Constant(_VECTOR, ir.Undefined)
    vector = builder.insert_element(nothing, value, ir.Constant(_INT32, 0))
    return builder.shuffle_vector(
        vector, nothing, ir.Constant(ir.VectorType(_INT32, _SIDE), [0] * _SIDE)
    )


def _lower(builder: Any, left: Any, right: Any) -> Any:
    less = builder.fcmp_ordered("<", left, right, flags=("nnan", "nsz"))
    return builder.select(less, left, right)


@intrinsic  # type: ignore[untyped-decorator]
def row_at(typing: Any, flat: Any, place: Any, lanes: Any) -> Any:
    """The row that begins at a place of a flat float64 array; `lanes` gives its width."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        places = _places(context, builder, signature.args[0], values, len(lanes))
        return _join(builder, [builder.load(each, align=8) for each in places])

    return LabelRow(len(lanes))(flat, types.intp, lanes), code


@intrinsic  # type: ignore[untyped-decorator]
def write_row(typing: Any, flat: Any, place: Any, row: Any) -> Any:
    """Write a row into a flat float64 array from a place on."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        places = _places(context, builder, signature.args[0], values, row.n_vectors)
        for vector, pointer in zip(_vectors(builder, values[2]), places):
            builder.store(vector, pointer, align=8)
        return context.get_dummy_value()

    return types.none(flat, types.intp, row), code


@intrinsic  # type: ignore[untyped-decorator]
def row_of(typing: Any, value: Any, lanes: Any) -> Any:
    """A row that holds one value everywhere."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return _join(builder, [_spread(builder, values[0])] * len(lanes))

    return LabelRow(len(lanes))(types.float64, lanes), code


def _pairwise(operation: Callable[[Any, Any, Any], Any], meaning: str) -> Any:
    """An intrinsic that takes two rows place by place."""

    def each(typing: Any, left: Any, right: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            pairs = zip(*(_vectors(builder, value) for value in values))
            return _join(builder, [operation(builder, *pair) for pair in pairs])

        return left(left, right), code

    each.__doc__ = meaning
    return intrinsic(each)


sum_of = _pairwise(lambda b, x, y: b.fadd(x, y), "The sums of two rows.")
difference = _pairwise(lambda b, x, y: b.fsub(x, y), "The left row less the right one.")
product = _pairwise(lambda b, x, y: b.fmul(x, y), "The products of two rows.")
lower_of = _pairwise(_lower, "The lower of two rows at each place.")


@intrinsic  # type: ignore[untyped-decorator]
def least(typing: Any, row: Any) -> Any:
    """The least value of a row."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        rest = _vectors(builder, values[0])
        while len(rest) > 1:
            rest = [
                _lower(builder, *rest[k : k + 2]) if k + 1 < len(rest) else rest[k]
                for k in range(0, len(rest), 2)
            ]
        vector, size = rest[0], _SIDE
        while size > 1:
            size //= 2
            halves = [
                builder.shuffle_vector(
                    vector,
                    vector,
                    ir.Constant(ir.VectorType(_INT32, size), list(range(first, first + size))),
                )
                for first in (0, size)
            ]
            vector = _lower(builder, *halves)
        return builder.extract_element(vector, ir.Constant(_INT32, 0))

    return types.float64(row), code


@intrinsic  # type: ignore[untyped-decorator]
def first_at_most(typing: Any, row: Any, value: Any) -> Any:
    """The first place of a row that holds a value or less; its width if none does."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        vectors = _vectors(builder, values[0])
        width = ir.IntType(_SIDE * len(vectors) + 1)
        bound = _spread(builder, values[1])
        found = ir.Constant(width, 1 << (width.width - 1))
        for k, vector in enumerate(vectors):
            reached = builder.fcmp_ordered("<=", vector, bound)
            bits = builder.zext(builder.bitcast(reached, _BYTE), width)
            found = builder.or_(found, builder.shl(bits, ir.Constant(width, _SIDE * k)))
        place = builder.cttz(found, ir.Constant(ir.IntType(1), 1))
        target = ir.IntType(64)
        if width.width > 64:
            return builder.trunc(place, target)
        return place if width.width == 64 else builder.zext(place, target)

    return types.int64(row, types.float64), code
