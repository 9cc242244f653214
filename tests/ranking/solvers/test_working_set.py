"""The working set, block ascent, and steps over the face."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from rerank.ranking.image_rows import image_rows
from rerank.ranking.ranker import best_rows, regret
from rerank.ranking.solvers.block_coordinate_ascent import sweep, visit_images
from rerank.ranking.solvers.hinge_problem import HingeProblem
from rerank.ranking.solvers.interior_point import InteriorPoint
from rerank.ranking.solvers.projected_newton import projected_newton_step
from rerank.ranking.solvers.working_set import WorkingSet


def state(n_images=6, n_proposals=4, n_columns=12, C=0.3, seed=0):
    """A problem and a working set that holds every constraint, all variables 0."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_images * n_proposals, n_columns))
    images = image_rows(np.repeat(np.arange(n_images), n_proposals))
    quality = 1 / (1 + np.exp(-X[:, 0] - rng.normal(size=len(X))))
    best = best_rows(quality, images)
    problem = HingeProblem(X, None, images, regret(quality, images), best, C)
    working = WorkingSet(best, len(X), n_columns)
    rows = np.setdiff1d(np.arange(len(X)), best)
    working.add(X, 0, rows, images.image_of_row()[rows], best, problem.losses)
    return problem, working


def slow_dual(working, C):
    """The dual's optimum over the working set, by SLSQP."""
    size, n_images = working.size, len(working.counts)
    D, b = working.differences[:size], working.losses[:size]
    member = (working.image[:size] == np.arange(n_images)[:, None]).astype(float)
    found = minimize(
        lambda a: 0.5 * (a @ D) @ (a @ D) - a @ b,
        np.full(size, C / size),
        jac=lambda a: D @ (a @ D) - b,
        bounds=[(0, None)] * size,
        method="SLSQP",
        constraints={"type": "ineq", "fun": lambda a: C - member @ a, "jac": lambda a: -member},
        options={"maxiter": 1000, "ftol": 1e-14},
    )
    return -found.fun


def swept(working, C, n_sweeps):
    weights = np.zeros(working.differences.shape[1])
    order = np.arange(len(working.counts))
    gaps = np.empty((n_sweeps, len(working.counts)))
    for k in range(n_sweeps):
        sweep(
            order,
            working.differences,
            working.losses,
            working.alphas,
            working.slots,
            working.counts,
            working.gram,
            weights,
            C,
            gaps[k],
        )
    return weights, gaps.sum(axis=1)


def assert_feasible(working, C):
    alphas = working.alphas[: working.size]
    assert (alphas >= 0).all()
    used = np.bincount(working.image[: working.size], weights=alphas)
    assert used.max() <= C * (1 + 1e-12)


def test_constraints_are_what_they_say():
    problem, working = state()
    assert working.size == 18 and working.counts.tolist() == [3] * 6
    for i in range(6):
        slots = working.slots[i, :3]
        D = problem.rows[problem.best[i]] - problem.rows[working.row[slots]]
        np.testing.assert_array_equal(working.differences[slots], D)
        np.testing.assert_array_equal(working.losses[slots], problem.losses[working.row[slots]])
        np.testing.assert_allclose(working.gram[i, :3, :3], D @ D.T)
    assert working.known.all()


def test_sweeps_reach_the_duals_optimum():
    problem, working = state()
    weights, gaps = swept(working, problem.C, 300)
    np.testing.assert_allclose(weights, working.weights(), atol=1e-12)
    assert_feasible(working, problem.C)
    assert working.dual(weights) == pytest.approx(slow_dual(working, problem.C), rel=1e-7)
    assert gaps[-1] < 1e-6 < gaps[0]


def test_the_sweeps_gap_bounds_what_is_left():
    problem, working = state()
    optimum = slow_dual(working, problem.C)
    weights, _ = swept(working, problem.C, 3)
    before = working.dual(weights)
    # One image at a time: the sum of the images' own gaps at fixed weights is the whole gap.
    gaps = np.empty(6)
    for i in range(6):
        sweep(
            np.array([i]),
            working.differences,
            working.losses,
            working.alphas.copy(),
            working.slots,
            working.counts,
            working.gram,
            weights.copy(),
            problem.C,
            gaps,
        )
    assert gaps.sum() >= optimum - before - 1e-12


