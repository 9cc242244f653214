"""Small problems of the structured hinge, and a slow solver of their duals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from rerank.ranking.image_rows import best_rows, image_rows, regret
from rerank.ranking.solvers.block_coordinate_ascent import sweep
from rerank.ranking.solvers.hinge_problem import HingeProblem
from rerank.ranking.solvers.working_set import WorkingSet


def make_state(n_images=6, n_proposals=4, n_columns=12, C=0.3, seed=0):
    """A problem and a working set that holds every constraint, all variables 0."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_images * n_proposals, n_columns))
    images = image_rows(np.repeat(np.arange(n_images), n_proposals))
    quality = 1 / (1 + np.exp(-X[:, 0] - rng.normal(size=len(X))))
    best = best_rows(quality, images)
    problem = HingeProblem(X, None, images, regret(quality, images), best, C)
    working = WorkingSet(problem)
    rows = np.setdiff1d(np.arange(len(X)), best)
    (block,) = problem.blocks()
    working.add(rows, images.image_of_row()[rows], block, problem.terms)
    return problem, working


def solve_slowly(working, C):
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


def sweep_all(working, C, n_sweeps):
    weights = np.zeros(working.differences.shape[1])
    order = np.arange(len(working.counts))
    gaps = np.empty((n_sweeps, len(working.counts)))
    for k in range(n_sweeps):
        sweep(order, working.constraints, weights, C, gaps[k])
    return weights, gaps.sum(axis=1)


def check_feasible(working, C):
    alphas = working.alphas[: working.size]
    assert (alphas >= 0).all()
    used = np.bincount(working.image[: working.size], weights=alphas)
    assert used.max() <= C * (1 + 1e-12)


# Tests import no helper from a conftest; they are given these as they are.
state = pytest.fixture(lambda: make_state)
slow_dual = pytest.fixture(lambda: solve_slowly)
swept = pytest.fixture(lambda: sweep_all)
assert_feasible = pytest.fixture(lambda: check_feasible)
