"""Locks and leases: what a living run holds is not removed, and what a dead one held is."""

from __future__ import annotations

import errno
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from rerank.engine import locks
from rerank.engine.locks import LEASE_SECONDS, LEASES, held_artefacts, hold, lease
from rerank.engine.manifest import ArtefactRef
from rerank.errors import StoreError

REF = ArtefactRef("stage", "final", "abc")


def written(root: Path, host: str, pid: int) -> Path:
    """A lease that nobody locks."""
    (root / LEASES).mkdir(exist_ok=True)
    path = root / LEASES / "a.json"
    content = {"host": host, "pid": pid, "artefacts": ["/".join(REF)]}
    path.write_text(json.dumps(content))
    return path


def test_a_lease_holds_for_its_block(tmp_path: Path) -> None:
    with lease(tmp_path, [REF]):
        with held_artefacts(tmp_path) as held:
            assert held == {REF}
    with held_artefacts(tmp_path) as held:
        assert held == set()
    assert [path.name for path in (tmp_path / LEASES).iterdir()] == ["all.lock"]


def test_the_lease_of_a_dead_process_of_this_machine_is_void(tmp_path: Path) -> None:
    path = written(tmp_path, platform.node(), os.getpid())
    with held_artefacts(tmp_path) as held:
        assert held == set()
    assert not path.exists()


def test_the_lease_of_another_machine_counts_while_it_is_renewed(tmp_path: Path) -> None:
    path = written(tmp_path, "another-machine", 1)
    with held_artefacts(tmp_path) as held:
        assert held == {REF}
    then = path.stat().st_mtime - LEASE_SECONDS - 60
    os.utime(path, (then, then))
    with held_artefacts(tmp_path) as held:
        assert held == set()


def test_a_lease_that_cannot_be_understood_stops_the_removal(tmp_path: Path) -> None:
    written(tmp_path, "another-machine", 1).write_text("[")
    with pytest.raises(StoreError, match="a.json: not readable"):
        with held_artefacts(tmp_path):
            pass


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from rerank.engine.locks import lease\n"
        "with lease(Path(sys.argv[1]), [('stage', 'final', 'abc')]):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert len(list((tmp_path / LEASES).glob("*.json"))) == 1
    with held_artefacts(tmp_path) as held:
        assert held == set()


def test_without_locks_a_process_counts_while_it_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl")

    def refuse(*arguments: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with hold(tmp_path / "x.lock") as locked:
        assert not locked
    with lease(tmp_path, [REF]):
        with held_artefacts(tmp_path) as held:
            assert held == {REF}


def test_a_lock_is_not_taken_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("text")
    (tmp_path / "x.lock").symlink_to(tmp_path / "precious")
    with pytest.raises(StoreError, match="a link"):
        with hold(tmp_path / "x.lock"):
            pass
    (tmp_path / LEASES).symlink_to(tmp_path)
    with pytest.raises(StoreError, match="a link"):
        with held_artefacts(tmp_path):
            pass


def test_a_second_one_waits(tmp_path: Path) -> None:
    with hold(tmp_path / "x.lock"):
        with pytest.raises(TimeoutError):
            with hold(tmp_path / "x.lock", timeout=0.05):
                pass


def test_a_run_that_ends_while_leases_are_read_holds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ends(path: Path) -> bool:
        path.unlink()
        return False

    with lease(tmp_path, [REF]):
        monkeypatch.setattr(locks, "_is_void", ends)
        with held_artefacts(tmp_path) as held:
            assert held == set()
