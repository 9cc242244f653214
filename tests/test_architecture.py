"""The rooms of the package import only what the design allows, read from the source."""

from __future__ import annotations

import ast
import inspect
import typing
from collections import Counter
from pathlib import Path

import pytest

import rerank

ROOT = Path(rerank.__file__).parent
#: Files that anyone may import, and that import no room.
BASE = {
    "_version",
    "config",
    "download",
    "errors",
    "files",
    "recipe_defaults",
    "settings",
    "safe_yaml",
    "suggestions",
    "types",
    "validation",
}
#: Rooms that import no other room.
LEAVES = {"superpixels", "crf", "losses", "layers", "metrics"}
#: From the command line down: each imports only what comes after it, leaves and base files.
ORDER = (
    "hdf5",
    "cli",
    "applications",
    "mask_ranker",
    "mask_table",
    "reranker",
    "untrained",
    "fitting",
    "prediction",
    "result",
    "experiments",
    "stages",
    "engine",
    "reports",
    "tuning",
    "ranking",
    "features",
    "evidence",
    "proposals",
    "potentials",
    "nets",
    "datasets",
)
#: Names that stand in two rooms because they are the same thing.
SAME_THING = {"__init__.py", "hdf5.py"}
MOST_PARAMETERS = 8


def files_of(room: str) -> list[Path]:
    """The files of a room, or the one file of that name."""
    folder = ROOT / room
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]


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
    if room in LEAVES:
        return BASE | {room}
    return BASE | LEAVES | set(ORDER[ORDER.index(room) :])


@pytest.mark.parametrize("room", [*ORDER, *sorted(LEAVES)])
def test_rooms_import_only_downwards(room: str) -> None:
    assert files_of(room)
    for path in files_of(room):
        assert imported(path) <= allowed(room), path


def test_the_engine_knows_no_stage_and_no_image() -> None:
    for path in files_of("engine"):
        assert imported(path) <= BASE | {"engine"}, path


def test_base_imports_no_room() -> None:
    for name in BASE:
        assert imported(ROOT / f"{name}.py") <= BASE, name


def test_every_room_is_known() -> None:
    folders = {path.name for path in ROOT.iterdir() if (path / "__init__.py").exists()}
    files = {path.stem for path in ROOT.glob("*.py")}
    assert folders | files == {*ORDER, *LEAVES, *BASE, "recipes", "__init__", "__main__"}


def test_a_stage_is_a_file_of_its_name() -> None:
    from rerank.stages.pipeline import STAGES

    files = {path.stem for path in (ROOT / "stages").glob("*.py")}
    names = {stage.name for stage in STAGES}
    shared = {"__init__", "pipeline", "declarations", "declared_contents", "run_data"}
    shared |= {"contents_of_parts", "expected_arrays", "joined_rows", "training_rows"}
    shared |= {"judged_images", "ranking_rows", "stored_probabilities"}
    assert files - names == {*shared, "page_facts", "page_images"}
    for stage in STAGES:
        assert stage.run == f"rerank.stages.{stage.name}:run"
        assert tuple(inspect.signature(stage.function()).parameters) == ("job", "file")


def test_the_pipeline_fits_on_one_screen() -> None:
    assert len((ROOT / "stages" / "pipeline.py").read_text().splitlines()) <= 100


def test_no_file_name_stands_in_two_rooms() -> None:
    names = Counter(path.name for path in ROOT.rglob("*.py"))
    assert {name for name, count in names.items() if count > 1} <= SAME_THING


def test_no_function_has_more_than_eight_parameters() -> None:
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                given = node.args
                names = [a.arg for a in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
                count = len([name for name in names if name not in ("self", "cls")])
                assert count <= MOST_PARAMETERS, f"{path}:{node.lineno} {node.name}"


def test_public_names_are_those_that_are_defined() -> None:
    for name in rerank.__all__:
        assert getattr(rerank, name) is not None
    assert typing.get_type_hints(rerank.Reranker.predict)["return"] is rerank.Result
    with pytest.raises(AttributeError, match="nonsense"):
        rerank.nonsense  # noqa: B018
