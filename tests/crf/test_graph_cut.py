from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank.crf import GraphCutSolver, PottsEnergy, map_inference
from rerank.errors import InputError


def test_a_series_of_unaries_is_solved_as_each_would_be_alone(grid_energy, all_labelings):
    rng = np.random.default_rng(0)
    energy = grid_energy(rng, 13, 17, 2, 1.5)
    solver = GraphCutSolver(energy)
    for _step in range(60):
        size = 10.0 ** rng.integers(-3, 4)
        unary = energy.unary + size * rng.normal(size=energy.unary.shape)
        reused = solver.solve(unary)
        alone = GraphCutSolver(energy.with_unary(unary)).solve()
        assert reused.energy == pytest.approx(alone.energy, rel=1e-13, abs=1e-10)
        assert reused.optimal and reused.gap == 0


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_submodular_tables_are_exact_in_series(random_energy, all_labelings, seed):
    rng = np.random.default_rng(seed)
    plain = random_energy(rng, 6, 2, seeds=False)
    tables = rng.normal(size=(len(plain.edges), 2, 2))
    tables[:, 0, 1] += np.maximum(
        0, tables[:, 0, 0] + tables[:, 1, 1] - tables[:, 0, 1] - tables[:, 1, 0]
    )
    energy = PottsEnergy(plain.unary, plain.edges, plain.weights, tables)
    solver = GraphCutSolver(energy)
    for _ in range(3):
        unary = rng.normal(size=(6, 2)) * 2
        best = energy.with_unary(unary).evaluate(all_labelings(energy)).min()
        assert solver.solve(unary).energy == pytest.approx(best, abs=1e-10)


def test_ties_go_to_label_zero():
    energy = PottsEnergy(np.zeros((3, 2)), np.array([[0, 1], [1, 2]]), np.ones(2))
    assert map_inference(energy, "graph_cut").labeling.tolist() == [0, 0, 0]


@pytest.mark.parametrize("table", [np.eye(2), np.array([[0.0, 1.0], [-2.0, 0.0]])])
def test_refuses_what_is_not_submodular(table):
    energy = PottsEnergy(np.zeros((2, 2)), np.array([[0, 1]]), np.ones(1), table)
    with pytest.raises(InputError, match=r"C\[0, 0\] \+ C\[1, 1\] <= C\[0, 1\] \+ C\[1, 0\]"):
        map_inference(energy, "graph_cut")


def test_tables_of_edges_without_weight_do_not_count():
    energy = PottsEnergy(
        np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([[0, 1]]), np.zeros(1), np.eye(2)
    )
    assert map_inference(energy, "graph_cut").labeling.tolist() == [0, 1]
    assert map_inference(energy, "alpha_expansion").labeling.tolist() == [0, 1]


def test_refuses_unaries_of_another_shape():
    energy = PottsEnergy(np.zeros((2, 2)), np.array([[0, 1]]), np.ones(1))
    with pytest.raises(InputError, match=r"shape \(2, 2\), got \(3, 2\)"):
        GraphCutSolver(energy).solve(np.zeros((3, 2)))
