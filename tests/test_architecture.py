"""The rooms of the library import only what the design allows, read from the source."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import rerank

ROOT = Path(rerank.__file__).parent
BASE = {
    "download",
    "errors",
    "files",
    "types",
    "validation",
    "config",
    "store",
    "hdf5",
    "folds",
    "parallel",
    "_version",
}
LEAVES = {"metrics", "losses", "layers"}
CHAIN = (
    "datasets",
    "superpixels",
    "potentials",
    "crf",
    "proposals",
    "evidence",
    "features",
    "ranking",
    "reports",
)
ROOMS = {*CHAIN, *LEAVES, "nets"}


def imported(path: Path) -> set[str]:
    """First part below `rerank` of every import of a file, wherever it stands."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            names = [node.module]
            if node.module == "rerank":
                names = [f"rerank.{alias.name}" for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("rerank.")}
    return found


def allowed(room: str) -> set[str]:
    """What the files of a room may import."""
    own = {room}
    if room in LEAVES:
        return BASE | own
    if room == "nets":
        return BASE | LEAVES | own
    return BASE | LEAVES | own | set(CHAIN[: CHAIN.index(room)])


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_rooms_import_only_leftwards(room: str) -> None:
    files = sorted((ROOT / room).rglob("*.py"))
    assert files
    for path in files:
        assert imported(path) <= allowed(room), path


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_only_stages_know_the_store(room: str) -> None:
    for path in (ROOT / room).rglob("*.py"):
        assert not imported(path) & {"store", "stages", "experiments", "cli"}, path


def test_base_imports_no_room() -> None:
    for name in BASE:
        assert imported(ROOT / f"{name}.py") <= BASE, name


def test_stages_do_not_know_the_experiments() -> None:
    for path in (ROOT / "stages").rglob("*.py"):
        assert "experiments" not in imported(path), path


def test_every_folder_is_known() -> None:
    folders = {path.name for path in ROOT.iterdir() if (path / "__init__.py").exists()}
    assert folders == ROOMS | {"stages", "experiments"}
