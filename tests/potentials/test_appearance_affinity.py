"""Averages over superpixels that look alike, against the formula written out."""

import numpy as np
import pytest

from rerank.errors import InputError
from rerank.potentials import affinity_weights


def slow_weights(values, areas, bandwidth):
    z = (values - values.mean(axis=0)) / values.std(axis=0)
    n, depth = z.shape
    found = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            if i != j:
                found[i, j] = areas[j] * np.exp(
                    -((z[i] - z[j]) ** 2).sum() / (2 * bandwidth**2 * depth)
                )
        found[i] /= found[i].sum()
    return found


def test_agrees_with_the_formula():
    rng = np.random.default_rng(0)
    values, areas = rng.random((9, 3)), rng.integers(1, 50, 9).astype(float)
    np.testing.assert_allclose(
        affinity_weights(values, areas, 0.7),
        slow_weights(values, areas, 0.7),
        rtol=1e-9,
        atol=1e-15,
    )


@pytest.mark.parametrize(
    "values", [np.zeros((5, 2)), np.arange(5.0)[:, None] * 1e6, np.ones((1, 3))]
)
def test_rows_are_distributions_whatever_the_values(values):
    weights = affinity_weights(values, np.ones(len(values)), 1e-3)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    assert (weights >= 0).all()


def test_scale_and_offset_of_values_do_not_matter():
    rng = np.random.default_rng(1)
    values, areas = rng.random((12, 2)), np.ones(12)
    np.testing.assert_allclose(
        affinity_weights(values, areas), affinity_weights(values * [3.0, 0.1] + 7, areas), rtol=1e-6
    )


@pytest.mark.parametrize(
    "values, areas, bandwidth, message",
    [
        (np.ones(3), np.ones(3), 0.1, "must be .n, D."),
        (np.ones((3, 1)), np.ones(2), 0.1, "must be .n, D."),
        (np.full((3, 1), np.nan), np.ones(3), 0.1, "values"),
        (np.ones((3, 1)), np.zeros(3), 0.1, "above 0"),
        (np.ones((3, 1)), np.ones(3), 0.0, "above 0"),
    ],
)
def test_refuses(values, areas, bandwidth, message):
    with pytest.raises(InputError, match=message):
        affinity_weights(values, areas, bandwidth)
