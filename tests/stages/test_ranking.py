"""What the rankers are given: no column without content, and none that tells the answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rerank.engine.stage import Job
from rerank.errors import LeakError
from rerank.features import FeatureTable
from rerank.metrics import image_iou
from rerank.ranking.ranking_table import RankingTable, join
from rerank.stages import ranking_rows
from rerank.stages.ranking_rows import load_part, load_parts
from rerank.tuning.ranker_choice import fit_ranker, rank_candidates, ranker_scores


def widened(column: Callable[[RankingTable], np.ndarray]) -> Callable[..., RankingTable]:
    """`load_part` whose tables have one column more."""

    def load(job: Job, name: str, *more: Any) -> RankingTable:
        part = load_part(job, name, *more)
        values = np.concatenate([part.table.values, column(part)[:, None]], axis=1)
        table = FeatureTable(
            values,
            (*part.table.columns, "summary.new"),
            (*part.table.groups, "summary"),
            part.table.image_ids,
        )
        return replace(part, table=table)

    return load


def test_constant_columns_reach_no_ranker(
    finished: Path, make_graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_graph(finished).job("ranking")
    monkeypatch.setattr(ranking_rows, "load_part", widened(lambda part: np.ones(len(part.table))))
    folds, final = load_parts(job)
    assert final is not None
    columns = folds[0].table.columns
    assert "summary.new" not in columns
    assert all(part.table.columns == columns for part in (*folds, final))
    whole = np.concatenate([part.table.values for part in folds])
    assert (np.ptp(whole, axis=0) > 0).all()


def test_a_column_that_tells_the_quality_is_an_error(
    finished: Path, make_graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_graph(finished).job("ranking")
    monkeypatch.setattr(
        ranking_rows, "load_part", widened(lambda part: 3 * image_iou(part.counts).ravel() - 1)
    )
    with pytest.raises(LeakError, match="1 columns equal the quality.*summary.new"):
        load_parts(job)


@pytest.mark.parametrize("kind", ["svm", "pairwise", "ridge", "boosting"])
def test_no_column_speaks_for_a_proposal_more_than_in_training(
    finished: Path, make_graph, kind: str
) -> None:
    graph = make_graph(finished)
    folds, final = load_parts(graph.job("ranking"))
    assert final is not None
    groups = ("summary",)
    train = join(folds)
    fitted = fit_ranker(train, groups, rank_candidates(kind, graph.recipe)[0], graph.recipe)
    values = train.table.select(groups=groups).values
    plain = fitted.ranker.decision_function
    np.testing.assert_array_equal(ranker_scores(fitted, train, groups).ravel(), plain(values))
    if kind == "boosting":
        assert np.isinf(fitted.lowest).all() and np.isinf(fitted.highest).all()
        return
    weights = fitted.ranker.coef_
    best = np.where(weights > 0, values.max(axis=0), values.min(axis=0))
    # Far on the good side counts as the best of training, far on the bad side as it is.
    good, bad = values[:1] + 1e6 * np.sign(weights), values[:1] - 1e6 * np.sign(weights)
    assert fitted.decision_function(good)[0] == pytest.approx(plain(best[None])[0], rel=1e-5)
    assert fitted.decision_function(bad)[0] == pytest.approx(plain(bad)[0], rel=1e-5)
    assert fitted.decision_function(bad)[0] < fitted.decision_function(values).min()
