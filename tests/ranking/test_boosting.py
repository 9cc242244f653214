"""Gradient boosting."""

from __future__ import annotations

import numpy as np

from rerank.ranking import BoostingRanker, RidgeRanker


def problem(seed):
    """Quality that no linear score follows: best where the column is near 0."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, size=(600, 2))
    return X, 1 - np.abs(X[:, 0]), np.repeat(np.arange(100), 6)


def test_learns_what_a_linear_ranker_cannot():
    train, test = problem(0), problem(1)
    oracle = test[1].reshape(100, 6).max(axis=1).mean()
    trees = BoostingRanker(random_state=0).fit(*train).score(*test)
    linear = RidgeRanker().fit(*train).score(*test)
    assert trees > oracle - 0.05
    assert linear < oracle - 0.2


def test_regresses_quality_less_the_images_mean():
    X, quality, groups = problem(0)
    shifted = quality + 10.0 * groups
    plain = BoostingRanker(max_iter=5, random_state=0).fit(X, quality, groups)
    moved = BoostingRanker(max_iter=5, random_state=0).fit(X, shifted, groups)
    np.testing.assert_allclose(moved.decision_function(X), plain.decision_function(X), atol=1e-9)
