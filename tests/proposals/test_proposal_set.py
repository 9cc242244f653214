from __future__ import annotations

import numpy as np
import pytest

from rerank.errors import InputError
from rerank.proposals import ProposalSet
from rerank.proposals.proposal_set import equal_labelings


def two_sets():
    left = ProposalSet.of(
        "a",
        np.array([[0, 1], [1, 1], [0, 1]]),
        np.array([1.0, 2.0, 1.0]),
        np.array([0.5, 2.0, 0.5]),
        {"x": 1},
        [{"k": k} for k in range(3)],
    )
    right = ProposalSet.of("b", np.array([[1, 1]]), np.array([2.0]))
    return left, right


def test_joins_takes_and_drops_repeats():
    left, right = two_sets()
    joined = ProposalSet.concatenate([left, right])
    assert len(joined) == 4
    assert joined.generators == ("a", "a", "a", "b")
    assert joined.parameters[1] == {"x": 1, "k": 1}
    np.testing.assert_array_equal(joined.gaps, [0.5, 0.0, 0.5, np.inf])
    picked = joined.take([3, 0])
    assert picked.generators == ("b", "a")
    assert picked.labelings.tolist() == [[1, 1], [0, 1]]
    assert joined.distinct().parameters == ({"x": 1, "k": 0}, {"x": 1, "k": 1})


def test_takes_nothing():
    left, _ = two_sets()
    assert left.take([]).labelings.shape == (0, 2)


def test_refuses_what_does_not_fit():
    left, _right = two_sets()
    with pytest.raises(InputError, match="at least one set"):
        ProposalSet.concatenate([])
    with pytest.raises(InputError, match=r"same nodes, got \[2, 3\]"):
        ProposalSet.concatenate([left, ProposalSet.of("c", np.zeros((1, 3), int), np.zeros(1))])
    with pytest.raises(InputError, match="energies must have one entry for each of 2"):
        ProposalSet.of("c", np.zeros((2, 3), int), np.zeros(1))
    with pytest.raises(InputError, match=r"shape \(M, n\)"):
        ProposalSet.of("c", np.zeros(3, int), np.zeros(3))


def test_equal_labelings_have_equal_numbers_in_order_of_first_occurrence():
    rows = np.array([[1, 0, 2], [0, 0, 0], [1, 0, 2], [0, 0, 1], [0, 0, 0]])
    assert equal_labelings(rows).tolist() == [0, 1, 0, 2, 1]
    assert equal_labelings(rows[:, ::2]).tolist() == [0, 1, 0, 2, 1]
