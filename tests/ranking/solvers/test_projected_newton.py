"""Projected Newton steps over the variables that are not 0."""

from __future__ import annotations

import numpy as np
import pytest

from rerank.ranking.solvers.block_coordinate_ascent import sweep
from rerank.ranking.solvers.projected_newton import projected_newton_step


def test_a_step_over_the_face_solves_it(state, slow_dual, swept, assert_feasible):
    # With more columns than constraints and a large C no bound acts but alpha >= 0.
    problem, working = state(n_columns=40, C=100.0)
    weights, _ = swept(working, problem.C, 5)
    optimum = slow_dual(working, problem.C)
    for _ in range(4):
        before = working.dual(weights)
        rise = projected_newton_step(working, weights, problem.C)
        assert working.dual(weights) == pytest.approx(before + rise, rel=1e-9)
        np.testing.assert_allclose(weights, working.weights(), atol=1e-12)
        assert_feasible(working, problem.C)
        sweep(np.arange(6), working.constraints, weights, problem.C, np.empty(6))
    assert working.dual(weights) == pytest.approx(optimum, rel=1e-7)


def test_a_step_over_the_face_keeps_to_the_simplex(state, swept, assert_feasible):
    for seed in range(20):
        problem, working = state(n_columns=25, C=0.02, seed=seed)
        weights, _ = swept(working, problem.C, 1)
        before = working.dual(weights)
        rise = projected_newton_step(working, weights, problem.C)
        assert rise >= 0
        assert working.dual(weights) == pytest.approx(before + rise, rel=1e-9)
        assert_feasible(working, problem.C)


def test_no_step_over_a_face_of_more_variables_than_columns(state, swept):
    problem, working = state(n_columns=2)
    _weights, _ = swept(working, problem.C, 1)
    working.alphas[: working.size] = 0.01
    assert projected_newton_step(working, working.weights(), problem.C) == 0.0
