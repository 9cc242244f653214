"""The graph: nothing twice, nothing stale, the same bytes whatever happened on the way."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rerank.config import load_recipe
from rerank.engine.folds import FINAL
from rerank.engine.graph import Graph
from rerank.engine.manifest import manifest_path, to_bytes
from rerank.engine.scheduler import Execution, part_name, run_graph
from rerank.engine.stage import Stage, read_image
from rerank.errors import ConfigError, DamagedArtefactError, DataError, LeakError
from rerank.stages.pipeline import STAGES
from rerank.stages.run_data import WeightFiles

MakeGraph = Callable[..., Graph]


def states(graph: Graph) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for row in graph.status():
        # What was dropped is not needed: as good as fresh.
        state = "fresh" if row.state == "dropped" else row.state
        found.setdefault(row.stage, set()).add(state)
    return found


def dropped(graph: Graph) -> set[tuple[str, str]]:
    return {(row.stage, row.part) for row in graph.status() if row.state == "dropped"}


@pytest.mark.parametrize("settings", [[], ["fusion.enabled=false"]])
def test_stages_come_after_what_they_read(settings: list[str]) -> None:
    recipe = load_recipe("scenes", settings)
    seen: set[str] = set()
    for stage in STAGES:
        assert {name for name, _ in stage.inputs_with(recipe)} <= seen, stage.name
        seen.add(stage.name)


def test_second_run_does_nothing(copy: Path, make_graph: MakeGraph) -> None:
    graph = make_graph(copy)
    assert {state for row in states(graph).values() for state in row} == {"fresh"}
    before = {path: path.stat().st_mtime_ns for path in copy.glob("*/*/*.h5")}
    assert run_graph(graph) == 0
    assert before == {path: path.stat().st_mtime_ns for path in copy.glob("*/*/*.h5")}


def test_ranking_C_recomputes_ranking_and_reports_alone(copy: Path, make_graph: MakeGraph) -> None:
    graph = make_graph(copy, ["ranking.C=0.5"])
    stale = {name for name, found in states(graph).items() if found != {"fresh"}}
    assert stale == {"ranking", "calibration", "ablation", "pages"}
    assert states(graph)["ranking"] == {"stale"}
    assert run_graph(graph) == 4


@pytest.mark.parametrize(
    "override, first",
    [
        ("superpixels.compactness=11.0", "superpixels"),
        ("unary.n_steps=30", "unaries"),
        ("segnet.epochs_mixed=2", "segnet"),
        ("proposals.n_proposals=6", "proposals"),
        ("classifiers.C=0.5", "classifiers"),
        ("features.kl_smoothing=0.02", "features"),
        ("report.n_examples=1", "pages"),
    ],
)
def test_a_setting_recomputes_its_stage_and_what_hangs_on_it(
    finished: Path, make_graph: MakeGraph, override: str, first: str
) -> None:
    graph = make_graph(finished, [override])
    found = states(graph)
    # What is temporary is needed again where one that reads it is.
    temporary = {stage.name for stage in STAGES if stage.temporary}
    changed = {name for name, state in found.items() if state != {"fresh"}} - temporary
    # The number of proposals also says how many the pool is chosen for, and the second classifier
    # is of the first one's kind.
    reached = {first} | ({"crf_settings", "auxiliary"} & changed)
    for stage in STAGES:
        if reached & {name for name, _ in stage.inputs_with(graph.recipe)}:
            reached.add(stage.name)
    assert first in changed
    assert changed <= reached
    assert "superpixels" in changed or first != "superpixels"


@pytest.mark.parametrize("fusion, kept", [("false", True), ("true", False)])
def test_without_fusion_proposals_do_not_hang_on_stage_two(
    finished: Path, make_graph: MakeGraph, fusion: str, kept: bool
) -> None:
    common = ["auxiliary.features=null", f"fusion.enabled={fusion}"]
    plain, other = (
        make_graph(finished, [*common, *settings])
        for settings in ((), ("segnet.epochs_mixed=2", "classifiers.C=0.5"))
    )
    for stage in ("crf_settings", "proposals"):
        keys = [[w.task(stage, part.name).ref.key for part in w.parts] for w in (plain, other)]
        assert (keys[0] == keys[1]) == kept


def test_temporary_files_go_when_nothing_needs_them(
    copy: Path,
    finished: Path,
    make_graph: MakeGraph,
    assert_equal_contents: Callable[[Path, Path], None],
) -> None:
    graph = make_graph(copy)
    every = {(t.stage.name, t.part.name) for t in graph.tasks if t.stage.temporary}
    assert dropped(graph) == every
    assert graph.verify(finished=True) == []
    # One that reads them is made again, with what it reads, and they go again.
    ref = graph.task("unaries", "fold-01").ref
    digest = graph.store.manifest(ref).digest
    graph.store.remove(ref)
    assert states(graph)["superpixel_features"] == {"missing", "fresh"}
    assert [problem.task.ref for problem in graph.verify(finished=True)] == [ref]
    assert run_graph(graph) == 1 + 3
    assert graph.store.manifest(ref).digest == digest
    assert_equal_contents(finished, copy)
    # Kept ones are garbage of a finished run.
    graph.store.remove(ref)
    run_graph(graph, None, Execution(1, quiet=True, keep=True))
    assert len(every - dropped(graph)) == 3
    assert {path.parts[-3] for path in graph.collect_garbage().paths} == {"superpixel_features"}
    assert_equal_contents(finished, copy)


def test_another_run_holds_temporary_files(copy: Path, make_graph: MakeGraph) -> None:
    graph = make_graph(copy)
    ref = graph.task("unaries", "fold-01").ref
    graph.store.remove(ref)
    run_graph(graph, None, Execution(1, quiet=True, keep=True))
    kept = graph.task("superpixel_features", "fold-00").ref
    lease = copy / "leases" / "other.json"
    lease.write_text(json.dumps({"host": "elsewhere", "pid": 1, "artefacts": ["/".join(kept)]}))
    run_graph(graph)
    assert graph.store.has(kept)
    assert kept.part not in {part for stage, part in dropped(graph) if stage == kept.stage}


@pytest.mark.slow
def test_jobs_do_not_change_results(
    finished: Path,
    tmp_path: Path,
    make_graph: MakeGraph,
    assert_equal_contents: Callable[[Path, Path], None],
) -> None:
    run_graph(make_graph(tmp_path / "two"), None, Execution(2, quiet=True))
    assert_equal_contents(finished, tmp_path / "two")


@pytest.mark.slow
def test_shards_do_not_change_results(
    finished: Path, tmp_path: Path, make_graph: MakeGraph
) -> None:
    whole, cut = make_graph(finished), make_graph(tmp_path / "cut", ["shard_size=2"])
    run_graph(cut, None, Execution(2, "threading", quiet=True))
    assert len(cut.tasks) > len(whole.tasks)
    for task in whole.tasks:
        # The page shows the recipe, in which the size stands.
        if not task.stage.sharded and task.stage.name != "pages":
            found = cut.store.manifest(cut.task(task.stage.name, task.part.name).ref)
            assert found.digest == whole.store.manifest(task.ref).digest, task.ref


def test_an_image_is_read_from_its_shard(
    finished: Path, tmp_path: Path, make_graph: MakeGraph
) -> None:
    cut = make_graph(tmp_path / "cut", ["shard_size=2"])
    run_graph(cut, only={task.ref for task in cut.tasks if task.stage.name == "superpixels"})
    whole = make_graph(finished).reader()
    for part in cut.parts:
        with (
            whole.open("superpixels", part.name) as one,
            cut.reader().open("superpixels", part.name) as several,
        ):
            # Backwards too, as nobody reads them.
            for index in reversed(range(len(part.image_ids))):
                expected, found = (read_image(file, index) for file in (one, several))
                assert all((found[name] == expected[name]).all() for name in expected)


@pytest.mark.slow
def test_folds_one_by_one_give_the_same(
    finished: Path,
    tmp_path: Path,
    make_graph: MakeGraph,
    assert_equal_contents: Callable[[Path, Path], None],
) -> None:
    work = tmp_path / "folds"
    for fold in ("1", "final", "0", "2"):
        run_graph(make_graph(work), part_name(fold))
    found = states(make_graph(work))
    assert found["features"] == {"fresh"}
    assert found["ranking"] == {"missing"}
    run_graph(make_graph(work))
    assert_equal_contents(finished, work)


@pytest.mark.slow
def test_folds_as_jobs_at_the_same_time(
    finished: Path,
    tmp_path: Path,
    make_graph: MakeGraph,
    assert_equal_contents: Callable[[Path, Path], None],
) -> None:
    work, recipe = tmp_path / "together", tmp_path / "tiny.yaml"
    recipe.write_text(json.dumps(make_graph(finished).recipe.model_dump(mode="json")))
    command = [
        sys.executable,
        "-m",
        "rerank",
        "run",
        str(recipe),
        "--work",
        str(work),
        "--jobs",
        "1",
        "--quiet",
    ]
    jobs = [
        subprocess.Popen([*command, "--fold", fold], stderr=subprocess.PIPE, text=True)
        for fold in ("0", "1", "2", "final")
    ]
    for job in jobs:
        _, errors = job.communicate(timeout=300)
        assert (job.returncode, errors) == (0, "")
    run_graph(make_graph(work))
    assert_equal_contents(finished, work)


@pytest.mark.slow
def test_killed_run_goes_on_to_the_same_bytes(
    finished: Path,
    tmp_path: Path,
    make_graph: MakeGraph,
    assert_equal_contents: Callable[[Path, Path], None],
) -> None:
    work = tmp_path / "killed"
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(json.dumps(make_graph(finished).recipe.model_dump(mode="json")))
    command = [
        sys.executable,
        "-m",
        "rerank",
        "run",
        str(recipe),
        "--work",
        str(work),
        "--jobs",
        "1",
        "--quiet",
    ]
    for goal in (6, 20):
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while len(list(work.glob("*/*/*.h5"))) < goal and child.poll() is None:
            time.sleep(0.01)
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert any("missing" in found for found in states(make_graph(work)).values())
    run_graph(make_graph(work))
    assert_equal_contents(finished, work)


def test_damage_is_found_and_repaired(
    copy: Path,
    finished: Path,
    make_graph: MakeGraph,
    assert_equal_contents: Callable[[Path, Path], None],
) -> None:
    graph = make_graph(copy)
    assert graph.verify(finished=True) == []
    path = graph.store.path(graph.task("proposals", "fold-01").ref)
    path.write_bytes(path.read_bytes()[:3000])
    assert states(graph)["proposals"] == {"fresh", "damaged"}
    (problem,) = graph.verify()
    assert problem.verdict == "damaged" and str(path) in problem.text
    with pytest.raises(DamagedArtefactError, match="repair"):
        with graph.job("features", "fold-01").open("proposals"):
            pass
    assert run_graph(make_graph(copy)) == 1
    assert_equal_contents(finished, copy)
    kept = copy / "quarantine" / path.relative_to(copy).with_name("fold-01.0.h5")
    assert kept.stat().st_size == 3000


def test_garbage_is_what_the_recipe_does_not_reach(copy: Path, make_graph: MakeGraph) -> None:
    assert make_graph(copy).collect_garbage() == ([], 0)
    changed = make_graph(copy, ["ranking.C=0.5"])
    would = changed.collect_garbage(dry_run=True)
    assert len(would.paths) == 4 and would.bytes > 0
    assert states(make_graph(copy))["ranking"] == {"fresh"}
    assert changed.collect_garbage() == would
    assert states(make_graph(copy))["ranking"] == {"missing"}


def test_nothing_in_a_part_was_trained_on_its_images(finished: Path, make_graph: MakeGraph) -> None:
    graph = make_graph(finished)
    ids = set(graph.data.train.ids)
    for task in graph.tasks:
        header = graph.store.costs(task.ref)
        assert header is not None
        assert not set(header.image_ids) & set(header.trained_on)
        if task.stage.name == "features":
            part = next(p for p in graph.parts if p.name == task.part.name)
            assert set(header.trained_on) == set(part.train_ids)
            assert set(header.trained_on) == (
                ids if part.name == FINAL else ids - set(part.image_ids)
            )


def test_only_final_reads_what_models_of_other_folds_say(
    finished: Path, make_graph: MakeGraph
) -> None:
    """A fold's settings owe nothing to its images, not even through the models of other folds."""
    graph = make_graph(finished)
    every = {part.name for part in graph.parts}
    for stage in ("fusion", "crf_settings"):
        for part in graph.parts:
            read = {
                other
                for name, other in graph.task(stage, part.name).inputs
                if name in ("unaries", "segnet", "classifiers", "fusion")
            }
            assert read == (every if part.name == "final" else {part.name})


