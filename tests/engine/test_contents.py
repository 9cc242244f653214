"""What a stage's file must hold."""

from __future__ import annotations

import pytest

from rerank.engine.contents import Expected, check_contents
from rerank.engine.hdf5 import StoredArray

CONTENTS = {
    "images/#/x": Expected("f4", ("n", "C"), "each"),
    "images/#/y": Expected("u2|u4", ("n",), "each"),
    "counts": Expected("i", ("N", "C")),
    "model/**": Expected("*", None, "any"),
    "scores/*/svm": Expected("f", (None, 3), "any"),
}
FOUND = {
    "images/000000/x": StoredArray("f4", (5, 2)),
    "images/000001/x": StoredArray("f4", (7, 2)),
    "images/000000/y": StoredArray("u2", (5,)),
    "images/000001/y": StoredArray("u4", (7,)),
    "counts": StoredArray("i8", (2, 2)),
    "model/a/b": StoredArray("S", ()),
    "scores/fold-00/svm": StoredArray("f8", (9, 3)),
}


def test_what_is_expected_passes() -> None:
    check_contents(FOUND, CONTENTS, 2)
    check_contents({"counts": StoredArray("i4", (0,))}, CONTENTS, 0)


@pytest.mark.parametrize("path", ["images/000000/x", "images/000001/y", "counts"])
def test_absence_is_seen(path: str) -> None:
    with pytest.raises(ValueError, match="times, expected"):
        check_contents({k: v for k, v in FOUND.items() if k != path}, CONTENTS, 2)


@pytest.mark.parametrize(
    "path, array, message",
    [
        ("other", StoredArray("f4", ()), "does not belong"),
        ("images/000002/x", StoredArray("f4", (5, 2)), "comes 3 times"),
        ("images/000000/x/y", StoredArray("f4", (5, 2)), "does not belong"),
        ("images/000000/x", StoredArray("f8", (5, 2)), "type f8"),
        ("images/000000/y", StoredArray("u2", (6,)), "shape"),
        ("images/000001/x", StoredArray("f4", (7, 3)), "shape"),
        ("counts", StoredArray("i8", (3, 2)), "shape"),
        ("counts", StoredArray("u8", (2, 2)), "type u8"),
        ("scores/fold-00/svm", StoredArray("f8", (9, 4)), "shape"),
    ],
)
def test_what_is_other_is_named(path: str, array: StoredArray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_contents({**FOUND, path: array}, CONTENTS, 2)
