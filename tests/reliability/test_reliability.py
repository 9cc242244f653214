"""The short form of the checks of reliability; `run_long.py` beside it is the long one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills children of its own")


def counts(name: str, *arguments: str) -> dict[str, int]:
    """What a check counted, once it has passed."""
    done = subprocess.run(
        [sys.executable, "-m", f"tests.reliability.{name}", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, int] = json.loads(done.stdout)
    return found


def test_killed_runs_end_in_the_same_bytes() -> None:
    assert counts("kills", "--count", "40", "--seed", "3")["kills"] >= 25


def test_damage_is_named_and_mended(finished: Path) -> None:
    found = counts("damage", "--rounds", "1", "--files", "24", "--work", str(finished))
    assert found["damages"] >= 24


def test_hostile_files_are_refused_or_read() -> None:
    found = counts("hostile", "--count", "60")
    assert found["refused"] >= 20 and "HDF5 died" not in found


def test_extreme_values_are_refused_or_read(finished: Path) -> None:
    found = counts("hostile", "--values", "run", "--count", "6", "--work", str(finished))
    assert found["changed"] == 6 and "wrong" not in found


@pytest.mark.slow
def test_extreme_values_of_models_are_refused_or_read() -> None:
    assert "wrong" not in counts("hostile", "--values", "models", "--count", "60")


def test_runs_and_removals_at_once() -> None:
    assert counts("together", "--rounds", "2")["failures"] == 0


def test_what_the_system_refuses_is_not_called_damage() -> None:
    assert counts("conditions")["permission"] == 3
