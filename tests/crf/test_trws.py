"""TRW-S: its bound against the linear program, and its fast path against the tables."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linprog

from rerank.crf import PottsEnergy, map_inference, trws
from rerank.crf.label_rows import padded
from rerank.crf.trws import Stop, iterate


def linear_program(energy: PottsEnergy) -> float:
    """Minimum of the local-polytope relaxation, which no TRW-S bound can pass."""
    n, n_labels, m = energy.n_nodes, energy.n_labels, len(energy.edges)
    table = 1.0 - np.eye(n_labels) if energy.compatibility is None else energy.compatibility
    pairwise = energy.weights[:, None, None] * np.broadcast_to(table, (m, n_labels, n_labels))
    rows, values = [], []
    size = n * n_labels + m * n_labels**2
    for i in range(n):
        row = np.zeros(size)
        row[i * n_labels : (i + 1) * n_labels] = 1
        rows.append(row)
        values.append(1.0)
    for e, ends in enumerate(energy.edges):
        joint = np.arange(n_labels**2).reshape(n_labels, n_labels)
        joint = joint + n * n_labels + e * n_labels**2
        for side, node in enumerate(ends):
            for label in range(n_labels):
                row = np.zeros(size)
                row[joint[label] if side == 0 else joint[:, label]] = 1
                row[node * n_labels + label] = -1
                rows.append(row)
                values.append(0.0)
    solved = linprog(
        np.concatenate([energy.unary.ravel(), pairwise.ravel()]),
        A_eq=np.array(rows),
        b_eq=values,
        bounds=(0, 1),
    )
    return float(solved.fun)


def raw_bounds(
    energy: PottsEnergy, iterations: int, messages: np.ndarray, relaxation: float = 1.0
) -> np.ndarray:
    bounds = np.empty(iterations)
    labeling = energy.unary.argmin(axis=1)
    problem, lanes = energy.rows()
    wide = messages if energy.compatibility is not None else padded(messages, 0.0)
    used = iterate(problem, wide, labeling, bounds, Stop(-1.0, -np.inf), relaxation, lanes)
    return bounds[:used] + energy.lowest.sum()


@pytest.mark.parametrize("tables", [None, "any"])
def test_bound_stays_below_the_linear_program_and_comes_near(random_energy, tables):
    rng = np.random.default_rng(0)
    reached = []
    for _ in range(30):
        energy = random_energy(rng, 6, 3, tables, seeds=False)
        program = linear_program(energy)
        result = trws(energy, max_iterations=500, tolerance=0.0)
        if not result.optimal:
            assert result.lower_bound <= program + 1e-6
        assert result.lower_bound >= result.bounds.max() - 1e-9
        reached.append(result.bounds[-1] >= program - 1e-3 * (1 + abs(program)))
    assert np.mean(reached) >= 0.95


@pytest.mark.parametrize("tables", [None, "metric", "any"])
def test_bound_never_falls(random_energy, tables):
    rng = np.random.default_rng(1)
    for _ in range(50):
        energy = random_energy(rng, 8, 4, tables, seeds=False)
        bounds = raw_bounds(energy, 40, np.zeros((len(energy.edges), 4)))
        assert (np.diff(bounds) >= -1e-9).all()


def test_bound_holds_from_any_messages(random_energy, all_labelings):
    rng = np.random.default_rng(2)
    for tables in (None, "any"):
        for _ in range(50):
            energy = random_energy(rng, 5, 3, tables, seeds=False)
            best = energy.evaluate(all_labelings(energy)).min()
            messages = rng.normal(size=(len(energy.edges), 3)) * 5
            assert raw_bounds(energy, 3, messages).max() <= best + 1e-9
            assert raw_bounds(energy, 3, messages, 3.0).max() <= best + 1e-9


def test_relaxed_passes_find_better_labelings_sooner(grid_energy):
    rng = np.random.default_rng(8)
    above = {1.0: 0.0, 1.25: 0.0}
    for _ in range(20):
        energy = grid_energy(rng, 14, 14, 8, 1.5)
        bound = trws(energy, max_iterations=300).lower_bound
        for relaxation in above:
            found = trws(energy, max_iterations=3, relaxation=relaxation)
            assert found.lower_bound <= found.energy
            above[relaxation] += found.energy - bound
    assert above[1.25] < above[1.0]


def test_potts_path_equals_a_potts_table(grid_energy):
    energy = grid_energy(np.random.default_rng(3), 9, 7, 5, 1.0)
    shared = PottsEnergy(energy.unary, energy.edges, energy.weights, 1.0 - np.eye(5))
    single = PottsEnergy(
        energy.unary,
        energy.edges,
        energy.weights,
        np.broadcast_to(1.0 - np.eye(5), (len(energy.edges), 5, 5)),
    )
    results = [trws(each, max_iterations=15, tolerance=0.0) for each in (energy, shared, single)]
    for other in results[1:]:
        np.testing.assert_allclose(other.messages, results[0].messages, atol=1e-12)
        np.testing.assert_allclose(other.bounds, results[0].bounds, atol=1e-9)
        np.testing.assert_array_equal(other.labeling, results[0].labeling)


def test_tables_are_read_in_the_order_of_the_edge():
    # Only (0, 1) is free, in the order in which each edge is written.
    table = np.array([[1.0, 0.0], [1.0, 1.0]])
    for edge, expected in (([0, 1], [0, 1]), ([1, 0], [1, 0])):
        energy = PottsEnergy(np.zeros((2, 2)), np.array([edge]), np.ones(1), table)
        for method in ("trws", "icm"):
            init = np.array([1, 1]) if method == "icm" else None
            result = map_inference(energy, method, init=init)
            assert result.energy == 0.0
            assert result.labeling.tolist() == expected


def test_kept_messages_start_where_they_ended(grid_energy):
    energy = grid_energy(np.random.default_rng(4), 12, 11, 6, 1.0)
    first = trws(energy, max_iterations=10, tolerance=0.0)
    again = trws(energy, max_iterations=1, init_messages=first.messages)
    assert again.bounds[0] >= first.bounds[-1] - 1e-9
    changed = energy.unary.copy()
    changed[np.arange(132), first.labeling] += 0.05
    related = energy.with_unary(changed)
    warm = trws(related, max_iterations=1, init_messages=first.messages)
    cold = trws(related, max_iterations=1)
    assert warm.lower_bound > cold.lower_bound
    assert warm.energy <= cold.energy


def test_init_messages_are_not_written_to(grid_energy):
    energy = grid_energy(np.random.default_rng(5), 4, 5, 3, 1.0)
    messages = np.zeros((len(energy.edges), 3))
    result = trws(energy, max_iterations=3, init_messages=messages)
    assert (messages == 0).all() and (result.messages != 0).any()


def test_stops_when_the_bound_no_longer_rises(grid_energy):
    energy = grid_energy(np.random.default_rng(6), 15, 14, 8, 3.0)
    result = trws(energy, max_iterations=2000)
    assert result.iterations < 2000
    assert len(result.bounds) == result.iterations
