"""What the rankers are given: no column without content, and none that tells the answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Callable

import numpy as np
import pytest

from rerank.errors import LeakError
from rerank.features import FeatureTable
from rerank.metrics import image_iou
from rerank.stages import ranking
from rerank.stages.base import Job
from rerank.stages.ranking import PartTable, load_part, load_parts


def widened(column: Callable[[PartTable], np.ndarray]) -> Callable[[Job, str], PartTable]:
    """`load_part` whose tables have one column more."""
    def load(job: Job, name: str) -> PartTable:
        part = load_part(job, name)
        values = np.concatenate([part.table.values, column(part)[:, None]], axis=1)
        table = FeatureTable(values, (*part.table.columns, "summary.new"),
                             (*part.table.groups, "summary"), part.table.image_ids)
        return replace(part, table=table)

    return load


def test_constant_columns_reach_no_ranker(finished: Path, make_workflow,
                                          monkeypatch: pytest.MonkeyPatch) -> None:
    job = make_workflow(finished).job("ranking")
    monkeypatch.setattr(ranking, "load_part", widened(lambda part: np.ones(len(part.table))))
    folds, final = load_parts(job)
    assert final is not None
    columns = folds[0].table.columns
    assert "summary.new" not in columns
    assert all(part.table.columns == columns for part in (*folds, final))
    whole = np.concatenate([part.table.values for part in folds])
    assert (np.ptp(whole, axis=0) > 0).all()


def test_a_column_that_tells_the_quality_is_an_error(finished: Path, make_workflow,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    job = make_workflow(finished).job("ranking")
    monkeypatch.setattr(ranking, "load_part",
                        widened(lambda part: 3 * image_iou(part.counts).ravel() - 1))
    with pytest.raises(LeakError, match="1 columns equal the quality.*summary.new"):
        load_parts(job)
