"""The comparison of two runs of a benchmark flags what its noise does not explain."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def compare(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("compare")


def verdicts(compare: ModuleType, old: object, new: object, **more: float) -> dict[str, str]:
    return {change.name: change.verdict for change in compare.compare(old, new, **more)}


def test_rows_are_matched_by_their_texts(compare):
    old = {"stages": [{"stage": "a", "cpu_s": 1.0}, {"stage": "b", "cpu_s": 2.0}]}
    new = {"stages": [{"stage": "b", "cpu_s": 2.0}, {"stage": "c", "cpu_s": 9.0}]}
    assert verdicts(compare, old, new) == {"stages[b].cpu_s": "same"}


@pytest.mark.parametrize(
    ("old", "new", "verdict"),
    [
        # two noises of both together: 2 * hypot(0.3, 0.4) = 1.0
        ({"ms": 10.0, "spread": 0.3}, {"ms": 10.9, "spread": 0.4}, "same"),
        ({"ms": 10.0, "spread": 0.3}, {"ms": 11.1, "spread": 0.4}, "slower"),
        ({"ms": 10.0, "ms_spread": 0.3}, {"ms": 8.9, "ms_spread": 0.4}, "quicker"),
        ({"fit_s": [1.0, 1.2, 1.1]}, {"fit_s": [1.2, 1.3, 1.4]}, "same"),
        ({"fit_s": [1.0, 1.02, 1.01]}, {"fit_s": [1.2, 1.21, 1.22]}, "slower"),
        ({"seconds": 1.0}, {"seconds": 1.1}, "same"),
        ({"seconds": 1.0}, {"seconds": 1.2}, "slower"),
    ],
)
def test_only_what_exceeds_the_noise_is_flagged(compare, old, new, verdict):
    assert list(verdicts(compare, old, new).values()) == [verdict]


def test_a_noise_of_the_callers_own_stands_in_where_none_is_recorded(compare):
    assert verdicts(compare, {"ms": 1.0}, {"ms": 1.2}, noise=0.2) == {"ms": "same"}


def test_numbers_that_are_no_times_are_left_out(compare):
    old = {"ratio": 1.0, "images": 3, "spread_s_spread": 1.0, "cpu_s": None, "ok_s": True}
    assert not compare.compare(old, old)


def test_equal_rows_are_numbered(compare):
    rows = [{"method": "x", "ms": 1.0}, {"method": "x", "ms": 2.0}]
    assert set(verdicts(compare, rows, rows)) == {"[x].ms", "[x #2].ms"}


def test_the_command_fails_where_something_slowed(tmp_path):
    for name, ms in (("old", 1.0), ("new", 2.0)):
        (tmp_path / f"{name}.json").write_text(json.dumps({"ms": ms}), encoding="utf-8")

    def run(*names: str) -> subprocess.CompletedProcess[str]:
        paths = [str(tmp_path / f"{name}.json") for name in names]
        command = [sys.executable, str(BENCHMARKS / "compare.py"), *paths]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    slower = run("old", "new")
    assert slower.returncode == 1 and "slower" in slower.stdout and "2.00" in slower.stdout
    assert run("new", "old").returncode == 0
