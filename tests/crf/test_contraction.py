from __future__ import annotations

import numpy as np
import pytest

from rerank.crf import contract
from rerank.errors import InputError


@pytest.mark.parametrize("tables", [None, "metric", "any"])
def test_energies_of_region_labelings_are_kept(random_energy, tables):
    rng = np.random.default_rng(0)
    for _ in range(60):
        energy = random_energy(rng, 8, 3, tables, seeds=False)
        regions = np.unique(rng.integers(rng.integers(1, 9), size=8), return_inverse=True)[1]
        joined = contract(energy, regions)
        assert joined.n_nodes == regions.max() + 1
        labelings = rng.integers(3, size=(10, joined.n_nodes))
        np.testing.assert_allclose(
            joined.evaluate(labelings), energy.evaluate(labelings[:, regions]), atol=1e-12
        )
        if tables != "any":
            assert (joined.compatibility is None) == (tables is None)


def test_own_regions_change_nothing(random_energy):
    energy = random_energy(np.random.default_rng(1), 6, 3)
    same = contract(energy, np.arange(6))
    np.testing.assert_array_equal(same.unary, energy.unary)
    assert same.weights.sum() == pytest.approx(energy.weights.sum())


@pytest.mark.parametrize(
    "regions, message",
    [
        (np.array([0, 1]), r"shape \(3,\)"),
        (np.array([0.0, 1.0, 1.0]), "must be integers"),
        (np.array([0, 2, 2]), "every number from 0 to the largest, got 2 numbers from 0 to 2"),
        (np.array([1, 1, 1]), "every number"),
    ],
)
def test_refuses(random_energy, regions, message):
    energy = random_energy(np.random.default_rng(2), 3, 2)
    with pytest.raises(InputError, match=message):
        contract(energy, regions)
