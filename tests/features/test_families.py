"""Families of columns."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from rerank.engine.folds import FINAL
from rerank.engine.hdf5 import read_strings
from rerank.features import FAMILIES, family_of, family_scores


def test_every_column_of_a_run_has_a_family(finished: Path, make_graph) -> None:
    graph = make_graph(finished)
    with h5py.File(graph.store.path(graph.task("features", FINAL).ref)) as file:
        columns = read_strings(file["table"]["columns"])
    families = {column: family_of(column) for column in columns}
    assert set(families.values()) <= set(FAMILIES)
    assert [column for column, family in families.items() if family == "other"] == []


def test_scores_of_families_sum_to_the_score() -> None:
    rng = np.random.default_rng(0)
    columns = ["summary.gap", "x.unknown", "segnet.kl[cow]", "summary.stage1_margin", "rule.a"]
    values, coef = rng.normal(size=(4, 5)), rng.normal(size=5)
    found = family_scores(columns, values, coef)
    assert list(found) == ["class probabilities", "energy", "segnet", "other"]
    np.testing.assert_allclose(sum(found.values()), values @ coef)
    np.testing.assert_allclose(found["segnet"], values[:, [2, 4]] @ coef[[2, 4]])
