"""Problems that are solved from the messages of a related one."""

from __future__ import annotations

import numpy as np
import pytest

from rerank.crf import graph_cut, icm, trws
from rerank.crf.warm_start import UnaryChange, WarmStart
from rerank.errors import InputError


@pytest.mark.parametrize("tables", [None, "any"])
def test_answers_come_near_the_best_and_depend_on_their_costs_alone(
    random_energy, all_labelings, tables
):
    rng = np.random.default_rng(0)
    above = []
    for _ in range(30):
        energy = random_energy(rng, 6, 3, tables, seeds=False)
        start = WarmStart(energy, trws(energy))
        shifts = rng.normal(size=(4, 2, 3))
        regions, factors = rng.permutation(6) % 2, rng.uniform(0.5, 2.0, size=6)
        found = start.solve(UnaryChange(shifts, regions, factors), 2)
        for shift, labeling in zip(shifts, found):
            unary = energy.unary - factors[:, None] * shift[regions]
            other = energy.with_unary(unary)
            values = other.evaluate(all_labelings(other))
            above.append(other.evaluate(labeling) - values.min())
            assert other.evaluate(labeling) == pytest.approx(icm(other, labeling).energy)
            np.testing.assert_array_equal(start.solve_one(unary, 2), labeling)
        np.testing.assert_array_equal(
            start.solve(UnaryChange(shifts[2:3], regions, factors), 2)[0], found[2]
        )
    assert np.mean(np.array(above) < 1e-9) > 0.9


def test_two_labels_end_near_the_cut(grid_energy):
    energy = grid_energy(np.random.default_rng(1), 8, 8, 2, 1.0)
    start = WarmStart(energy, trws(energy))
    shifted = energy.unary - np.array([0.3, 0.0])
    best = graph_cut(energy.with_unary(shifted)).energy
    found = energy.with_unary(shifted).evaluate(start.solve_one(shifted, 5))
    assert best - 1e-9 <= found <= best + 0.01 * abs(best)


def test_bad_input_is_refused(random_energy):
    energy = random_energy(np.random.default_rng(2), 5, 3, None, seeds=False)
    with pytest.raises(InputError, match="no messages"):
        WarmStart(energy, icm(energy))
    start = WarmStart(energy, trws(energy))
    good = UnaryChange(np.zeros((1, 2, 3)), np.zeros(5, dtype=np.int64), np.ones(5))
    for change, message in (
        (good._replace(shifts=np.zeros((1, 2, 4))), "shifts must have shape"),
        (good._replace(factors=np.ones(4)), "factors must have shape"),
        (good._replace(regions=np.full(5, 2)), "regions must lie in"),
        (good._replace(factors=np.full(5, np.nan)), "factors"),
    ):
        with pytest.raises(InputError, match=message):
            start.solve(change, 2)
    with pytest.raises(InputError, match="unary must have shape"):
        start.solve_one(np.zeros((5, 2)), 2)
