from __future__ import annotations

import itertools

import numpy as np
import pytest

from rerank.crf import PottsEnergy
from rerank.proposals import joint_cost
from rerank.proposals.joint_moves import JointMoves, expand_together


def allowed(switches, rows, alpha, order):
    """Whether at each node only a head of the order switches, but for those that have the label."""
    for i in range(rows.shape[1]):
        line = [switches[row, i] for row in order if rows[row, i] != alpha]
        if sorted(line, reverse=True) != line:
            return False
    return True


@pytest.mark.parametrize("metric", [False, True])
def test_a_move_is_the_best_of_its_kind(small_energy, metric):
    rng = np.random.default_rng(0)
    moved = 0
    for _ in range(15):
        energy = small_energy(rng, 3, 3)
        if metric:
            places = rng.random((3, 2))
            table = np.linalg.norm(places[:, None] - places, axis=2)
            energy = PottsEnergy(energy.unary, energy.edges, energy.weights, table)
        weights, alpha, order = rng.random(3), int(rng.integers(3)), rng.permutation(3)
        rows = rng.integers(3, size=(3, 3))
        found = JointMoves(energy, 3, weights).expand(rows, alpha, order)
        assert ((found == rows) | (found == alpha)).all()
        best = min(
            joint_cost(energy, np.where(switches, alpha, rows), 1.0, weights)
            for chosen in itertools.product((False, True), repeat=9)
            for switches in [np.array(chosen).reshape(3, 3)]
            if allowed(switches, rows, alpha, order)
        )
        assert joint_cost(energy, found, 1.0, weights) == pytest.approx(best, abs=1e-10)
        moved += (found != rows).any()
    assert moved > 5


def test_moves_lower_the_joint_cost_and_keep_their_start(grid_context):
    rng = np.random.default_rng(1)
    for _ in range(3):
        energy = grid_context(rng, 4).energy
        rows = rng.integers(4, size=(4, energy.n_nodes))
        before = rows.copy()
        weights = 0.3 * rng.random(energy.n_nodes)
        found = expand_together(energy, rows, weights)
        np.testing.assert_array_equal(rows, before)
        assert joint_cost(energy, found, 1.0, weights) < joint_cost(energy, rows, 1.0, weights)


def test_a_strong_seed_is_kept(small_energy):
    energy = small_energy(np.random.default_rng(2), 5, 3)
    unary = energy.unary.copy()
    unary[3] = [1e6, 0.0, 1e6]
    rows = np.ones((3, 5), dtype=np.int64)
    found = expand_together(energy.with_unary(unary), rows, np.full(5, 0.5))
    assert (found[:, 3] == 1).all() and (found != 1).any()
