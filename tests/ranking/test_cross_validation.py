"""Choice among rankers by cross-validation."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from sklearn.base import clone

from rerank.errors import InputError
from rerank.ranking import (
    ColumnRanker,
    CrossValidatedRanker,
    RidgeRanker,
    StructuredRankSVM,
    with_settings,
)


def problem(n_images=30, n_columns=3, seed=0):
    """Column 0 says the quality, with noise; the others say nothing."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_images * 4, n_columns))
    return X, X[:, 0] + 0.1 * rng.normal(size=len(X)), np.repeat(np.arange(n_images) + 7, 4)


def test_marks_are_those_of_unseen_images():
    X, quality, groups = problem()
    candidates = with_settings(RidgeRanker(), alpha=[1e-3, 10.0])
    search = CrossValidatedRanker(candidates, n_folds=3, contiguous=True).fit(X, quality, groups)
    for c, candidate in enumerate(candidates):
        marks = []
        for k in range(3):
            outside = (groups - 7) // 10 == k
            ranker = clone(candidate).fit(X[~outside], quality[~outside], groups[~outside])
            rows = ranker.choose(X[outside], groups[outside])
            marks += quality[outside][rows].tolist()
        assert search.image_quality_[c].tolist() == marks
    np.testing.assert_allclose(search.mean_quality_, search.image_quality_.mean(axis=1))


def test_the_winner_is_fitted_on_everything():
    X, quality, groups = problem()
    search = CrossValidatedRanker(
        [ColumnRanker(1), RidgeRanker(), ColumnRanker(2)], random_state=0
    ).fit(X, quality, groups)
    assert search.best_index_ == 1
    plain = RidgeRanker().fit(X, quality, groups)
    np.testing.assert_array_equal(search.ranker_.coef_, plain.coef_)
    np.testing.assert_array_equal(search.decision_function(X), plain.decision_function(X))
    assert search.choose(X, groups).tolist() == plain.choose(X, groups).tolist()


def test_the_first_candidate_stays_within_the_margin():
    X, quality, groups = problem()
    noisy = quality + 3 * np.random.default_rng(1).normal(size=len(X))
    candidates = [ColumnRanker(1), ColumnRanker(0, lowest=False)]
    loose = CrossValidatedRanker(candidates, random_state=0).fit(X, noisy, groups)
    gain = loose.image_quality_[1] - loose.image_quality_[0]
    errors = gain.mean() / (gain.std(ddof=1) / np.sqrt(30))
    assert loose.best_index_ == 1 and errors > 0
    for margin, best in [(0.9 * errors, 1), (1.1 * errors, 0)]:
        strict = CrossValidatedRanker(candidates, margin=margin, random_state=0)
        assert strict.fit(X, noisy, groups).best_index_ == best


def test_equal_candidates_keep_the_first():
    search = CrossValidatedRanker(with_settings(ColumnRanker(), column=[0, 0]), random_state=0)
    assert search.fit(*problem()).best_index_ == 0


def test_equal_seeds_give_equal_folds():
    data = problem(n_columns=2)
    svm = with_settings(StructuredRankSVM(random_state=0), C=[0.01, 1.0])
    first, again, other = (
        CrossValidatedRanker(svm, random_state=seed).fit(*data) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first.image_quality_, again.image_quality_)
    assert not np.array_equal(first._folds(30), other._folds(30))
    assert np.bincount(first._folds(30)).tolist() == [6] * 5


def test_a_matrix_on_disk(tmp_path):
    X, quality, groups = problem()
    search = CrossValidatedRanker(with_settings(RidgeRanker(), alpha=[0.1, 1e4]), random_state=0)
    kept = clone(search).fit(X, quality, groups)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        dataset = file.create_dataset("x", data=X)
        read = clone(search).fit(dataset, quality, groups)
        np.testing.assert_allclose(read.mean_quality_, kept.mean_quality_)
        np.testing.assert_allclose(read.ranker_.coef_, kept.ranker_.coef_)


def test_every_combination_of_settings():
    made = with_settings(StructuredRankSVM(), C=[1.0, 2.0], scale_loss=[True, False])
    assert [(r.C, r.scale_loss) for r in made] == [
        (1.0, True),
        (1.0, False),
        (2.0, True),
        (2.0, False),
    ]


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"candidates": []}, "at least one ranker"),
        ({"n_folds": 1}, "n_folds must be 2 or more and at most the 30 images, got 1"),
        ({"n_folds": 31}, "n_folds must be 2 or more"),
        ({"margin": -1.0}, "margin must be 0 or more, got -1.0"),
    ],
)
def test_unusable_settings(settings, message):
    with pytest.raises(InputError, match=message):
        CrossValidatedRanker(**{"candidates": [RidgeRanker()], **settings}).fit(*problem())


def test_columns_of_a_rule():
    X = np.array([[1.0, 5.0], [2.0, 4.0], [0.0, 6.0]])
    for ranker, row in [(ColumnRanker(), 2), (ColumnRanker(1), 1), (ColumnRanker(1, False), 2)]:
        assert ranker.fit(X, [0, 0, 0], [0, 0, 0]).choose(X, [0, 0, 0]).tolist() == [row]
    with pytest.raises(InputError, match=r"column must be in 0..1, got 2"):
        ColumnRanker(2).fit(X, [0, 0, 0], [0, 0, 0])
