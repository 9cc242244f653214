from __future__ import annotations

import itertools

import numpy as np
import pytest

from rerank.crf import PottsEnergy
from rerank.proposals import joint_cost
from rerank.proposals.joint_moves import JointMoves, exchange, expand_together


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


def test_trades_lower_energies_and_keep_differences(small_energy):
    rng = np.random.default_rng(2)
    gains = []
    for _ in range(30):
        energy = small_energy(rng, 8, 3)
        before = rng.integers(3, size=(3, 8))
        after = before.copy()
        changed = exchange(energy, after)
        np.testing.assert_array_equal(np.sort(after, axis=0), np.sort(before, axis=0))
        gains.append(energy.evaluate(before).sum() - energy.evaluate(after).sum())
        assert changed == (gains[-1] > 0)
    assert min(gains) >= 0 and np.mean(np.array(gains) > 0) > 0.8


def test_trades_read_tables_in_the_order_of_the_edge():
    table = np.array([[0.0, 5.0, 1.0], [2.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    energy = PottsEnergy(np.zeros((2, 3)), np.array([[1, 0]]), np.ones(1), table)
    rows = np.array([[1, 0], [0, 2]])
    # As it is, node 1 comes first in the edge: C[0, 1] + C[2, 0]; traded: C[2, 1] + C[0, 0].
    assert energy.evaluate(rows).sum() == 6.0
    assert exchange(energy, rows)
    assert energy.evaluate(rows).sum() == 1.0