@pytest.mark.parametrize("n_new", [1, 2])
def test_a_visit_finds_the_most_violated_rows(n_new):
    problem, _full = state()
    working = WorkingSet(problem.best, 24, 12)
    working.reserve(0, 6, n_new)
    weights, average = np.zeros(12), np.zeros(12)
    candidates = np.random.default_rng(1).normal(size=(2, 12))
    margins = np.empty((2, 24))
    working.size = visit_images(
        np.arange(6),
        problem.rows,
        problem.images.starts,
        problem.best,
        0,
        problem.losses,
        working.differences,
        working.losses,
        working.alphas,
        working.image,
        working.row,
        working.slots,
        working.counts,
        working.gram,
        working.known,
        working.size,
        weights,
        average,
        0,
        problem.C,
        candidates,
        margins,
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


def test_a_step_over_the_face_solves_it():
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
        sweep(
            np.arange(6),
            working.differences,
            working.losses,
            working.alphas,
            working.slots,
            working.counts,
            working.gram,
            weights,
            problem.C,
            np.empty(6),
        )
    assert working.dual(weights) == pytest.approx(optimum, rel=1e-7)


def test_a_step_over_the_face_keeps_to_the_simplex():
    for seed in range(20):
        problem, working = state(n_columns=25, C=0.02, seed=seed)
        weights, _ = swept(working, problem.C, 1)
        before = working.dual(weights)
        rise = projected_newton_step(working, weights, problem.C)
        assert rise >= 0
        assert working.dual(weights) == pytest.approx(before + rise, rel=1e-9)
        assert_feasible(working, problem.C)


def test_no_step_over_a_face_of_more_variables_than_columns():
    problem, working = state(n_columns=2)
    _weights, _ = swept(working, problem.C, 1)
    working.alphas[: working.size] = 0.01
    assert projected_newton_step(working, working.weights(), problem.C) == 0.0


def test_idle_constraints_can_be_dropped():
    problem, working = state()
    weights, _ = swept(working, problem.C, 50)
    value, rows = working.dual(weights), set(working.row[:18][working.alphas[:18] > 0])
    working.drop_idle()
    assert 0 < working.size < 18 and set(working.row[: working.size]) == rows
    assert working.dual(working.weights()) == pytest.approx(value)
    assert working.counts.sum() == working.size
    for i in range(6):
        slots = working.slots[i, : working.counts[i]]
        assert (working.image[slots] == i).all()
        D = working.differences[slots]
        np.testing.assert_allclose(working.gram[i, : len(slots), : len(slots)], D @ D.T)
    known = np.flatnonzero(working.known)
    assert set(known) == rows | set(problem.best)


@pytest.mark.parametrize("cold", [True, False])
@pytest.mark.parametrize("n_columns, C", [(3, 2.0), (40, 0.05), (40, 50.0)])
def test_the_interior_point_method_alone(cold, n_columns, C):
    problem, full = state(n_images=9, n_columns=n_columns, C=C)
    optimum = slow_dual(full, C)
    working = WorkingSet(problem.best, 36, n_columns)
    method = InteriorPoint(problem, working, np.zeros(n_columns), problem.empty_objective(), cold)
    for _ in range(60):
        method.step(floor=0.0)
        if method.primal - method.dual < 1e-7 * optimum:
            break
    assert method.primal == pytest.approx(optimum, rel=1e-6)
    assert method.dual == pytest.approx(optimum, rel=1e-6)
    assert_feasible(working, C)
    margins = problem.margins(method.weights[None])[0]
    assert problem.objective(method.weights, margins) == pytest.approx(method.primal)


def test_the_best_multiple():
    problem, _ = state(C=5.0)
    weights = 0.2 * np.random.default_rng(1).normal(size=12)
    margins = problem.margins(weights[None])[0]
    factor = problem.best_multiple(weights, margins)
    grid = np.linspace(0, 4, 2001)
    values = [problem.objective(f * weights, f * margins) for f in grid]
    assert factor == pytest.approx(grid[int(np.argmin(values))], abs=4e-3)
