"""The costs of a finished run are those of its manifests, and floors are what they say."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
RATES = {"copied_bytes": 100.0, "hashed_bytes": 50.0, "flops": 1e6}


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("pipeline")


def manifest(stage: str, part: str, key: str, **more: object) -> dict[str, object]:
    kept = {"stage": stage, "part": part, "key": key, "inputs": [], "image_ids": ["a", "b"]}
    return {**kept, "size": 100, "cpu_seconds": 4.0, "trained_on": "", **more}


def write(work: Path, found: dict[str, object]) -> None:
    folder = work / str(found["stage"]) / str(found["key"])
    folder.mkdir(parents=True)
    (folder / "x.json").write_text(json.dumps(found), encoding="utf-8")


def test_reads_what_the_last_run_hangs_on_alone(pipeline, tmp_path):
    write(tmp_path, manifest("index", "all", "1"))
    write(tmp_path, manifest("pages", "all", "2", inputs=["index/all/1"]))
    write(tmp_path, manifest("pages", "all", "old", inputs=["index/all/1"]))
    run = {"artefacts": {"pages/all": "2"}}
    (tmp_path / "run.json").write_text(json.dumps(run), encoding="utf-8")
    found = pipeline.read_manifests(tmp_path)
    assert {stage: [m["key"] for m in made] for stage, made in found.items()} == {
        "pages": ["2"],
        "index": ["1"],
    }


def test_the_largest_floor_counts(pipeline):
    made = [manifest("pages", "all", "2", inputs=["index/all/1"])]
    sizes = {"index/all/1": 300}
    recipe = {"proposals": {"n_proposals": 5}, "fusion": {"enabled": True}}
    scene = pipeline.Scene(100, 10, 20, 3, 2, {})
    run = {"recipe": recipe, "per_image": {}}

    def floor(stage: str, **more: object) -> tuple[float, str]:
        return pipeline.floor_seconds(stage, made, sizes, RATES, {**run, **more}, scene)

    # 400 bytes copied at 100 a second, 100 hashed at 50
    assert floor("pages") == (6.0, "bytes")
    assert floor("pages", per_image={"pages": 4.0}) == (8.0, "call")
    # two images, five proposals each, sweeps of three labels over 30 edges and regions
    operations = 2 * 5 * 3 * 30 * pipeline._CUT_OPERATIONS
    assert pipeline.operations("proposals", made[0], recipe, scene) == operations


def test_the_spread_is_the_standard_error_of_the_folds(pipeline):
    folds = [manifest("x", f"fold-{k}", str(k), cpu_seconds=s) for k, s in enumerate((2.0, 6.0))]
    # 1 and 3 seconds an image: a deviation of 2 ** 0.5, of the mean 1, times four images
    assert pipeline.spread_seconds(folds) == pytest.approx(4.0)
    assert pipeline.spread_seconds(folds[:1]) is None
