"""The working set."""

from __future__ import annotations

import numpy as np
import pytest


def test_constraints_are_what_they_say(state):
    problem, working = state()
    assert working.size == 18 and working.counts.tolist() == [3] * 6
    for i in range(6):
        slots = working.slots[i, :3]
        D = problem.rows[problem.best[i]] - problem.rows[working.row[slots]]
        np.testing.assert_array_equal(working.differences[slots], D)
        np.testing.assert_array_equal(working.losses[slots], problem.losses[working.row[slots]])
        np.testing.assert_allclose(working.gram[i, :3, :3], D @ D.T)
    assert working.known.all()


def test_idle_constraints_can_be_dropped(state, swept):
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
