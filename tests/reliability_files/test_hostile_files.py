"""A short form of `harness.py`: damaged and crafted files give rerank's own errors, and no more."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

HARNESS = Path(__file__).with_name("harness.py")


def outcome(tmp_path: Path, *arguments: str) -> tuple[dict[str, int], list[str]]:
    result = tmp_path / "result.json"
    command = [sys.executable, str(HARNESS), "--json", str(result), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert result.exists(), done.stderr[-2000:]
    found = json.loads(result.read_text())
    failures = [failure for part in found.values() for failure in part["failures"]]
    return found["total"]["counts"], failures


def test_damaged_files(tmp_path: Path) -> None:
    # One kind a decoder and each reader of our own; the long form takes all.
    counts, failures = outcome(tmp_path, "--mutations", "240", "--kinds", "1,10,16,18,21,24")
    assert failures == []
    assert counts["read"] + counts["refused"] >= 240 and counts["refused"] >= 100


def test_crafted_files(tmp_path: Path) -> None:
    counts, failures = outcome(tmp_path, "--crafted")
    assert failures == []
    assert counts["read"] + counts["refused"] >= 500 and counts["read"] >= 50
    assert not Path("/tmp/pwned").exists()
