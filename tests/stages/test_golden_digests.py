"""A change of a stage's code that changes its result comes with a new version.

The version is in the key of what a stage writes. Without a new one, a work folder would keep what
the old code wrote, and call it fresh.
"""

from __future__ import annotations

import copy
import importlib.util
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rerank.config import build_recipe
from rerank.engine.graph import Graph
from rerank.engine.scheduler import Execution, run_graph
from tests.conftest import _make_graph

UPDATE = "run `python tests/stages/update_golden_digests.py`"
_place = Path(__file__).with_name("golden_digests.py")
_spec = importlib.util.spec_from_file_location("golden_digests", _place)
assert _spec is not None and _spec.loader is not None
golden = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(golden)


@pytest.fixture(scope="module")
def known() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(golden.PATH.read_text())
    if found["environment"] != golden.environment():
        pytest.skip(f"golden_digests.json is of other libraries: {found['environment']}")
    return found


@pytest.fixture(scope="module")
def graph(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """The finished run, with what is temporary."""
    work = tmp_path_factory.mktemp("golden") / "work"
    shutil.copytree(finished, work)
    found = _make_graph(work)
    temporary = {task.ref for task in found.tasks if task.stage.temporary}
    run_graph(found, None, Execution(1, quiet=True, keep=True), temporary)
    return found


def test_a_stage_that_writes_something_else_has_a_new_version(
    known: dict[str, Any], graph: Graph
) -> None:
    recipe = build_recipe(known["recipe"], str(golden.PATH))
    assert recipe == graph.recipe, f"another recipe: {UPDATE} --force"
    at_fault, outdated = golden.silent_changes(known, graph)
    lines = [
        f"{stage} writes something else: raise its version in declarations.py and {UPDATE} "
        f"({', '.join(names[:3])})"
        for stage, names in at_fault.items()
    ]
    if outdated and not lines:
        lines = [f"golden_digests.json knows another version of {', '.join(outdated)}: {UPDATE}"]
    if lines:
        pytest.fail("\n".join(lines), pytrace=False)


def test_only_the_first_changed_stage_is_at_fault(known: dict[str, Any], graph: Graph) -> None:
    changed = copy.deepcopy(known)
    for name in ("unaries", "proposals"):
        statistics = changed["stages"][name]["statistics"]
        values = next(v for v in statistics.values() if len(v) == 6 and v[4] > 0)
        values[4] *= 1.001
    at_fault, outdated = golden.silent_changes(changed, graph)
    assert list(at_fault) == ["unaries"] and outdated == []


@pytest.mark.parametrize("stage", ["index", "superpixels", "quality", "dense_crf"])
def test_integers_are_compared_exactly(known: dict[str, Any], graph: Graph, stage: str) -> None:
    changed = copy.deepcopy(known)
    values = next(v for v in changed["stages"][stage]["statistics"].values() if len(v) == 4)
    values[3] += 1
    assert stage in golden.silent_changes(changed, graph)[0]


def test_a_new_version_is_asked_for_its_digests(known: dict[str, Any], graph: Graph) -> None:
    graph.stages = tuple(
        replace(stage, version=99) if stage.name == "fusion" else stage for stage in graph.stages
    )
    at_fault, outdated = golden.silent_changes(known, graph)
    assert at_fault == {} and outdated == ["fusion"]
