"""MATLAB files: what scipy reads is read alike, and nothing takes the process down."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rerank.datasets.mat_file import MOST_BYTES, read_mat
from rerank.errors import DataError

RNG = np.random.default_rng(11)
TYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8")


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", TYPES)
def test_arrays_as_scipy_reads_them(tmp_path: Path, dtype: str, compressed: bool) -> None:
    for shape in ((3, 4), (1, 5), (1, 1), (2, 3, 4)):
        array = RNG.integers(0, 100, shape).astype(dtype)
        path = tmp_path / "a.mat"
        scipy.io.savemat(path, {"x": {"y": array, "z": {"w": array}}}, do_compression=compressed)
        found = read_mat(path, "mask", ["x"])["x"]
        theirs = scipy.io.loadmat(path)["x"]["y"][0, 0]
        assert isinstance(found, dict) and isinstance(found["z"], dict)
        for own in (found["y"], found["z"]["w"]):
            assert own.dtype == theirs.dtype and own.shape == theirs.shape
            np.testing.assert_array_equal(own, theirs)


def test_what_is_no_number_is_none_and_what_is_not_wanted_is_passed_over(tmp_path: Path) -> None:
    cell = np.empty(2, dtype=object)
    cell[:] = [1, "a"]
    content = {"x": {"text": "abc", "cell": cell, "complex": np.ones((2, 2), complex)}, "y": [1]}
    scipy.io.savemat(tmp_path / "a.mat", content)
    assert read_mat(tmp_path / "a.mat", "mask", ["x"]) == {
        "x": {"text": None, "cell": None, "complex": None}
    }
    assert read_mat(tmp_path / "a.mat", "mask", ["z"]) == {}


def test_a_big_endian_file(tmp_path: Path) -> None:
    def element(kind: int, body: bytes) -> bytes:
        return struct.pack(">II", kind, len(body)) + body + bytes(-len(body) % 8)

    body = element(6, struct.pack(">II", 11, 0)) + element(5, struct.pack(">ii", 1, 2))
    body += element(1, b"x") + element(4, struct.pack(">HH", 7, 300))
    head = b"MATLAB 5.0".ljust(124) + b"\x01\x00MI"
    (tmp_path / "a.mat").write_bytes(head + element(14, body))
    assert read_mat(tmp_path / "a.mat", "mask", ["x"])["x"].tolist() == [[7, 300]]


def test_a_bomb_is_refused(tmp_path: Path) -> None:
    bomb = zlib.compress(bytes(MOST_BYTES + 1000), 1)
    head = b"MATLAB 5.0".ljust(124) + b"\x00\x01IM"
    (tmp_path / "a.mat").write_bytes(head + struct.pack("<II", 15, len(bomb)) + bomb)
    with pytest.raises(
        DataError, match="a.mat: the mask cannot be read .decompressed, it is larger"
    ):
        read_mat(tmp_path / "a.mat", "mask", ["x"])


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    path = tmp_path_factory.mktemp("mat") / "a.mat"
    scipy.io.savemat(path, {"x": {"y": np.arange(12).reshape(3, 4), "t": "abc"}})
    return path, path.read_bytes()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(edits=st.lists(st.tuples(st.integers(0, 4000), st.binary(max_size=8)), max_size=6))
def test_any_damage_is_an_error_or_nothing(
    sound: tuple[Path, bytes], edits: list[tuple[int, bytes]]
) -> None:
    path, content = sound
    data = bytearray(content)
    for at, new in edits:
        at = 100 + at % (len(data) - 100)
        data[at : at + len(new)] = new or b""
        if not new:
            del data[at:]
            break
    path.write_bytes(data)
    try:
        read_mat(path, "mask", ["x"])
    except DataError as error:
        assert "a.mat" in str(error) and "\n" not in str(error)
