"""The report: what is on the page, and that its numbers are those of the artefacts."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import numpy as np
import pytest

from rerank.applications.reports import timing_rows
from rerank.applications.upkeep import status_lines
from rerank.metrics import chosen_counts, corpus_iou, mean_image_iou
from rerank.stages.oracle import read_counts
from rerank.stages.pages import ablation_files, load_population, oracle_files


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text())))


def test_page_is_self_contained(finished: Path) -> None:
    page = (finished / "report" / "report.html").read_text()
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    assert "<!-- timings -->" not in page
    for text in (
        "ranking SVM",
        "oracle of each image",
        "Feature ablation",
        "Time and space",
        "superpixel bound",
        "naive upsampling",
        "All images, cross-fitted",
    ):
        assert text in page


def test_rules_are_those_of_the_counts(finished: Path, make_graph) -> None:
    job = make_graph(finished).job("pages")
    population = load_population(job, "evaluation")
    rows = {row["rule"]: row for row in rows_of(finished / "report" / "rules_evaluation.csv")}
    for rule, choice in population.choices.items():
        counts = chosen_counts(population.counts, choice)
        assert float(rows[rule]["corpus_iou"]) == pytest.approx(
            100 * corpus_iou(counts).mean, abs=1e-3
        )
        assert float(rows[rule]["image_iou"]) == pytest.approx(
            100 * mean_image_iou(counts), abs=1e-3
        )
    # The curve is taken as a choice in whole: no proposal beats the oracle of its image.
    best = float(rows["oracle of each image"]["image_iou"])
    assert all(
        float(row["image_iou"]) <= best + 1e-9
        for name, row in rows.items()
        if name in population.choices
    )
    assert float(rows["superpixel bound"]["image_iou"]) >= best


def test_all_images_are_cross_fitted(finished: Path, make_graph) -> None:
    graph = make_graph(finished)
    job = graph.job("pages")
    counts = load_population(job, "cross_fitted").counts
    assert len(counts.unions) == len(graph.data.train) + len(graph.data.evaluate)


def test_unary_and_bound_are_measured_over_pixels(finished: Path, make_graph) -> None:
    job = make_graph(finished).job("pages")
    bound = read_counts(job, ("final",), "bound_")
    pixels = sum((sample.labels != 255).sum() for sample in job.data.evaluate)
    assert bound.intersections.sum() <= pixels
    assert (2 * pixels - bound.intersections.sum()) == bound.unions.sum()


def test_analyses(finished: Path, make_graph) -> None:
    job = make_graph(finished).job("pages")
    files = oracle_files(job)
    assert set(files) == {
        f"oracle_{p}.{kind}" for p in ("evaluation", "cross_fitted") for kind in ("csv", "png")
    }
    curve = list(csv.DictReader(io.StringIO(files["oracle_evaluation.csv"].decode())))
    assert [int(row["n_proposals"]) for row in curve] == [1, 2, 3, 4, 5]
    image = [float(row["image_oracle_image_iou"]) for row in curve]
    assert image == sorted(image)
    ablation = ablation_files(job)
    rows = list(csv.DictReader(io.StringIO(ablation["ablation.csv"].decode())))
    assert [row["rule"] for row in rows] == [
        "segnet",
        "classification",
        "proposal",
        "segnet + classification",
        "segnet + proposal",
        "classification + proposal",
        "segnet + classification + proposal",
    ]
    assert len(rows) == 7
    assert files["oracle_evaluation.png"].startswith(b"\x89PNG")


def test_generators_alone_and_the_pools(finished: Path) -> None:
    rows = {row["generator"]: row for row in rows_of(finished / "report" / "generators.csv")}
    curve = rows_of(finished / "report" / "oracle_evaluation.csv")
    assert {"pool on unary", "pool on all"} <= set(rows)
    for source in ("unary", "fusion"):
        assert sum(name.endswith(f" on {source}") for name in rows) >= 17
    # The stored proposals are those of the pool on all sources.
    best = float(rows["pool on all"]["image_iou_at_5"])
    assert best == pytest.approx(float(curve[-1]["image_oracle_image_iou"]), abs=1.0)
    for row in rows.values():
        assert 0 <= float(row["corpus_miou_at_5"]) <= 100


def test_fusion_is_the_second_proposal(finished: Path, make_graph) -> None:
    job = make_graph(finished).job("pages")
    population = load_population(job, "evaluation")
    assert (population.choices["fusion (MAP of all signals)"] == 1).all()
    assert {"minimum Bayes risk", "ridge", "gradient boosting", "pairwise ranking SVM"} <= set(
        population.choices
    )


def test_same_report_twice(finished: Path, make_graph) -> None:
    job = make_graph(finished).job("pages")
    assert ablation_files(job) == ablation_files(job)


def test_status_and_timings(finished: Path, make_graph) -> None:
    lines = status_lines(str(finished), every_fold=True)
    text = "\n".join(lines)
    assert "superpixels" in text and "4 fresh" in text and "fold-02" in text and "final" in text
    assert "missing" not in text
    rows = timing_rows(make_graph(finished))
    assert all(row["seconds"] >= 0 and row["peak_mib"] > 0 for row in rows)
    assert np.isfinite([row["mib"] for row in rows]).all()
