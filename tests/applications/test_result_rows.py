"""The reason of a choice as rows."""

from __future__ import annotations

import numpy as np
import pytest

from rerank.applications.result_rows import largest_changes, proposal_rows, summary_row
from rerank.result import Proposals, Result

NAMES = ("sky", "cow", "dog")


@pytest.fixture
def result() -> Result:
    superpixels = np.array([[0, 0, 1, 1], [0, 0, 2, 3]])
    labelings = np.array([[0, 1, 1, 1], [0, 0, 0, 2], [0, 0, 0, 2]], np.uint8)
    proposals = Proposals(
        superpixels,
        labelings,
        np.array([1.0, 2.0, 2.0]),
        np.array([0.5, -np.inf, 2.0]),
        ("map", "network", "other"),
    )
    families = {"energy": np.array([0.7, 0.1, 0.1]), "borders": np.array([0.2, 0.3, 0.2])}
    scores = np.array([0.9, 0.4, 0.3])
    return Result(proposals, scores, 0, 0.25, (0, 2), family_scores=families)


def test_rows_of_proposals(result: Result) -> None:
    rows = proposal_rows(result, NAMES)
    assert [row["margin"] for row in rows] == pytest.approx([0.5, -0.5, -0.6])
    assert [row["margin_over_network"] for row in rows] == pytest.approx([0.5, 0.0, -0.1])
    assert [row["gap"] for row in rows] == [0.5, "", 0.0]
    assert [row["in_set"] for row in rows] == [1, 0, 1]
    assert [row["changed"] for row in rows] == [0.5, 0.0, 0.0]
    assert (rows[0]["gained"], rows[0]["lost"], rows[1]["gained"]) == ("cow", "dog", "")
    assert rows[0]["classes"] == "sky 50.0%; cow 50.0%"
    assert proposal_rows(result)[1]["classes"] == "0 87.5%; 2 12.5%"


def test_row_of_an_image(result: Result) -> None:
    row = summary_row(result, "a", NAMES)
    assert (row["image"], row["proposal"], row["generator"]) == ("a", 0, "map")
    assert (row["margin_over_network"], row["confidence"], row["changed"]) == (0.5, 0.25, 0.5)
    assert row["decided"] == "energy +0.6; borders -0.1"
    assert row["change_1"] == "sky -> cow, 37.5% of the image, x 2-3, y 0-1"
    assert row["change_2"] == "dog -> cow, 12.5% of the image, x 3-3, y 1-1"
    assert row["change_3"] == "" and row["kept"] == result.kept


def test_what_is_listed_sums_to_the_margin(result: Result) -> None:
    parts = np.array([0.3, -0.2, 0.15, 0.1, 0.1, 0.05])
    families = {f"f{k}": np.array([part, 0.0, 0.0]) for k, part in enumerate(parts)}
    row = summary_row(Result(result.proposals, result.scores, 0, family_scores=families), "a")
    assert row["decided"] == "f0 +0.3; f1 -0.2; f2 +0.15; all others +0.25"


def test_changes_are_those_of_a_search() -> None:
    rng = np.random.default_rng(0)
    before, after = rng.integers(0, 3, (2, 9, 8)).astype(np.uint8)
    found = largest_changes(before, after, most=99)
    seen = np.zeros(before.shape, bool)
    regions = []
    for start in np.argwhere(before != after).tolist():
        if seen[tuple(start)]:
            continue
        stack, pixels = [tuple(start)], []
        seen[tuple(start)] = True
        while stack:
            y, x = stack.pop()
            pixels.append((x, y))
            for v, u in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)):
                inside = 0 <= v < 9 and 0 <= u < 8
                if (
                    inside
                    and not seen[v, u]
                    and (before[v, u], after[v, u]) == (before[y, x], after[y, x])
                ):
                    seen[v, u] = True
                    stack.append((v, u))
        xs, ys = zip(*pixels)
        regions.append((len(pixels), (min(xs), min(ys), max(xs), max(ys))))
    assert sorted(regions) == sorted((change.n_pixels, change.box) for change in found)
    assert largest_changes(before, before) == []
