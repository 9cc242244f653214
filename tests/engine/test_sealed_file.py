"""Model files: every bit counts, and what is in them leads nowhere."""

from __future__ import annotations

import io
import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from rerank.engine.hdf5 import new_file, write_array
from rerank.engine.sealed_file import open_content, read_sealed, write_sealed
from rerank.errors import DataError


@pytest.fixture
def content() -> bytes:
    buffer = io.BytesIO()
    with new_file(buffer) as file:
        write_array(file, "x", np.arange(20.0))
    return buffer.getvalue()


def test_round_trip(tmp_path: Path, content: bytes) -> None:
    write_sealed(tmp_path / "m.h5", "model", 2, content)
    assert read_sealed(tmp_path / "m.h5", "model", 2) == content
    with open_content(content) as file:
        np.testing.assert_array_equal(file["x"][()], np.arange(20.0))
    # HDF5's own tools pass over the head.
    with h5py.File(tmp_path / "m.h5", "r") as file:
        np.testing.assert_array_equal(file["x"][()], np.arange(20.0))


def test_every_byte_counts(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.h5"
    write_sealed(path, "model", 2, content)
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
        with pytest.raises(DataError, match="m.h5"):
            read_sealed(path, "model", 2)
    for size in (0, 1, 100, 512, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(DataError, match="m.h5"):
            read_sealed(path, "model", 2)


def test_other_kinds_and_versions_are_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.h5"
    write_sealed(path, "model", 2, content)
    with pytest.raises(DataError, match="version 2, expected model of version 3"):
        read_sealed(path, "model", 3)
    with pytest.raises(DataError, match="a saved model"):
        read_sealed(path, "ranker", 2)
    path.write_bytes(content)
    with pytest.raises(DataError, match="earlier version"):
        read_sealed(path, "model", 2)


def test_what_is_no_plain_file_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_sealed(tmp_path / "absent", "model", 2)
    with pytest.raises(DataError, match="not a plain file"):
        read_sealed(tmp_path, "model", 2)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="not a plain file"):
        read_sealed(tmp_path / "pipe", "model", 2)


def test_links_in_a_model_are_refused() -> None:
    buffer = io.BytesIO()
    with new_file(buffer) as file:
        file["x"] = h5py.ExternalLink("/etc/passwd", "/")
    with pytest.raises(ValueError, match="link"):
        open_content(buffer.getvalue())


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be written"):
        write_sealed(tmp_path / "absent" / "m.h5", "model", 2, b"")
