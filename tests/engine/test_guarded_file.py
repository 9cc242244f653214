"""Files that HDF5 writes where the system refuses."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from rerank.engine.guarded_file import guarded
from rerank.engine.hdf5 import new_file, write_array


def test_it_is_a_file(tmp_path: Path) -> None:
    with guarded(tmp_path / "a") as file:
        file.write(b"abcdef")
        file.seek(2)
        buffer = bytearray(6)
        assert file.readinto(buffer) == 6 and buffer == b"cdef\0\0"
        file.seek(8)
        file.write(b"x")
        assert file.seek(0, os.SEEK_END) == 9
        file.truncate(10)
    assert (tmp_path / "a").read_bytes() == b"abcdef\0\0x\0"


@pytest.mark.parametrize("after", [0, 1, 5, 30])
def test_a_refused_write_is_an_error_and_no_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    writes = iter(range(10_000))
    real = os.pwrite

    def refuse(*arguments: object) -> int:
        if next(writes) >= after:
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "pwrite", refuse)
    with pytest.raises(OSError, match=os.strerror(errno.EDQUOT)):
        with new_file(tmp_path / "é.h5") as file:
            for index in range(200):
                write_array(file, str(index), np.random.default_rng(index).random(5000))
            raise AssertionError("the error comes with the next array")


def test_bytes_are_those_of_a_file_in_memory(tmp_path: Path) -> None:
    with new_file(tmp_path / "a.h5") as file:
        write_array(file, "x", np.arange(1000))
    with h5py.File(tmp_path / "a.h5", "r") as file:
        np.testing.assert_array_equal(file["x"][()], np.arange(1000))
