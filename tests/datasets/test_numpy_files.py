"""NumPy's files of strangers: equal to NumPy where they are sound, bounded where they lie."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rerank.datasets.map_bounds import MOST_BYTES, check_bytes
from rerank.datasets.numpy_files import NumpyArchive, npy_header, read_npy
from rerank.errors import DataError

ARRAYS = hnp.arrays(
    st.sampled_from(["<f4", ">f4", "<f2", "<f8", "u1", "<u2", ">u2", "?"]),
    hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
)


@settings(max_examples=60, deadline=None)
@given(array=ARRAYS, columns_first=st.booleans())
def test_arrays_as_numpy_reads_them(
    tmp_path_factory: pytest.TempPathFactory, array: np.ndarray, columns_first: bool
) -> None:
    folder = tmp_path_factory.getbasetemp()
    array = np.asfortranarray(array) if columns_first else array
    np.save(folder / "a.npy", array)
    np.savez_compressed(folder / "a.npz", array)
    archive = NumpyArchive(folder / "a.npz")
    assert archive.names == ["arr_0"]
    for found in (read_npy(folder / "a.npy"), archive.read("arr_0")):
        assert found.dtype == array.dtype and found.shape == array.shape
        np.testing.assert_array_equal(found, np.load(folder / "a.npy"))
    assert npy_header(folder / "a.npy") == archive.header("arr_0") == (array.shape, array.dtype)


def written(path: Path, header: str, body: bytes = bytes(96)) -> Path:
    text = header.encode() + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + body)
    return path


@pytest.mark.parametrize(
    "descr, shape, match",
    [
        ("'<f4'", "(1000000, 1000000, 1000)", f"at most {MOST_BYTES} are read; write a smaller"),
        ("'<f4'", "(99999999999999999999999, 2, 2)", "a huge number"),
        ("'<f4'", "(-2, -3, 4)", "an array of shape .-2, -3, 4.; write .H, W, C."),
        ("'<f4'", "(1, " + "1, " * 60 + ")", "an array of shape"),
        ("'<f4'", "(20, 30, 4)", "96 bytes follow the header, which promises 9600"),
        ("'|O'", "(1,)", "not a NumPy array .*; write it with numpy.save"),
        ("'<U3'", "(2,)", "values of the type <U3 in place of numbers"),
        ("[('a', '<f4')]", "(2,)", "not a NumPy array"),
        ("'<c8'", "(2,)", "not a NumPy array"),
    ],
)
def test_headers_that_lie(tmp_path: Path, descr: str, shape: str, match: str) -> None:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"
    path = written(tmp_path / "a.npy", header)
    for read in (npy_header, read_npy):
        with pytest.raises(DataError, match=f"a.npy: .*{match}"):
            read(path)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.write(path, "arr_0.npy")
    with pytest.raises(DataError, match="a.npz: "):
        NumpyArchive(tmp_path / "a.npz").read("arr_0")


def test_no_pickle(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(pickle.dumps([1]))
    with pytest.raises(DataError, match="a.npy: not a NumPy array"):
        read_npy(tmp_path / "a.npy")
    np.savez(tmp_path / "a.npz", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="a.npz: not a NumPy array"):
        NumpyArchive(tmp_path / "a.npz").read("arr_0")


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (10000, 10000, 100), }"
    path = written(tmp_path / "a.npy", header, bytes(4_000_000))
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path, "arr_0.npy")
    with pytest.raises(DataError, match="at most 4294967296 are read"):
        NumpyArchive(tmp_path / "a.npz").read("arr_0")


@settings(max_examples=200, deadline=None)
@given(content=st.binary(max_size=200), at=st.integers(0, 300))
def test_any_damage_is_an_error_or_an_array(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, at: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "a.npy"
    np.save(path, np.zeros((2, 3, 4), np.float32))
    data = bytearray(path.read_bytes())
    data[at : at + len(content)] = content
    path.write_bytes(data)
    try:
        read_npy(path)
    except DataError as error:
        assert "a.npy" in str(error)


def test_bytes_of_a_map() -> None:
    assert check_bytes("x", (2, 3, 4), 4) == 96
    assert check_bytes("x", (2**15, 2**15, 4), 1) == MOST_BYTES
    with pytest.raises(DataError, match="x: an array of shape .32768, 32768, 5. has"):
        check_bytes("x", (2**15, 2**15, 5), 1)
