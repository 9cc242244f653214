"""Sets of training images: written once, named by what they hold, checked when they are read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from rerank.applications.upkeep import repair, verify
from rerank.engine import image_sets
from rerank.engine.image_sets import FOLDER, other_sets, read_set, set_name, write_set
from rerank.engine.manifest import ArtefactRef, Header
from rerank.engine.scheduler import ONE_AFTER_ANOTHER
from rerank.engine.store import Store
from rerank.errors import DamagedArtefactError

IDS = ("b", "a", "é")


@pytest.fixture
def new_process(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Forget what this process has read."""
    return lambda: monkeypatch.setattr(image_sets, "_KNOWN", {})


def test_a_set_comes_back(tmp_path: Path, new_process: Callable[[], None]) -> None:
    write_set(tmp_path, IDS)
    new_process()
    assert read_set(tmp_path, set_name(IDS)) == IDS
    assert read_set(tmp_path, set_name(())) == ()
    assert set_name(IDS) != set_name(IDS[::-1])


def test_what_is_not_the_set_is_refused(tmp_path: Path, new_process: Callable[[], None]) -> None:
    write_set(tmp_path, IDS)
    (path,) = (tmp_path / FOLDER).iterdir()
    for content in (json.dumps(IDS[:2]), "[1", "{}"):
        path.write_text(content)
        new_process()
        with pytest.raises(ValueError):
            read_set(tmp_path, set_name(IDS))
    with pytest.raises(ValueError, match="names no set"):
        read_set(tmp_path, "../x")
    write_set(tmp_path, IDS)
    new_process()
    assert read_set(tmp_path, set_name(IDS)) == IDS


def test_a_damaged_set_of_a_run_is_found_and_mended(finished: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    shutil.copytree(finished, work)
    path = sorted((work / FOLDER).iterdir())[0]
    content = path.read_bytes()
    path.write_bytes(content.replace(b"0", b"1"))
    assert [line for line in verify(work) if str(path) in line]
    found = repair(work, ONE_AFTER_ANOTHER)
    assert [line for line in found.mended if str(path) in line] and not found.left
    assert path.read_bytes() == content and verify(work) == []


def test_manifests_do_not_grow_with_the_training_images(tmp_path: Path) -> None:
    store = Store(tmp_path)
    sizes = []
    for count in (10, 10_000):
        ref = ArtefactRef("toy", "final", f"{count}")
        ids = tuple(f"{k:06d}" for k in range(count))
        with store.create(ref, Header(1, {}, ("x",), ids)) as file:
            file.create_group("a")
        sizes.append(store.path(ref).with_suffix(".json").stat().st_size)
        assert store.header(ref).trained_on == ids
    assert abs(sizes[0] - sizes[1]) < 100


def test_a_lost_set_is_a_damaged_artefact(
    tmp_path: Path, new_process: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, ref = Store(tmp_path), ArtefactRef("toy", "final", "k")
    with store.create(ref, Header(1, {}, ("x",), IDS)):
        pass
    assert store.spare_sets([]) == []
    (path,) = (tmp_path / FOLDER).iterdir()
    path.unlink()
    new_process()
    monkeypatch.setattr("rerank.engine.artefact_file._MANIFESTS", {})
    with pytest.raises(DamagedArtefactError, match="training images, is gone"):
        store.header(ref)
    store.write_sets([IDS])
    assert store.header(ref).trained_on == IDS
    store.remove(ref)
    assert store.spare_sets([]) == [path] and other_sets(tmp_path, [set_name(IDS)]) == []
