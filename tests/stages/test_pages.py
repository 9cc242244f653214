"""The report: what is on the page, and that its numbers are those of the artefacts."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rerank.applications.reports import timing_rows
from rerank.applications.upkeep import status_lines
from rerank.datasets.dataset import Moment
from rerank.metrics import chosen_counts, corpus_iou, mean_image_iou
from rerank.reports.image_record import gallery_record
from rerank.reports.tallies import Tally
from rerank.stages.calibration import Calibration
from rerank.stages.oracle import read_counts
from rerank.stages.page_images import page_images
from rerank.stages.pages import (
    ablation_files,
    load_population,
    oracle_files,
    resampled,
    shown_images,
)


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text())))


def numbers_of(page: Path) -> dict[str, Any]:
    """What a page knows, read from its text."""
    found = re.search(r'id="numbers">(.*?)</script>', page.read_text(), re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def test_page_is_self_contained(finished: Path) -> None:
    text = (finished / "report" / "report.html").read_text()
    assert not re.findall(
        r"""(?:src|href)=["'](?!data:)|url\(|@import|https?://(?!www.w3.org)""", text
    )
    assert text.count("</script>") == text.count("<script")


def test_numbers_of_the_page_are_those_of_the_tables(finished: Path, make_graph) -> None:
    found = numbers_of(finished / "report" / "report.html")
    graph = make_graph(finished)
    ids = [i for part in graph.parts for i in part.image_ids]
    assert [image["id"] for image in found["images"]] == ids
    assert [p["name"] for p in found["populations"]] == ["evaluation", "cross_fitted"]
    for record in found["populations"]:
        rules = {r["rule"]: r for r in rows_of(finished / "report" / f"rules_{record['name']}.csv")}
        assert [rule["name"] for rule in record["rules"]] == list(rules)
        for rule in record["rules"]:
            for measure in ("corpus", "image"):
                row = rules[rule["name"]]
                assert rule[measure]["value"] == float(row[f"{measure}_iou"])
                gain = [row[f"{measure}_gain{end}"] for end in ("", "_low", "_high")]
                assert rule[measure]["gain"] == (None if gain[0] == "" else list(map(float, gain)))
        # Choices and IoU of images give the mean image IoU of the tables.
        images = found["images"][record["first"] : record["first"] + record["n_images"]]
        for rule, choice in record["choices"].items():
            mean = np.mean([image["iou"][m] for image, m in zip(images, choice)]) / 100
            assert mean == pytest.approx(float(rules[rule]["image_iou"]), abs=0.01)
        curve = rows_of(finished / "report" / f"oracle_{record['name']}.csv")
        assert record["curve"]["oracle_corpus"] == [float(r["corpus_oracle_miou"]) for r in curve]
        svm = float(rules["ranking SVM"]["corpus_iou"])
        assert record["curve"]["choice_corpus"][-1] == pytest.approx(svm, abs=1e-3)
        # Both confusion matrices count every labelled pixel, and their diagonal is the truth's.
        pixels = [sum(cell[2] for cell in record["confusion"][k]) for k in ("before", "after")]
        assert pixels[0] == pixels[1] > 0
    assert found["timings"] and found["linked"] is None


def test_reasons_of_the_page_are_those_of_the_ranker(finished: Path, make_graph) -> None:
    job = make_graph(finished).job("pages")
    with job.open("calibration") as file:
        promises = Calibration.load(file["model"], job.recipe)
    with job.open("ranking") as file:
        scores = {part: file[f"scores/{part}/svm"][()] for part in ("fold-01", "final")}
    for part, of_part in scores.items():
        every = np.ones(len(of_part), dtype=bool)
        for index, shown in enumerate(page_images(job, part, promises, Tally.empty(12), every)):
            seen = shown.seen
            # What the families add is the score: for a fold by the ranker of the other folds.
            total = sum(seen.families.values())
            np.testing.assert_allclose(total, of_part[index], rtol=1e-4, atol=1e-5)
            assert shown.chosen == of_part[index].argmax()
            record = gallery_record(seen, shown.chosen)
            moved = (seen.labelings[0] != seen.labelings[shown.chosen])[seen.superpixels].mean()
            listed = sum(change[2] for change in record["changed"])
            assert listed <= moved + 1e-3 and (len(record["changed"]) == 3 or listed > moved - 1e-3)
            truth = seen.labels
            held = [k for k in range(12) if (truth == k).any()]
            assert record["classes"] == held


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


def test_intervals_of_videos_draw_blocks(finished: Path, make_graph) -> None:
    graph = make_graph(finished)
    parts = [part.name for part in graph.parts]
    job = graph.job("pages")
    assert resampled(job, parts).groups is None
    ids = [i for part in graph.parts for i in part.image_ids]
    moments = {image_id: Moment("a", 2.0 * k) for k, image_id in enumerate(ids)}
    data = replace(job.data, train=replace(job.data.train, moments=moments))
    found = resampled(SimpleNamespace(data=data, ids=job.ids), parts)
    assert found.unit == "blocks of 5 s of video" and found.groups is not None
    assert found.groups.tolist() == [2 * k // 5 for k in range(len(ids))]


def test_what_is_not_shown_is_counted(finished: Path, make_graph) -> None:
    job = make_graph(finished).job("pages")
    with job.open("calibration") as file:
        promises = Calibration.load(file["model"], job.recipe)
    whole, some = Tally.empty(job.data.n_classes), Tally.empty(job.data.n_classes)
    every = np.ones(len(job.ids("final")), dtype=bool)
    shown = list(page_images(job, "final", promises, whole, every))
    half = np.arange(len(every)) % 2 == 0
    fewer = list(page_images(job, "final", promises, some, half))
    assert [i.seen.image_id for i in fewer] == [i.seen.image_id for i in shown[::2]]
    np.testing.assert_array_equal(some.after, whole.after)


@pytest.mark.parametrize("most", [1, 7, 40, 1000])
def test_images_are_shown_evenly(most: int) -> None:
    counts = {"fold-00": 30, "fold-01": 0, "final": 70}
    shown = shown_images(counts, most)
    assert {name: len(rows) for name, rows in shown.items()} == counts
    assert sum(int(rows.sum()) for rows in shown.values()) == min(most, 100)
    assert abs(int(shown["final"].sum()) - 0.7 * min(most, 100)) <= 1
