"""The choice of a ranker's settings."""

from __future__ import annotations

import numpy as np
import pytest

from rerank.config import load_recipe
from rerank.features import FeatureTable
from rerank.metrics import IntersectionUnion
from rerank.ranking import RidgeRanker
from rerank.ranking.ranking_table import RankingTable
from rerank.tuning import ranker_choice
from rerank.tuning.ranker_choice import choose_ranker, rank_candidates


def fold(name: str, n_columns: int, n_images: int = 4, n_proposals: int = 3) -> RankingTable:
    rng = np.random.default_rng(sum(name.encode()))
    n = n_images * n_proposals
    intersections = rng.integers(1, 50, (n_images, n_proposals, 2))
    ids = tuple(f"{name}{i}" for i in range(n_images))
    return RankingTable(
        name,
        ids,
        FeatureTable(
            rng.normal(size=(n, n_columns)),
            tuple(f"a.{k}" for k in range(n_columns)),
            ("a",) * n_columns,
            np.repeat(ids, n_proposals),
            np.tile(np.arange(n_proposals), n_images),
        ),
        IntersectionUnion(intersections, intersections + 50),
        {},
        np.zeros((n_images, n_proposals, n_proposals)),
        np.zeros((n_images, n_proposals)),
    )


@pytest.mark.parametrize(
    ("merits", "n_columns", "tried", "chosen"),
    [
        ([5, 4, 4, 4, 4, 9], 8, 5, 0),
        ([5, 4, 4, 4, 6, 4], 8, 6, 4),
        ([1, 2, 3, 4, 5, 6], 8, 6, 5),
        ([5, 5, 5, 5, 5, 5], 8, 5, 0),
        # Fewer columns than the eight images of two folds.
        ([5, 4, 4, 4, 4, 9], 7, 6, 5),
    ],
)
def test_the_search_over_many_columns_ends_after_four_that_are_no_better(
    monkeypatch: pytest.MonkeyPatch, merits: list[float], n_columns: int, tried: int, chosen: int
) -> None:
    waiting = iter(merits)
    seen: list[float] = []

    def merit(found: object) -> float:
        seen.append(next(waiting))
        return seen[-1]

    monkeypatch.setattr(ranker_choice, "_merit", merit)
    candidates = [RidgeRanker(alpha=alpha) for alpha in range(1, 7)]
    found = choose_ranker(
        [fold(n, n_columns) for n in "abc"], ("a",), candidates, load_recipe("scenes")
    )
    assert found is candidates[chosen] and len(seen) == tried


def test_candidates_of_the_svm_rise() -> None:
    recipe = load_recipe("scenes", ["ranking.candidates=[0.1, 0.001, 0.01]"])
    assert [r.get_params()["C"] for r in rank_candidates("svm", recipe)] == [0.001, 0.01, 0.1]
