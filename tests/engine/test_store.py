"""The store: atomic, checked, keyed."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from rerank import files
from rerank.engine import hdf5
from rerank.engine.hdf5 import read_arrays, write_array, write_arrays
from rerank.engine.store import ArtefactRef, Header, Store, digest, read_header
from rerank.errors import DamagedArtefactError, StoreError

REF = ArtefactRef("superpixels", "fold-00", "abc")
HEADER = Header(version=1, settings={"n": 3}, image_ids=("a", "b"), trained_on=("c",))


def make(store: Store, ref: ArtefactRef = REF) -> None:
    with store.create(ref, HEADER) as file:
        write_array(file, "values", np.arange(1000.0).reshape(50, 20))


def test_round_trip(tmp_path: Path) -> None:
    store = Store(tmp_path / "work")
    assert store.state(REF) == "missing"
    make(store)
    assert store.state(REF) == "fresh"
    with store.open(REF, image_ids=("a", "b")) as file:
        assert file["values"].fletcher32
        np.testing.assert_array_equal(file["values"][()], np.arange(1000.0).reshape(50, 20))
        header = read_header(file)
    assert header.settings == {"n": 3}
    assert header.trained_on == ("c",)
    assert header.seconds >= 0
    assert list(store.artefacts()) == [REF]
    assert not store.temporaries()


def test_other_images_are_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    make(store)
    with pytest.raises(DamagedArtefactError, match="other images"):
        with store.open(REF, image_ids=("a", "x")):
            pass


@pytest.mark.parametrize(
    "values",
    [
        np.array(3.5),
        np.zeros((0, 4)),
        np.zeros((3, 0), int),
        np.arange(6, dtype=np.uint8),
        np.ones((2, 3, 4), np.float32),
        np.array([True, False]),
    ],
)
def test_arrays_of_any_shape(tmp_path: Path, values: np.ndarray) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        write_arrays(file, {"x": values, "names": ("a", "é"), "none": ()})
        back = read_arrays(file)
    np.testing.assert_array_equal(back["x"], values)
    assert back["x"].dtype == values.dtype
    assert back["names"] == ("a", "é")
    assert back["none"] == ()


def test_failed_write_leaves_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(RuntimeError):
        with store.create(REF, HEADER) as file:
            write_array(file, "values", np.ones(5))
            raise RuntimeError("stop")
    assert store.state(REF) == "missing"
    assert not list(tmp_path.glob("*/*/.*.tmp"))


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty", "text"])
def test_damage_is_found(tmp_path: Path, damage: str) -> None:
    store = Store(tmp_path)
    make(store)
    path = store.path(REF)
    data = bytearray(path.read_bytes())
    if damage == "truncate":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "flip":
        place = data.find(np.float64(500.0).tobytes())
        data[place + 3] ^= 0xFF
        path.write_bytes(data)
    elif damage == "empty":
        path.write_bytes(b"")
    else:
        path.write_text("not an HDF5 file")
    message = store.verify(REF)
    assert message is not None and str(path) in message and "repair" in message


def test_incomplete_file_is_not_used(tmp_path: Path) -> None:
    store = Store(tmp_path)
    make(store)
    with h5py.File(store.path(REF), "a") as file:
        file.attrs["complete"] = False
    assert store.state(REF) == "damaged"
    assert not store.has(REF)


def test_work_folder_of_another_format(tmp_path: Path) -> None:
    Store(tmp_path)
    (tmp_path / "rerank-work.json").write_text('{"format": 99}')
    with pytest.raises(StoreError, match="format 99.*--work"):
        Store(tmp_path)


def test_folder_that_another_run_is_making(tmp_path: Path) -> None:
    (tmp_path / ".rerank-work.json.123.tmp").write_text("")
    make(Store(tmp_path))
    assert Store(tmp_path, create=False).has(REF)


def test_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(StoreError, match="not rerank's"):
        Store(tmp_path)
    with pytest.raises(StoreError, match="not a work folder"):
        Store(tmp_path / "absent", create=False)


def test_array_that_does_not_fit_is_never_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: usage._replace(free=hdf5.RESERVE_BYTES + 7999)
    )
    with pytest.raises(StoreError, match="disk is full"):
        make(store)
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: usage._replace(free=hdf5.RESERVE_BYTES + 8000)
    )
    make(store)
    assert store.has(REF)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_full_disk_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)

    def no_space(path: Path) -> None:
        with open("/dev/full", "w") as file:
            file.write("x" * 100_000)

    monkeypatch.setattr(files, "_flush", no_space)
    with pytest.raises(StoreError, match="disk is full"):
        make(store)
    assert store.state(REF) == "missing"
    assert not list(tmp_path.glob("*/*/.*.tmp"))


def test_unwritable_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)

    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(StoreError, match="cannot be written"):
        make(store)


def test_full_disk_is_not_blamed_on_what_is_read(tmp_path: Path) -> None:
    store = Store(tmp_path)
    make(store)
    with pytest.raises(StoreError, match="other.*disk is full"):
        with store.create(ArtefactRef("other", "fold-00", "x"), HEADER), store.open(REF):
            raise OSError(28, "No space left on device")


def test_lock_keeps_a_second_run_out(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.lock(REF):
        with pytest.raises(StoreError, match="another run"):
            with Store(tmp_path).lock(REF, timeout=0.05):
                pass


def test_remove_and_garbage(tmp_path: Path) -> None:
    store = Store(tmp_path)
    make(store)
    left = store.path(REF).with_name(f".fold-00.h5.{platform.node()}.99999999.tmp")
    left.write_text("x")
    elsewhere = store.path(REF).with_name(".fold-00.h5.elsewhere.99999999.tmp")
    elsewhere.write_text("x")
    assert store.temporaries() == [left]
    assert store.remove(REF) > 0
    assert list(store.artefacts()) == []


def test_digest_follows_content_not_order() -> None:
    assert digest({"a": 1, "b": [2, 3]}) == digest({"b": [2, 3], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})


KILLED = """
import sys, numpy as np
from rerank.engine.store import *
store = Store(sys.argv[1])
print("ready", flush=True)
while True:
    with store.create(ArtefactRef("s", "p", "k"), Header(1, {})) as file:
        for i in range(20):
            write_array(file, str(i), np.random.default_rng(i).random(20000))
"""


def test_killed_writer_leaves_a_whole_file_or_none(tmp_path: Path) -> None:
    Store(tmp_path)
    ref = ArtefactRef("s", "p", "k")
    for attempt in range(4):
        child = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None and child.stdout.readline() == "ready\n"
        time.sleep(0.05 + 0.05 * attempt)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
        store = Store(tmp_path)
        assert store.state(ref) in ("fresh", "missing")
        if store.has(ref):
            assert store.verify(ref) is None
