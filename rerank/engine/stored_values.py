"""The numbers in a file: each within what is declared of it, so that none can mislead a kernel."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
from h5py import h5d, h5s

from rerank.engine.contents import Layout, Values

#: No number that a stage writes is larger; the square of such a float is a single-precision one.
_LARGEST = {"f": 1e15, "i": 1 << 40, "u": 1 << 40}
#: Probabilities are rounded to single precision, and sums over many classes more coarsely.
_SUM_TOLERANCE = 1e-2
_BLOCK_BYTES = 64 << 20
_F2_EXPONENT, _F2_NOT_FINITE = 0x7FFF, 0x7C00


def check_values(file: h5py.File, layout: Layout) -> None:
    """Check that the values of every data set are within what is declared.

    Parameters
    ----------
    file : HDF5 file
        Of which type, shapes and structure were checked.
    layout : Layout
        Of `check_contents`.

    Raises
    ------
    ValueError
        If a value is out of range, a text is not UTF-8, or labels are not counted right; it names
        the data set and the value.
    OSError
        If values cannot be unpacked.
    """
    for path, (array, expected) in layout.arrays.items():
        if array.kind == "b1" or 0 in array.shape:
            continue
        stored = h5d.open(file.id, path.encode()) if array.item is None else array.item
        limits = _limits(stored.dtype, expected.values, path, layout)
        if limits is None:
            continue
        for block in _blocks(stored):
            if block.dtype.kind == "S":
                _check_text(path, block)
                continue
            _check_range(path, block, *limits)
            if expected.values.shares:
                _check_sums(path, block)
            if expected.values.counted is not None:
                _check_counts(file, path, block, expected.values.counted)


def _limits(
    dtype: np.dtype[Any], values: Values, path: str, layout: Layout
) -> tuple[float, float] | None:
    """The lowest and the highest value; None where the type alone says enough."""
    if dtype.kind == "S":
        return (0, 0)
    if dtype.kind not in "fiu" or values.infinite:
        return None
    largest = _LARGEST[dtype.kind]
    low = (-largest if dtype.kind == "f" else 0) if values.low is None else values.low
    high = largest if values.high is None else values.high
    below = values.below
    if isinstance(below, str):
        group = "" if below.isupper() else path.rpartition("/")[0]
        below = layout.lengths.get((group, below))
    if below is not None:
        low, high = 0, below - 1
    if dtype.kind in "iu":
        about = np.iinfo(dtype)
        if low <= about.min and about.max <= high and values.counted is None:
            return None
    return low, high


def _blocks(stored: h5d.DatasetID) -> Iterator[Any]:
    """The values, all at once or, where they are many, some rows at a time."""
    size = math.prod(stored.shape) * stored.dtype.itemsize
    if size <= _BLOCK_BYTES or not stored.shape:
        block = np.empty(stored.shape, stored.dtype)
        stored.read(h5s.ALL, h5s.ALL, block)
        yield block
        return
    rows = max(1, _BLOCK_BYTES * stored.shape[0] // size)
    for start in range(0, stored.shape[0], rows):
        yield h5py.Dataset(stored)[start : start + rows]


def _check_range(path: str, block: Any, low: float, high: float) -> None:
    if block.dtype == np.float16:
        # numpy compares these slowly one by one; where all are finite, all are small.
        if int((block.view(np.uint16) & _F2_EXPONENT).max()) < _F2_NOT_FINITE:
            return
        block = block.astype(np.float32)
    lowest, highest = block.min(), block.max()
    # A NaN fails both.
    if not (lowest >= low and highest <= high):
        wrong = highest if lowest >= low else lowest
        raise ValueError(f"{path} holds {wrong.item():.6g}, expected {low:.6g} to {high:.6g}")


def _check_sums(path: str, block: Any) -> None:
    sums = block.sum(axis=-1, dtype=np.float64)
    wrong = float(sums.ravel()[np.abs(sums - 1).argmax()])
    if abs(wrong - 1) > _SUM_TOLERANCE:
        raise ValueError(f"{path} holds probabilities that sum to {wrong:.6g}, expected 1")


def _check_counts(file: h5py.File, path: str, labels: Any, name: str) -> None:
    """Check that an array beside the labels says how often each of them occurs."""
    group = path.rpartition("/")[0]
    counts = file[f"{group}/{name}"][()]
    found = np.bincount(labels.ravel(), minlength=len(counts))
    if not np.array_equal(found, counts):
        wrong = int(np.flatnonzero(found != counts)[0])
        raise ValueError(
            f"{path} holds {found[wrong]} times {wrong}, and {name} says {counts[wrong]:.6g}"
        )


def _check_text(path: str, block: Any) -> None:
    try:
        block.tobytes().decode("ascii")
    except UnicodeDecodeError:
        for value in block.ravel().tolist():
            try:
                value.decode("utf-8", "surrogatepass")
            except UnicodeDecodeError:
                raise ValueError(f"{path} holds {value[:20]!r}, which is no UTF-8") from None
