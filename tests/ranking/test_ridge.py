"""Ridge regression within images."""

from __future__ import annotations

import numpy as np
import pytest

from rerank.errors import InputError
from rerank.ranking import RidgeRanker, image_rows


def problem():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(24, 3)) * [1.0, 4.0, 0.1]
    return X, rng.uniform(size=24), np.repeat(np.arange(6), [3, 5, 1, 6, 2, 7])


@pytest.mark.parametrize("scale_columns", [True, False])
def test_normal_equations_of_centred_rows(scale_columns):
    X, quality, groups = problem()
    centred, target = X.copy(), quality.copy()
    for g in range(6):
        centred[groups == g] -= X[groups == g].mean(axis=0)
        target[groups == g] -= quality[groups == g].mean()
    scale = np.sqrt((centred**2).sum(axis=0) / (24 - 6)) if scale_columns else np.ones(3)
    Z = centred / scale
    expected = np.linalg.solve(Z.T @ Z + 0.3 * np.eye(3), Z.T @ target) / scale
    ranker = RidgeRanker(alpha=0.3, scale_columns=scale_columns).fit(X, quality, groups)
    np.testing.assert_allclose(ranker.coef_, expected)


def test_blocks_change_nothing(monkeypatch):
    X, quality, groups = problem()
    whole = RidgeRanker().fit(X, quality, groups)
    monkeypatch.setattr(image_rows, "BLOCK_BYTES", 8 * 3 * 8)
    parts = RidgeRanker().fit(np.asfortranarray(X), quality, groups)
    np.testing.assert_allclose(parts.coef_, whole.coef_)


def test_unusable_penalty():
    with pytest.raises(InputError, match="alpha must be a finite number above 0, got 0"):
        RidgeRanker(alpha=0).fit(*problem())
