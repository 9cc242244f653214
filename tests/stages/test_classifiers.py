"""Runs whose image classifiers have other than four size percentiles."""

from __future__ import annotations

from pathlib import Path

import pytest

from rerank.applications.runs import open_models, write_run_file
from rerank.config import build_recipe
from rerank.engine.folds import FINAL
from rerank.engine.hdf5 import read_strings
from rerank.engine.scheduler import run_graph
from rerank.errors import ConfigError


@pytest.mark.slow
@pytest.mark.parametrize("percentiles", ["[50]", "[25, 75]", "[10, 30, 50, 70, 90]"])
def test_a_run_takes_any_number_of_percentiles(copy: Path, make_graph, percentiles: str) -> None:
    graph = make_graph(copy, [f"classifiers.percentiles={percentiles}"])
    assert run_graph(graph) > 0
    with graph.job("ranking").open("features", FINAL) as file:
        columns = read_strings(file["table"]["columns"])
    for percentile in percentiles.strip("[]").split(", "):
        assert any(f".size_score_{percentile}[" in column for column in columns)
    n_sizes = len(percentiles.split(","))
    raw = [c for c in columns if ".size_score_" in c and "claimed" not in c]
    assert len(raw) == n_sizes * len([c for c in columns if ".score_painted[" in c])
    write_run_file(graph, None)
    models = open_models(copy)[0]
    sample = graph.data.evaluate[0]
    assert models.predict(sample.image).labels.shape == sample.labels.shape


def test_a_percentile_that_comes_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"classifiers\.percentiles.*once"):
        build_recipe(
            {"name": "x", "dataset": {"name": "scenes"}}, "x", ["classifiers.percentiles=[50, 50]"]
        )
