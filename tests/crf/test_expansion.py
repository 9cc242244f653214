from __future__ import annotations

import itertools

import numpy as np
import pytest

from rerank.crf import PottsEnergy, alpha_expansion, expand_each, map_inference
from rerank.errors import InputError


@pytest.mark.parametrize("tables", [None, "metric"])
def test_no_expansion_of_the_answer_is_better(random_energy, tables):
    rng = np.random.default_rng(0)
    for _ in range(150):
        energy = random_energy(rng, 6, 3, tables, seeds=False)
        result = alpha_expansion(energy, rng.integers(3, size=6))
        switches = np.array(list(itertools.product([False, True], repeat=6)))
        for alpha in range(3):
            moves = np.where(switches, alpha, result.labeling)
            assert energy.evaluate(moves).min() >= result.energy - 1e-10


def test_potts_is_within_twice_the_minimum(random_energy, all_labelings):
    rng = np.random.default_rng(1)
    for _ in range(100):
        energy = random_energy(rng, 6, 4, seeds=False)
        energy = energy.with_unary(energy.unary - energy.unary.min())
        best = energy.evaluate(all_labelings(energy)).min()
        assert alpha_expansion(energy, rng.integers(4, size=6)).energy <= 2 * best + 1e-10


def test_asked_for_bound_is_that_of_message_passing(grid_energy):
    energy = grid_energy(np.random.default_rng(2), 10, 12, 5, 1.0)
    trivial = alpha_expansion(energy)
    asked = alpha_expansion(energy, bound_iterations=20)
    assert trivial.lower_bound == energy.unary.min(axis=1).sum()
    assert asked.lower_bound > trivial.lower_bound
    bound = map_inference(energy, "trws", max_iterations=20, tolerance=0.0).lower_bound
    assert asked.lower_bound == pytest.approx(bound, abs=1e-12)
    assert asked.energy == trivial.energy


@pytest.mark.parametrize("shape", ["shared", "single"])
def test_refuses_what_no_cut_can_express(shape):
    table = np.array([[0.0, 1.0, 5.0], [1.0, 0.0, 1.0], [5.0, 1.0, 0.0]])
    good = 1.0 - np.eye(3)
    compatibility = table if shape == "shared" else np.stack([good, table])
    energy = PottsEnergy(np.zeros((3, 3)), np.array([[0, 1], [1, 2]]), np.ones(2), compatibility)
    with pytest.raises(InputError, match=r"broken at a=0, b=2, c=1; use method 'trws' or 'icm'"):
        alpha_expansion(energy)
    unweighted = PottsEnergy(energy.unary, energy.edges, np.array([1.0, 0.0]), compatibility)
    if shape == "single":
        assert alpha_expansion(unweighted).energy == 0.0


def test_cycles_are_limited(grid_energy):
    energy = grid_energy(np.random.default_rng(3), 14, 15, 6, 2.0)
    start = np.zeros(210, dtype=int)
    one = alpha_expansion(energy, start, max_cycles=1)
    free = alpha_expansion(energy, start)
    assert one.iterations == 1 < free.iterations
    assert free.energy <= one.energy < energy.evaluate(start)


@pytest.mark.parametrize("n_labels", [2, 4])
def test_each_of_several_weights_gives_what_alone_it_gives(grid_energy, n_labels):
    energy = grid_energy(np.random.default_rng(5), 9, 8, n_labels, 1.0)
    weights = energy.weights * np.array([[0.0], [0.5], [1.0], [4.0]])
    init = np.random.default_rng(6).integers(n_labels, size=energy.n_nodes)
    for start in (None, init):
        found = expand_each(energy, weights, start)
        for labeling, row in zip(found, weights):
            alone = alpha_expansion(energy.with_weights(row), start)
            np.testing.assert_array_equal(labeling, alone.labeling)


def test_each_refuses_tables_that_no_cut_can_express():
    table = np.array([[0.0, 1.0, 5.0], [1.0, 0.0, 1.0], [5.0, 1.0, 0.0]])
    energy = PottsEnergy(np.zeros((2, 3)), np.array([[0, 1]]), np.ones(1), table)
    with pytest.raises(InputError, match="alpha_expansion needs"):
        expand_each(energy, np.ones((2, 1)))
