"""The row of the fully connected CRF: what it is made from, and that it can be left out."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from rerank.engine.folds import FINAL
from rerank.engine.scheduler import run_graph
from rerank.engine.stage import read_image
from rerank.layers import dense_crf
from rerank.metrics import confusion_counts, corpus_iou, intersection_union
from rerank.stages.dense_crf import read_dense_crf
from rerank.superpixels import to_pixels


def test_counts_are_those_of_the_refined_unaries(finished: Path, make_graph) -> None:
    graph = make_graph(finished)
    job = graph.job("dense_crf")
    with graph.job("pages").open("dense_crf") as file:
        counts = read_dense_crf(file)
    assert counts is not None and counts.unions.shape == (len(graph.data.evaluate), 12)
    with job.open("superpixels", FINAL) as file:
        superpixels = read_image(file, 2)["superpixels"]
    with job.open("unaries", FINAL) as file:
        probabilities = read_image(file, 2)["region_probabilities"]
    sample = graph.data.evaluate[2]
    maps = to_pixels(probabilities.T, superpixels)
    labels = dense_crf(np.ascontiguousarray(maps, np.float32), sample.image).argmax(axis=0)
    found = intersection_union(confusion_counts(sample.labels, labels, 12, 255))
    np.testing.assert_array_equal(counts.intersections[2], found.intersections)
    np.testing.assert_array_equal(counts.unions[2], found.unions)
    assert (labels != to_pixels(probabilities.argmax(axis=1), superpixels)).any()


def test_the_row_is_in_the_table_of_the_evaluation_images(finished: Path, make_graph) -> None:
    with make_graph(finished).job("pages").open("dense_crf") as file:
        counts = read_dense_crf(file)
    text = (finished / "report" / "rules_evaluation.csv").read_text()
    rows = {row["rule"]: row for row in csv.DictReader(io.StringIO(text))}
    assert float(rows["dense CRF"]["corpus_iou"]) == pytest.approx(
        100 * corpus_iou(counts).mean, abs=1e-3
    )
    assert float(rows["dense CRF"]["corpus_gain"]) == pytest.approx(
        float(rows["dense CRF"]["corpus_iou"]) - float(rows["MAP"]["corpus_iou"]), abs=2e-3
    )
    assert "dense CRF" in (finished / "report" / "report.html").read_text()
    assert "dense CRF" not in (finished / "report" / "rules_cross_fitted.csv").read_text()


def test_it_can_be_left_out(copy: Path, make_graph) -> None:
    graph = make_graph(copy, ["report.dense_crf=false"])
    stale = {row.stage for row in graph.status() if row.state not in ("fresh", "dropped")}
    assert stale == {"dense_crf", "pages"}
    run_graph(graph)
    with graph.job("pages").open("dense_crf") as file:
        assert read_dense_crf(file) is None
    with graph.store.open(graph.task("pages").ref) as file:
        assert b"dense CRF" not in bytes(file["files/rules_evaluation.csv"][()])
