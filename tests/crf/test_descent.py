from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from rerank.crf import PottsEnergy
from rerank.crf.descent import descend, descend_components, flip_costs, polish


def test_components_escape_where_single_nodes_are_stuck():
    # Three nodes hold together so strongly that none leaves its label alone.
    edges = np.array([[0, 1], [1, 2], [2, 3]])
    energy = PottsEnergy(
        np.array([[1.0, 0.5]] * 3 + [[5.0, 0.0]]), edges, np.array([3.0, 3.0, 0.1])
    )
    labeling = np.array([0, 0, 0, 1])
    problem, lanes = energy.rows()
    descend(problem, labeling, 100, lanes)
    assert labeling.tolist() == [0, 0, 0, 1]
    polish(problem, labeling, lanes)
    assert labeling.tolist() == [1, 1, 1, 1]


def test_polish_leaves_no_better_node_or_component(random_energy):
    rng = np.random.default_rng(0)
    for _ in range(200):
        energy = random_energy(rng, 8, 3, seeds=False)
        labeling = rng.integers(3, size=8)
        before = energy.evaluate(labeling)
        problem, lanes = energy.rows()
        polish(problem, labeling, lanes)
        value = energy.evaluate(labeling)
        assert value <= before + 1e-12
        same = energy.edges[labeling[energy.edges[:, 0]] == labeling[energy.edges[:, 1]]]
        graph = csr_array((np.ones(len(same)), (same[:, 0], same[:, 1])), shape=(8, 8))
        component = connected_components(graph, directed=False)[1]
        for mask in [component == k for k in range(component.max() + 1)] + list(np.eye(8) > 0):
            for label in range(3):
                assert energy.evaluate(np.where(mask, label, labeling)) >= value - 1e-10


def test_each_change_of_a_component_lowers_the_energy(random_energy):
    rng = np.random.default_rng(1)
    changes = 0
    for _ in range(300):
        energy = random_energy(rng, 9, 3, seeds=False)
        labeling = rng.integers(3, size=9)
        before = energy.evaluate(labeling)
        stale, touched = np.zeros(9, bool), np.ones(9, bool)
        problem, lanes = energy.rows()
        changed = descend_components(problem, labeling, stale, touched, lanes)
        assert changed == stale.any()
        after = energy.evaluate(labeling)
        assert after < before if changed else after == before
        changes += changed
    assert changes > 100


def test_flip_costs_are_differences_of_energy(random_energy):
    rng = np.random.default_rng(2)
    for tables in (None, "metric", "any"):
        energy = random_energy(rng, 7, 4, tables, seeds=False)
        labeling = rng.integers(4, size=7)
        costs = flip_costs(energy.arrays(energy.unary.copy()), labeling)
        for node in range(7):
            for label in range(4):
                other = labeling.copy()
                other[node] = label
                expected = energy.evaluate(other) - energy.evaluate(labeling)
                np.testing.assert_allclose(costs[node, label], expected, atol=1e-10)
