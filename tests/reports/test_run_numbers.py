"""The numbers of a page, against loops over images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rerank.metrics import (
    IntersectionUnion,
    Interval,
    bootstrap_interval,
    chosen_counts,
    corpus_iou,
    oracle_curve,
)
from rerank.reports.evaluation import IMAGES, Resampled
from rerank.reports.populations import Population, evaluations
from rerank.reports.rule_numbers import answer
from rerank.reports.run_numbers import curve_record, population_record, scatter_record
from rerank.reports.tallies import Tally


@pytest.fixture
def counts() -> IntersectionUnion:
    rng = np.random.default_rng(0)
    unions = rng.integers(5, 30, (8, 4, 3))
    return IntersectionUnion(rng.integers(0, 5, (8, 4, 3)), unions)


def population(counts: IntersectionUnion, network: bool) -> Population:
    rng = np.random.default_rng(1)
    choices = {"MAP": np.zeros(8, int), "ranking SVM": rng.integers(0, 4, 8)}
    own = IntersectionUnion(counts.intersections[:, 2], counts.unions[:, 2])
    fixed = {"unary alone": IntersectionUnion(counts.intersections[:, 3], counts.unions[:, 3])}
    return Population("evaluation", ("final",), counts, choices, fixed, own if network else None)


@pytest.mark.parametrize("network", [False, True])
def test_gains_are_over_the_network_or_map(counts: IntersectionUnion, network: bool) -> None:
    group = population(counts, network)
    found = evaluations(group, 30, 0)
    curve = oracle_curve(counts.intersections, counts.unions)
    scores = np.random.default_rng(2).normal(size=(8, 4))
    record = population_record(group, found, curve, scores, Tally.empty(3))
    rules = {rule["name"]: rule for rule in record["rules"]}
    reference = rules["network" if network else "MAP"]
    assert reference["corpus"]["gain"] is None and reference["corpus"]["answer"] == ""
    svm = rules["ranking SVM"]
    assert svm["corpus"]["gain"][0] == pytest.approx(
        svm["corpus"]["value"] - reference["corpus"]["value"], abs=2e-3
    )
    assert ("the network" if network else "MAP") in svm["corpus"]["answer"]
    assert rules["unary alone"]["kind"] == "baseline" and svm["kind"] == "main"
    assert not rules["unary alone"]["is_proposal"] and svm["is_proposal"]
    # Images that rise and fall, one by one.
    before = 2 if network else 0
    gains = []
    for i in range(8):
        ious = [
            (counts.intersections[i, m] / counts.unions[i, m]).mean()
            for m in (group.choices["ranking SVM"][i], before)
        ]
        gains.append(ious[0] - ious[1])
    assert svm["better"] == sum(g > 0.01 for g in gains)
    assert svm["worse"] == sum(g < -0.01 for g in gains)


def test_frames_of_a_video_are_drawn_in_blocks(counts: IntersectionUnion) -> None:
    blocks = np.array([0, 0, 0, 1, 1, 1, 2, 2])
    plain = population(counts, network=True)
    video = replace(plain, resampled=Resampled("blocks of 5 s of video", blocks))
    assert str(video.resampled) == "3 blocks of 5 s of video" and str(IMAGES) == "images"
    assert "bootstrap over 3 blocks of 5 s of video." in video.lead
    assert "bootstrap over images." in plain.lead
    name = "ranking SVM"
    chosen = chosen_counts(counts, plain.choices[name])
    found = {e.name: e for e in evaluations(video, 30, 0)}[name]
    assert plain.network is not None
    assert found.corpus_network_gain == bootstrap_interval(
        chosen, plain.network, n_resamples=30, groups=blocks
    )
    baseline = chosen_counts(counts, plain.choices["MAP"])
    assert found.image_gain == bootstrap_interval(
        chosen, baseline, "image", n_resamples=30, groups=blocks
    )
    assert found.image_gain != {e.name: e for e in evaluations(plain, 30, 0)}[name].image_gain
    rows = np.array([0, 7])
    assert str(video.resampled.of(rows)) == "2 blocks of 5 s of video"
    assert plain.resampled.of(rows) is IMAGES


def test_the_choice_among_the_first_proposals(counts: IntersectionUnion) -> None:
    scores = np.random.default_rng(2).normal(size=(8, 4))
    curve = oracle_curve(counts.intersections, counts.unions)
    found = curve_record(counts, curve, scores)
    for m in range(1, 5):
        choice = np.array([max(range(m), key=lambda k: row[k]) for row in scores])
        expected = 100 * corpus_iou(chosen_counts(counts, choice)).mean
        assert found["choice_corpus"][m - 1] == pytest.approx(expected, abs=1e-3)
    assert found["choice_corpus"][0] == found["oracle_corpus"][0]


def test_points_are_within_their_images() -> None:
    rng = np.random.default_rng(3)
    ious = rng.random((20, 6))
    perfect = scatter_record(5 + 2 * ious, ious)
    assert perfect["rank_correlation"] == 1.0 and len(perfect["points"]) == 120
    assert scatter_record(-ious, ious)["rank_correlation"] == -1.0
    heights = [y for _, y in perfect["bins"]]
    assert heights == sorted(heights)
    image, proposal, x, y = perfect["points"][7]
    assert (image, proposal) == (1, 1)
    assert y == pytest.approx(100 * (ious[1, 1] - ious[1].mean()), abs=0.06)
    assert x == pytest.approx(2 * (ious[1, 1] - ious[1].mean()), rel=0.01)
    # An image without a labelled pixel says nothing; of many proposals every k-th is drawn.
    ious[3] = np.nan
    assert {row[0] for row in scatter_record(rng.random((20, 6)), ious)["points"]} == (
        set(range(20)) - {3}
    )
    many = scatter_record(rng.random((900, 30)), rng.random((900, 30)))
    assert 2000 < len(many["points"]) <= 2400
    empty = scatter_record(np.zeros((2, 3)), np.full((2, 3), np.nan))
    assert empty == {"points": [], "bins": [], "rank_correlation": None}


@pytest.mark.parametrize(
    "ends, words",
    [
        ((0.016, 0.004, 0.035), ("gains 1.6", "+0.4 to +3.5", "more than chance explains")),
        ((0.016, -0.004, 0.035), ("is 1.6", "above MAP", "cannot be told from nothing")),
        ((-0.01, -0.02, 0.001), ("is 1.0", "below MAP", "cannot be told from nothing")),
        ((-0.01, -0.02, -0.001), ("loses 1.0", "against MAP", "more than chance explains")),
        ((0.0, 0.0, 0.0), ("is 0.0", "cannot be told from nothing")),
    ],
)
def test_the_answer_says_whether_it_can_be_told(ends, words: tuple[str, ...]) -> None:
    text = answer("gated choice", "image", Interval(*ends, 0.95), 59, "MAP")
    text = text.replace("\N{MINUS SIGN}", "-")
    assert all(word in text for word in words) and "59 images" in text
    assert text.count(".") == 4 and "mean image IoU" in text
