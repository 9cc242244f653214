"""Block-coordinate ascent against a slow solver of the dual."""

from __future__ import annotations

import numpy as np
import pytest

from rerank.ranking.solvers.block_coordinate_ascent import Iterate, Judged, sweep, visit_images
from rerank.ranking.solvers.working_set import WorkingSet


def test_sweeps_reach_the_duals_optimum(state, slow_dual, swept, assert_feasible):
    problem, working = state()
    weights, gaps = swept(working, problem.C, 300)
    np.testing.assert_allclose(weights, working.weights(), atol=1e-12)
    assert_feasible(working, problem.C)
    assert working.dual(weights) == pytest.approx(slow_dual(working, problem.C), rel=1e-7)
    assert gaps[-1] < 1e-6 < gaps[0]


def test_the_sweeps_gap_bounds_what_is_left(state, slow_dual, swept):
    problem, working = state()
    optimum = slow_dual(working, problem.C)
    weights, _ = swept(working, problem.C, 3)
    before = working.dual(weights)
    # One image at a time: the sum of the images' own gaps at fixed weights is the whole gap.
    gaps = np.empty(6)
    for i in range(6):
        held = working.constraints._replace(alphas=working.alphas.copy())
        sweep(np.array([i]), held, weights.copy(), problem.C, gaps)
    assert gaps.sum() >= optimum - before - 1e-12


@pytest.mark.parametrize("n_new", [1, 2])
def test_a_visit_finds_the_most_violated_rows(n_new, state, assert_feasible):
    problem, _full = state()
    working = WorkingSet(problem)
    working.reserve(0, 6, n_new)
    weights, average = np.zeros(12), np.zeros(12)
    candidates = np.random.default_rng(1).normal(size=(2, 12))
    margins = np.empty((2, 24))
    (block,) = problem.blocks()
    working.size = visit_images(
        np.arange(6),
        block,
        problem.terms,
        working.constraints,
        working.size,
        Iterate(weights, average, 0),
        Judged(candidates, margins),
        n_new,
    )
    np.testing.assert_allclose(margins, problem.margins(candidates), atol=1e-12)
    # The first image is seen at weights of 0: its largest losses.
    largest = np.argsort(-problem.losses[:4])[:n_new]
    assert working.row[:n_new].tolist() == largest.tolist()
    assert n_new <= working.size <= 6 * n_new
    np.testing.assert_allclose(weights, working.weights(), atol=1e-12)
    assert np.linalg.norm(average) < np.linalg.norm(weights)
    assert_feasible(working, problem.C)
