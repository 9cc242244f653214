"""The page of runs side by side in a browser, with numbers that are drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rerank.metrics import IntersectionUnion, chosen_counts, corpus_iou, oracle_curve
from rerank.reports.populations import Population
from rerank.reports.run_page import comparison_page
from rerank.reports.side_by_side import ComparedRun, comparison_record

pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
IDS = tuple(f"im{k}" for k in range(20))


def drawn(label: str, seed: int, ids: tuple[str, ...], n_proposals: int) -> ComparedRun:
    rng = np.random.default_rng(seed)
    shape = (len(ids), n_proposals, 3)
    counts = IntersectionUnion(rng.integers(5, 20, shape), rng.integers(20, 40, shape))
    scores = rng.normal(size=shape[:2])
    curve = oracle_curve(counts.intersections, counts.unions)
    choices = {
        "MAP": np.zeros(len(ids), int),
        "ranking SVM": scores.argmax(axis=1),
        "gated choice": np.zeros(len(ids), int),
        "oracle of each image": curve.image_oracle_choice[-1],
    }
    group = Population("evaluation", ("final",), counts, choices, {})
    return ComparedRun(label, "drawn", ids, group, curve, [scores], {"a.b": label, "c": "1"}, 30)


def test_differences_are_read_back(browser: Any, tmp_path: Path) -> None:
    one, other = drawn("one", 0, IDS, 6), drawn("<b>two", 1, IDS[5:], 4)
    content = comparison_record([one, other], ("sky", "sea", "sand"), np.zeros((256, 3), int))
    page = tmp_path / "comparison.html"
    page.write_bytes(comparison_page(content))
    browser.size(1400)
    browser.open(page)
    browser.until("document.documentElement.dataset.ready")
    ends = [
        100
        * corpus_iou(
            chosen_counts(
                IntersectionUnion(counts.intersections[rows], counts.unions[rows]), choice[rows]
            )
        ).mean
        for counts, choice, rows in (
            (one.population.counts, one.population.choices["ranking SVM"], slice(5, None)),
            (other.population.counts, other.population.choices["ranking SVM"], slice(None)),
        )
    ]
    sentence = browser.text("#sentence")
    assert f"is {abs(ends[1] - ends[0]):.1f} points" in sentence and "15 images in both" in sentence
    assert ("above" if ends[1] > ends[0] else "below") in sentence and "<b>two" in sentence
    assert browser.texts("#settings tbody td") == ["a.b", "one", "<b>two"]
    first = browser.texts("#class-table tbody tr:first-child td")
    per_class = [
        100
        * corpus_iou(
            chosen_counts(r.population.counts, r.population.choices["ranking SVM"])
        ).per_class[0]
        for r in (one, other)
    ]
    assert [float(t) for t in first[1:3]] == pytest.approx(per_class, abs=0.06)
    browser.choose("#choose-measure", "image")
    assert browser.text("#sentence") != sentence and browser.messages == []
    browser.size(390, 844, phone=True)
    assert browser.run("document.documentElement.scrollWidth") <= 390
