"""Values out of range are named, and what is in range passes."""

from __future__ import annotations

import io
from typing import Any

import h5py
import numpy as np
import pytest

from rerank.engine.contents import Contents, Expected, Values, check_contents
from rerank.engine.hdf5 import check_structure, new_file, write_arrays
from rerank.engine.stored_values import check_values

CONTENTS: Contents = {
    "images/#/labels": Expected("u2", ("h", "w"), "each", Values(below="n", counted="areas")),
    "images/#/areas": Expected("f8", ("n",), "each", Values(1)),
    "images/#/edges": Expected("i4", ("m", 2), "each", Values(below="n")),
    "images/#/shares": Expected("f4", ("n", "C"), "each", Values(0, 1, shares=True)),
    "choice": Expected("i8", ("N",), values=Values(below="C")),
    "counts": Expected("i8", ("N",)),
    "bound": Expected("f8", (), values=Values(infinite=True)),
    "features": Expected("f2", ("N", 2)),
    "names": Expected("S", ("N",)),
}
RIGHT: dict[str, Any] = {
    "images/000000/labels": np.array([[0, 1, 1], [2, 2, 2]], dtype=np.uint16),
    "images/000000/areas": np.array([1.0, 2.0, 3.0]),
    "images/000000/edges": np.array([[0, 1], [1, 2]], dtype=np.int32),
    "images/000000/shares": np.array([[0, 1], [0.5, 0.5], [1, 0]], dtype=np.float32),
    "choice": np.array([1]),
    "counts": np.array([7]),
    "bound": np.array(np.inf),
    "features": np.array([[-65504.0, 65504.0]], dtype=np.float16),
    "names": ("é",),
}


def check(arrays: dict[str, Any]) -> None:
    """Write the arrays, and check the file."""
    buffer = io.BytesIO()
    with new_file(buffer) as file:
        write_arrays(file, arrays)
    with h5py.File(buffer, "r") as file:
        found = check_structure(file, len(buffer.getvalue()))
        check_values(file, check_contents(found, CONTENTS, 1))


@pytest.mark.parametrize(
    ("path", "place", "value", "message"),
    [
        ("images/000000/labels", (0, 0), 3, "labels holds 3, expected 0 to 2"),
        ("images/000000/labels", (0, 0), 1, "holds 0 times 0, and areas says 1"),
        ("images/000000/areas", 1, 0.0, "areas holds 0, expected 1 to"),
        ("images/000000/areas", 1, np.nan, "areas holds nan"),
        ("images/000000/edges", (1, 1), 3, "edges holds 3, expected 0 to 2"),
        ("images/000000/edges", (1, 1), -(2**31), "edges holds -2.14748e.09"),
        ("images/000000/shares", (0, 0), 0.5, "sum to 1.5, expected 1"),
        ("images/000000/shares", (0, 0), np.inf, "shares holds inf"),
        ("choice", 0, 2, "choice holds 2, expected 0 to 1"),
        ("choice", 0, -1, "choice holds -1"),
        ("counts", 0, -(2**63), "counts holds -9.22337e.18"),
        ("counts", 0, 2**62, "counts holds 4.61169e.18"),
        ("features", (0, 1), np.inf, "features holds inf"),
        ("features", (0, 1), np.nan, "features holds nan"),
    ],
)
def test_a_value_out_of_range_is_named(path: str, place: Any, value: float, message: str) -> None:
    check(RIGHT)
    wrong = RIGHT[path].copy()
    wrong[place] = value
    with pytest.raises(ValueError, match=message):
        check({**RIGHT, path: wrong})


def test_a_text_that_is_no_utf8_is_named() -> None:
    buffer = io.BytesIO()
    with new_file(buffer) as file:
        write_arrays(file, {k: v for k, v in RIGHT.items() if k != "names"})
        kind = h5py.string_dtype("utf-8", 2)
        file.create_dataset("names", data=np.array([b"\xff\xfe"], dtype=kind))
    with h5py.File(buffer, "r") as file:
        layout = check_contents(check_structure(file, 1 << 16), CONTENTS, 1)
        with pytest.raises(ValueError, match="names holds .*no UTF-8"):
            check_values(file, layout)


def test_many_values_are_read_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rerank.engine.stored_values._BLOCK_BYTES", 64)
    contents = {"counts": Expected("i8", (None, 3))}
    for wrong in (None, (99, 2)):
        values = np.ones((100, 3), dtype=np.int64)
        if wrong is not None:
            values[wrong] = -5
        buffer = io.BytesIO()
        with new_file(buffer) as file:
            write_arrays(file, {"counts": values})
        with h5py.File(buffer, "r") as file:
            layout = check_contents(check_structure(file, 1 << 16), contents, 1)
            if wrong is None:
                check_values(file, layout)
            else:
                with pytest.raises(ValueError, match="counts holds -5"):
                    check_values(file, layout)
