"""Runs side by side: differences are those of the runs' own counts."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from rerank.applications.run_comparison import write_comparison
from rerank.applications.runs import write_run_file
from rerank.cli.main import main
from rerank.engine.scheduler import ONE_AFTER_ANOTHER, run_graph
from rerank.errors import ConfigError
from rerank.metrics import chosen_counts, corpus_iou, mean_image_iou
from rerank.stages.pages import load_population

OTHER = ("ranking.groups=[summary]", "ranking.C=0.001")


def numbers_of(page: Path) -> dict[str, Any]:
    found = re.search(r'id="numbers">(.*?)</script>', page.read_text(), re.DOTALL)
    assert found is not None
    return json.loads(found[1])


@pytest.fixture
def second(finished: Path, tmp_path: Path, make_graph) -> Path:
    """The same images with another ranker."""
    work = Path(shutil.copytree(finished, tmp_path / "other"))
    graph = make_graph(work, OTHER)
    write_run_file(graph, None)
    run_graph(graph, None, ONE_AFTER_ANOTHER)
    return work


def test_differences_are_of_the_same_images(
    finished: Path, second: Path, tmp_path: Path, make_graph
) -> None:
    page = write_comparison([finished, second], tmp_path / "out", ONE_AFTER_ANOTHER)
    found = numbers_of(page)
    assert [run["label"] for run in found["runs"]] == ["work", "other"]
    assert found["population"] == "evaluation"
    settings = dict(found["settings"])
    assert settings["ranking.C"] == ["None", "0.001"] and set(settings) == {
        "ranking.C",
        "ranking.groups",
    }
    ends = []
    for work, overrides in ((finished, ()), (second, OTHER)):
        population = load_population(make_graph(work, overrides).job("pages"), "evaluation")
        chosen = chosen_counts(population.counts, population.choices["ranking SVM"])
        ends.append((100 * corpus_iou(chosen).mean, 100 * mean_image_iou(chosen)))
    (difference,) = found["differences"]
    assert difference["n_images"] == found["runs"][0]["n_images"]
    for k, measure in enumerate(("corpus", "image")):
        gain = difference["rules"]["ranking SVM"][measure]
        assert gain[0] == pytest.approx(ends[1][k] - ends[0][k], abs=1e-3)
        assert gain[1] <= gain[0] <= gain[2]
        # The same proposals: MAP and oracle are equal in every resample.
        assert difference["rules"]["MAP"][measure] == [0, 0, 0]


def test_what_cannot_be_compared(finished: Path, tmp_path: Path, capsys) -> None:
    with pytest.raises(ConfigError, match="named twice"):
        write_comparison([finished, finished], tmp_path, ONE_AFTER_ANOTHER)
    assert main(["report", "--compare", str(finished), "--jobs", "1"]) == 2
    assert "two work folders" in capsys.readouterr().err
