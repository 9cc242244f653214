from __future__ import annotations

import numpy as np
import pytest

from rerank.crf import PottsEnergy
from rerank.proposals import div_mbest
from rerank.proposals.augmented_problems import Schedule, solve_augmented

SCHEDULE = Schedule(map_iterations=10, passes=4, relaxation=1.25)


@pytest.mark.parametrize("n_labels", [3, 4, 5, 6])
def test_solves_what_div_mbest_solves(grid_context, n_labels):
    energy = grid_context(np.random.default_rng(n_labels), n_labels).energy
    penalty = np.full(energy.unary.shape, 0.3)
    labelings, gaps = solve_augmented(energy, 5, penalty, SCHEDULE)
    found = div_mbest(energy, 5, 0.3)
    np.testing.assert_array_equal(labelings, found.labelings)
    np.testing.assert_array_equal(found.energies - gaps, found.lower_bounds)


def test_own_labelings_as_leaders_change_nothing(grid_context):
    energy = grid_context(np.random.default_rng(0), 4).energy
    penalty = np.full(energy.unary.shape, 0.3)
    labelings, gaps = solve_augmented(energy, 5, penalty, SCHEDULE)
    again, same_gaps = solve_augmented(energy, 5, penalty, SCHEDULE, labelings)
    np.testing.assert_array_equal(again, labelings)
    np.testing.assert_array_equal(same_gaps, gaps)


def test_each_labeling_is_pushed_away_from_the_leaders():
    energy = PottsEnergy(np.array([[0.0, 1.0, 2.0]]), np.zeros((0, 2), int), np.zeros(0))
    penalty = np.full((1, 3), 10.0)
    labelings, gaps = solve_augmented(energy, 3, penalty, SCHEDULE, np.array([[1], [0], [0]]))
    assert labelings.ravel().tolist() == [0, 0, 2]
    assert (gaps == 0).all()
