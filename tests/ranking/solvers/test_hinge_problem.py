"""The objective of the structured hinge."""

from __future__ import annotations

import numpy as np
import pytest


def test_the_best_multiple(state):
    problem, _ = state(C=5.0)
    weights = 0.2 * np.random.default_rng(1).normal(size=12)
    margins = problem.margins(weights[None])[0]
    factor = problem.best_multiple(weights, margins)
    grid = np.linspace(0, 4, 2001)
    values = [problem.objective(f * weights, f * margins) for f in grid]
    assert factor == pytest.approx(grid[int(np.argmin(values))], abs=4e-3)
