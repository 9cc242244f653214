"""The interior point method."""

from __future__ import annotations

import numpy as np
import pytest

from rerank.ranking.solvers.interior_point import InteriorPoint
from rerank.ranking.solvers.working_set import WorkingSet


@pytest.mark.parametrize("cold", [True, False])
@pytest.mark.parametrize("n_columns, C", [(3, 2.0), (40, 0.05), (40, 50.0)])
def test_the_interior_point_method_alone(cold, n_columns, C, state, slow_dual, assert_feasible):
    problem, full = state(n_images=9, n_columns=n_columns, C=C)
    optimum = slow_dual(full, C)
    working = WorkingSet(problem)
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
