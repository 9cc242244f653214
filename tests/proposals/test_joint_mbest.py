from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank.crf import PottsEnergy
from rerank.errors import InputError
from rerank.proposals import div_mbest, joint_cost, joint_mbest


def loop_cost(energy, labelings, diversity, node_weights):
    total = sum(energy.evaluate(row) for row in labelings)
    for left, right in itertools.combinations(labelings, 2):
        total -= diversity * node_weights[left != right].sum()
    return total


def least_cost(energy, everything, n_proposals, diversity, node_weights):
    """Minimum over all sets of labelings."""
    energies = energy.evaluate(everything)
    apart = diversity * ((everything[:, None] != everything) @ node_weights)
    best = np.inf
    for chosen in itertools.combinations_with_replacement(range(len(everything)), n_proposals):
        rows = np.array(chosen)
        best = min(best, energies[rows].sum() - apart[np.ix_(rows, rows)].sum() / 2)
    return best


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), n_proposals=st.integers(1, 4), diversity=st.floats(0, 1))
def test_two_labels_are_exact(small_energy, every_labeling, seed, n_proposals, diversity):
    rng = np.random.default_rng(seed)
    energy = small_energy(rng, 4, 2)
    weights = rng.random(4)
    found = joint_mbest(energy, n_proposals, diversity, node_weights=weights)
    assert found.parameters[0]["exact"]
    cost = joint_cost(energy, found.labelings, diversity, weights)
    assert cost == pytest.approx(loop_cost(energy, found.labelings, diversity, weights))
    best = least_cost(energy, every_labeling(energy), n_proposals, diversity, weights)
    assert cost == pytest.approx(best, abs=1e-10)
    # The labelings are nested, and each has the least energy of those with as many ones.
    ones = found.labelings[np.argsort(found.labelings.sum(axis=1))]
    assert (np.diff(ones, axis=0) >= 0).all()
    everything = every_labeling(energy)
    for row, value in zip(found.labelings, found.energies):
        alike = np.isclose(everything @ weights, row @ weights)
        assert value <= energy.evaluate(everything)[alike].min() + 1e-10


def test_two_labels_are_exact_for_submodular_tables(small_energy, every_labeling):
    rng = np.random.default_rng(0)
    for _ in range(20):
        plain = small_energy(rng, 4, 2)
        tables = rng.normal(size=(len(plain.edges), 2, 2))
        tables[:, 1, 0] += np.maximum(
            0, tables[:, 0, 0] + tables[:, 1, 1] - tables[:, 0, 1] - tables[:, 1, 0]
        )
        energy = PottsEnergy(plain.unary, plain.edges, plain.weights, tables)
        found = joint_mbest(energy, 3, 0.3)
        best = least_cost(energy, every_labeling(energy), 3, 0.3, np.ones(4))
        assert joint_cost(energy, found.labelings, 0.3) == pytest.approx(best, abs=1e-10)


@pytest.mark.parametrize("diversity, share", [(0.3, 0.9), (1.0, 0.8)])
def test_more_labels_are_never_worse_than_div_mbest_and_mostly_optimal(
    small_energy, every_labeling, diversity, share
):
    rng = np.random.default_rng(1)
    solved, greedy_solved = [], []
    for _ in range(30):
        energy = small_energy(rng, 3, 3)
        found = joint_mbest(energy, 3, diversity)
        cost = joint_cost(energy, found.labelings, diversity)
        greedy = joint_cost(
            energy, div_mbest(energy, 3, diversity, method="trws").labelings, diversity
        )
        assert cost <= greedy + 1e-10
        best = least_cost(energy, every_labeling(energy), 3, diversity, np.ones(3))
        assert cost >= best - 1e-10
        solved.append(cost <= best + 1e-10)
        greedy_solved.append(greedy <= best + 1e-10)
        assert (found.lower_bounds <= energy.evaluate(every_labeling(energy)).min() + 1e-9).all()
        assert (np.diff(found.energies) >= 0).all()
    assert np.mean(solved) >= share
    assert np.mean(solved) > np.mean(greedy_solved)


def test_no_diversity_gives_the_map_m_times(small_energy):
    for n_labels in (2, 3):
        found = joint_mbest(small_energy(np.random.default_rng(4), 6, n_labels), 3, 0.0)
        assert (found.labelings == found.labelings[0]).all()
        assert found.gaps[0] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"n_proposals": 0}, "n_proposals must be an integer"),
        ({"diversity": -1.0}, "diversity must be a finite number"),
        ({"max_cycles": 0}, "max_cycles must be"),
        ({"bound_iterations": -1}, "bound_iterations must be"),
        ({"node_weights": np.ones(2)}, r"node_weights must have shape \(3,\)"),
    ],
)
def test_refuses(arguments, message):
    energy = PottsEnergy(np.zeros((3, 3)), np.array([[0, 1]]), np.ones(1))
    with pytest.raises(InputError, match=message):
        joint_mbest(energy, **{"n_proposals": 2, "diversity": 0.1, **arguments})


def test_refuses_tables_that_no_cut_expresses():
    energy = PottsEnergy(np.zeros((2, 3)), np.array([[0, 1]]), np.ones(1), np.eye(3))
    with pytest.raises(InputError, match="alpha_expansion needs"):
        joint_mbest(energy, 2, 0.1)
