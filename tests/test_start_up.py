"""What a command imports: nothing that it does not need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "numba", "sklearn", "matplotlib", "skimage", "scipy")


def imported_by(code: str) -> set[str]:
    """Top-level packages that a fresh process imports."""
    report = "import sys; print(*{m.split('.')[0] for m in sys.modules}, file=sys.stderr)"
    script = "\n".join((code, report))
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stderr.split())


@pytest.mark.parametrize(
    "code",
    [
        "import rerank",
        "import rerank, rerank.cli; dir(rerank)",
        "import rerank.cli\nrerank.cli.main(['--help'])",
        "import rerank; rerank.load_recipe('msrc21')",
    ],
)
def test_a_start_is_light(code: str) -> None:
    assert not imported_by(code) & set(HEAVY)


@pytest.mark.parametrize("command", ["status", "verify", "gc"])
def test_looking_at_a_work_folder_needs_no_torch(finished: Path, command: str) -> None:
    code = f"import rerank.cli\nrerank.cli.main([{command!r}, '--work', {str(finished)!r}])"
    assert not imported_by(code) & {"torch", "numba", "sklearn", "matplotlib"}
