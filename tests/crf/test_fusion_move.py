from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from rerank.crf.fusion_move import fuse


def components(energy, mask):
    inside = energy.edges[mask[energy.edges].all(axis=1)]
    n = energy.n_nodes
    graph = csr_array((np.ones(len(inside)), (inside[:, 0], inside[:, 1])), shape=(n, n))
    label = connected_components(graph, directed=False)[1]
    return [(label == k) & mask for k in np.unique(label[mask])]


@pytest.mark.parametrize("tables", [None, "metric", "any"])
def test_fuse_finds_the_best_mixture_of_components(random_energy, tables):
    rng = np.random.default_rng(0)
    several = 0
    for _ in range(200):
        energy = random_energy(rng, 9, 3, tables, seeds=False)
        one, two = rng.integers(3, size=(2, 9))
        two = np.where(rng.random(9) < 0.5, one, two)
        parts = components(energy, one != two)
        mixtures = [
            np.where(sum(chosen, np.zeros(9, bool)), two, one)
            for size in range(len(parts) + 1)
            for chosen in itertools.combinations(parts, size)
        ]
        labeling, other = one.copy(), two.copy()
        changed = fuse(energy.arrays(energy.unary.copy()), labeling, other)
        assert energy.evaluate(labeling) == pytest.approx(
            min(energy.evaluate(mixture) for mixture in mixtures), abs=1e-12
        )
        np.testing.assert_array_equal(labeling, other)
        assert changed == sum((labeling[part] == two[part]).all() for part in parts)
        several += len(parts) > 1
    assert several > 30
