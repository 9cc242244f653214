"""The batch jobs in pipelines/ run, and find what the commands find."""

from __future__ import annotations

import csv
import runpy
import shutil
import sys
from pathlib import Path

import pytest
import yaml

PIPELINES = Path(__file__).parents[1] / "pipelines"


def call(monkeypatch: pytest.MonkeyPatch, name: str, *arguments: str) -> None:
    """Run a script as from the command line."""
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    runpy.run_path(str(PIPELINES / f"{name}.py"), run_name="__main__")


def rows_of(path: Path) -> dict[str, dict[str, str]]:
    """Rows of a CSV file by their first column."""
    with path.open() as file:
        return {next(iter(row.values())): row for row in csv.DictReader(file)}


@pytest.mark.slow
def test_folds_one_by_one_leave_nothing_but_the_rankers(
    tmp_path: Path, tiny_recipe, make_graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(yaml.safe_dump(tiny_recipe().model_dump(mode="json")))
    for fold in ("1", "final", "0", "2"):
        work = str(tmp_path / "work")
        call(monkeypatch, "run_fold", str(recipe), "--work", work, "--fold", fold)
    rows = make_graph(tmp_path / "work").status()
    missing = {row.stage for row in rows if row.state not in ("fresh", "dropped")}
    analyses = {"ranking", "calibration", "oracle", "dense_crf", "generators", "ablation", "pages"}
    assert missing == {*analyses, "upsampling"}


def test_the_analyses_agree_with_the_report(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Path(shutil.copytree(finished, tmp_path / "work"))
    out = tmp_path / "out"
    call(monkeypatch, "oracle_analysis", "--work", str(work), "--out", str(out))
    reported = rows_of(finished / "report" / "oracle_evaluation.csv")
    for m, row in rows_of(out / "oracle.csv").items():
        expected = float(reported[m]["image_oracle_miou"])
        assert float(row["corpus_miou"]) == pytest.approx(expected, abs=0.006)
    assert (out / "oracle.png").read_bytes().startswith(b"\x89PNG")

    call(monkeypatch, "feature_ablation", "--work", str(work), "--out", str(out))
    reported = rows_of(finished / "report" / "ablation.csv")
    found = rows_of(out / "ablation.csv")
    assert list(found) == list(reported)
    for name, row in found.items():
        assert row["corpus_iou"] == reported[name]["corpus_iou"]
