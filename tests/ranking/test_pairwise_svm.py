"""The ranking SVM on pairs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from rerank.errors import InputError
from rerank.ranking import PairwiseRankSVM
from rerank.ranking.pairwise_svm import _pairs


def problem(seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(30, 3))
    return X, np.round(X[:, 0] + rng.normal(size=30), 2), np.repeat(np.arange(6), 5)


@pytest.mark.parametrize("pairs", ["best", "all"])
def test_objective_of_a_slow_solver(pairs):
    X, quality, groups = problem()
    differences, gains = [], []
    for g in range(6):
        rows = np.flatnonzero(groups == g)
        for a in rows:
            for b in rows:
                better = quality[a] > quality[b]
                if better and (pairs == "all" or quality[a] == quality[rows].max()):
                    differences.append(X[a] - X[b])
                    gains.append(quality[a] - quality[b])
    D, weight = np.array(differences), np.array(gains) / np.mean(gains)

    def objective(w):
        return 0.5 * w @ w + 0.7 * weight @ np.maximum(0, 1 - D @ w) ** 2

    slow = minimize(objective, np.zeros(3), method="BFGS", options={"gtol": 1e-9})
    ranker = PairwiseRankSVM(C=0.7, pairs=pairs, scale_columns=False, tol=1e-8, random_state=0).fit(
        X, quality, groups
    )
    assert ranker.n_pairs_ == len(D)
    assert objective(ranker.coef_) == pytest.approx(slow.fun, rel=1e-6)
    np.testing.assert_allclose(ranker.coef_, slow.x, atol=1e-3)


def test_pairs_of_an_image():
    rng = np.random.default_rng(0)
    better, worse = _pairs(np.array([0.2, 0.9, 0.9, 0.1]), "best", 100, rng)
    assert better.tolist() == [1, 1] and worse.tolist() == [0, 3]
    better, worse = _pairs(np.array([0.2, 0.9, 0.9, 0.1]), "all", 100, rng)
    assert sorted(zip(better.tolist(), worse.tolist())) == [(0, 3), (1, 0), (1, 3), (2, 0), (2, 3)]
    better, worse = _pairs(np.array([0.2, 0.9, 0.9, 0.1]), "all", 2, rng)
    assert len(better) == len(worse) == 2


def test_a_single_pair_is_enough():
    X, groups = np.array([[0.0], [2.0]]), [0, 0]
    ranker = PairwiseRankSVM(C=1.0, random_state=0).fit(X, [0.0, 1.0], groups)
    assert ranker.n_pairs_ == 1 and ranker.coef_[0] > 0


def test_limit_of_pairs():
    ranker = PairwiseRankSVM(pairs="all", max_pairs=3, random_state=0).fit(*problem())
    assert ranker.n_pairs_ == 18


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"pairs": "some"}, "pairs must be 'best' or 'all', got 'some'"),
        ({"C": -1.0}, "C must be a finite number above 0"),
        ({"max_pairs": 0}, "max_pairs must be a finite number above 0"),
    ],
)
def test_unusable_settings(settings, message):
    with pytest.raises(InputError, match=message):
        PairwiseRankSVM(**settings).fit(*problem())