def test_a_leak_is_an_error(copy: Path, make_graph: MakeGraph) -> None:
    graph = make_graph(copy)
    ref = graph.task("features", "fold-00").ref
    found = graph.store.manifest(ref)
    leaked = replace(found.header, trained_on=found.header.image_ids[:1])
    place = manifest_path(graph.store.path(ref))
    graph.store.write_sets([leaked.trained_on])
    place.write_bytes(to_bytes(found._replace(header=leaked)))
    with pytest.raises(LeakError, match="trained on"):
        with graph.job("ranking").open("features", "fold-00"):
            pass


def test_more_folds_than_images(tmp_path: Path, make_graph: MakeGraph) -> None:
    with pytest.raises(ConfigError, match="50 folds need .* there are 12; set folds.n_folds"):
        make_graph(tmp_path / "w", ["folds.n_folds=50"])


@pytest.mark.parametrize("fold", ["-1", "x", "1.5"])
def test_bad_fold_names(fold: str) -> None:
    with pytest.raises(ConfigError, match="--fold"):
        part_name(fold)


def test_fold_out_of_range(finished: Path, make_graph: MakeGraph) -> None:
    with pytest.raises(ConfigError, match="0..2 or final"):
        run_graph(make_graph(finished), part_name("7"))


def test_missing_weights_say_where_they_were_looked_for(
    tmp_path: Path, tiny_recipe: Callable[..., object]
) -> None:
    recipe = tiny_recipe("backbone.weights=net.npz")
    with pytest.raises(DataError, match="net.npz.*weights.*--set backbone.weights"):
        WeightFiles.find(recipe, str(tmp_path))  # type: ignore[arg-type]
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "net.npz").write_bytes(b"x")
    found = WeightFiles.find(recipe, str(tmp_path)).unary  # type: ignore[arg-type]
    assert found is not None and found.endswith("weights/net.npz")


def test_stages_say_what_they_are() -> None:
    for stage in STAGES:
        assert isinstance(stage, Stage)
        assert stage.summary and stage.version >= 1 and callable(stage.function())
