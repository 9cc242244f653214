"""The store: atomic, checked, keyed."""

from __future__ import annotations

import errno
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest

from rerank import files
from rerank.engine import artefact_file, hdf5
from rerank.engine.contents import Expected
from rerank.engine.hdf5 import new_file, read_arrays, write_array, write_arrays
from rerank.engine.image_sets import read_set
from rerank.engine.manifest import ArtefactRef, Header, digest, from_bytes, manifest_path, to_bytes
from rerank.engine.store import Store
from rerank.errors import (
    DamagedArtefactError,
    MissingArtefactError,
    StoreError,
    UnreadableArtefactError,
)

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
        np.testing.assert_array_equal(file["values"][()], np.arange(1000.0).reshape(50, 20))
    header = store.header(REF)
    assert header.settings == {"n": 3}
    assert header.trained_on == ("c",)
    assert header.seconds >= 0
    assert list(store.artefacts()) == [REF]
    assert not store.leavings()


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
    with new_file(tmp_path / "a.h5") as file:
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
    for use in (store.verify, store.check):
        with pytest.raises(DamagedArtefactError, match="repair") as found:
            use(REF)
        assert str(path) in str(found.value)


def test_every_bit_of_a_manifest_counts(tmp_path: Path) -> None:
    store = Store(tmp_path)
    make(store)
    path = manifest_path(store.path(REF))
    content = path.read_bytes()
    assert to_bytes(from_bytes(content, partial(read_set, tmp_path))) == content
    for place in range(len(content)):
        for changed in (content[place] ^ (1 << place % 8), ord(" ")):
            other = content[:place] + bytes([changed]) + content[place + 1 :]
            if other != content:
                with pytest.raises(ValueError):
                    from_bytes(other, partial(read_set, tmp_path))
    for other in (b"", b"{}", b"[]", b"\xff", b"[" * 100_000, content + b" ", content[:-1]):
        with pytest.raises(ValueError):
            from_bytes(other, partial(read_set, tmp_path))
    path.write_bytes(content[:-1])
    assert store.state(REF) == "damaged"


def test_a_file_without_a_manifest_is_not_there(tmp_path: Path) -> None:
    store = Store(tmp_path)
    make(store)
    manifest_path(store.path(REF)).unlink()
    assert store.state(REF) == "missing" and not store.has(REF)
    with pytest.raises(MissingArtefactError):
        with store.open(REF):
            pass


def test_a_manifest_without_its_file_is_damage(tmp_path: Path) -> None:
    store = Store(tmp_path)
    make(store)
    store.path(REF).unlink()
    assert store.state(REF) == "damaged"


def test_swapped_artefacts_are_seen(tmp_path: Path) -> None:
    store, other = Store(tmp_path), REF._replace(part="fold-01")
    make(store)
    make(store, other)
    assert store.path(REF).read_bytes() == store.path(other).read_bytes()
    manifest_path(store.path(other)).replace(manifest_path(store.path(REF)))
    with pytest.raises(DamagedArtefactError, match="another artefact"):
        store.check(REF)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EACCES, errno.EIO, errno.ESTALE])
def test_what_cannot_be_read_now_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    store = Store(tmp_path)
    make(store)

    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError(number, os.strerror(number))

    for name in ("open", "read_bytes"):
        with monkeypatch.context() as patch:
            patch.setattr(Path, name, refuse)
            artefact_file._MANIFESTS.clear()
            with pytest.raises(UnreadableArtefactError, match=os.strerror(number)):
                store.check(REF, anew=True)
    with monkeypatch.context() as patch:
        patch.setattr(h5py, "File", refuse)
        with pytest.raises(UnreadableArtefactError):
            store.verify(REF)
    store.verify(REF)


def test_set_aside_keeps_what_was_damaged(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for _ in range(2):
        make(store)
        kept = store.set_aside(REF)
        assert kept.is_file() and manifest_path(kept).is_file()
        assert store.state(REF) == "missing"
    assert kept.name == "fold-00.1.h5"
    assert list(store.artefacts()) == []


@pytest.mark.parametrize("name", ["quarantine", "superpixels"])
def test_nothing_is_written_through_a_link(tmp_path: Path, name: str) -> None:
    store, elsewhere = Store(tmp_path / "work"), tmp_path / "elsewhere"
    elsewhere.mkdir()
    if name == "quarantine":
        make(store)
    (store.root / name).symlink_to(elsewhere)
    with pytest.raises(StoreError, match="a link"):
        if name == "quarantine":
            store.set_aside(REF)
        else:
            make(store)
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("ref", [("..", "x", "y"), ("a", "../b", "c"), ("a", "b", "/etc")])
def test_names_are_no_paths(tmp_path: Path, ref: tuple[str, str, str]) -> None:
    with pytest.raises(StoreError, match="no artefact is called"):
        Store(tmp_path).path(ArtefactRef(*ref))


def test_contents_are_checked_when_written_and_opened(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(DamagedArtefactError, match="others comes 0 times"):
        with store.create(
            REF, HEADER, {"values": Expected("f8"), "others": Expected("f8")}
        ) as file:
            write_array(file, "values", np.ones(3))
    assert store.state(REF) == "missing"
    make(store)
    for contents, problem in (
        ({"values": Expected("f4")}, "type f8, expected f4"),
        ({"values": Expected("f8", (None,))}, r"shape \(50, 20\)"),
        ({}, "does not belong"),
    ):
        with pytest.raises(DamagedArtefactError, match=problem):
            with store.open(REF, contents=contents):
                pass
    with store.open(REF, contents={"values": Expected("f", (50, "n"))}):
        pass


def test_work_folder_of_another_format(tmp_path: Path) -> None:
    (tmp_path / "rerank-work.json").write_text('{"format": 1}\n')
    with pytest.raises(StoreError, match="format 1.*--work"):
        Store(tmp_path)


def test_damaged_marker(tmp_path: Path) -> None:
    Store(tmp_path)
    marker = tmp_path / "rerank-work.json"
    content = marker.read_bytes()
    for place in range(len(content)):
        marker.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(DamagedArtefactError, match="verify --repair"):
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
    in_root = tmp_path / f".run.json.{platform.node()}.99999999.tmp"
    in_root.write_text("x")
    for name in (".fold-00.h5.elsewhere.99999999.tmp", ".x.tmp", f".x.{platform.node()}.y.tmp"):
        store.path(REF).with_name(name).write_text("x")
    assert store.leavings() == [in_root, left]
    assert store.remove(REF) > 0
    assert list(store.artefacts()) == []


def test_a_file_whose_manifest_was_never_renamed_is_left_behind(tmp_path: Path) -> None:
    store = Store(tmp_path)
    make(store)
    place = manifest_path(store.path(REF))
    temporary = place.with_name(f".{place.name}.{platform.node()}.99999999.tmp")
    place.rename(temporary)
    assert store.leavings() == [store.path(REF), temporary]
    store.clear_leavings()
    assert store.leavings() == [] and not store.path(REF).exists()


def test_digest_follows_content_not_order() -> None:
    assert digest({"a": 1, "b": [2, 3]}) == digest({"b": [2, 3], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})


KILLED = """
import sys, numpy as np
from rerank.engine.hdf5 import write_array
from rerank.engine.manifest import ArtefactRef, Header
from rerank.engine.store import Store
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
            store.verify(ref)
