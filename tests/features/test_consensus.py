import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank.errors import InputError
from rerank.features import compare_proposals, consensus_features

CLASSES = ("bg", "cow", "dog")


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 6))
def test_agrees_with_loops(seed, n_proposals):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, (n_proposals, 8)).astype(np.uint8)
    labels[1] = labels[0]
    areas = rng.random(8) + 0.1
    share = areas / areas.sum()
    found = compare_proposals(labels, areas, 3)
    for m in range(n_proposals):
        others = np.delete(labels, m, axis=0)
        same = others == labels[m]
        np.testing.assert_allclose(np.delete(found.pairwise[m], m), same @ share)
        for c in range(3):
            assert found.painted[m, c] == pytest.approx(share[labels[m] == c].sum())
            assert found.voted[m, c] == pytest.approx(((others == c) @ share).mean())
            assert found.intersection[m, c] == pytest.approx(
                ((same & (others == c)) @ share).mean(), abs=1e-12
            )
        union = found.painted[m] + found.voted[m] - found.intersection[m]
        iou = np.where(union > 1e-12, found.intersection[m] / np.maximum(union, 1e-12), 0)
        np.testing.assert_allclose(found.iou[m], iou, atol=1e-9)
        weight = np.where(found.painted[m] > 0, 1, np.minimum(10 * found.voted[m], 1))
        np.testing.assert_allclose(
            found.scalars[m],
            [
                (same @ share).mean(),
                (same @ share).max(),
                (same @ share).min(),
                iou.sum() / weight.sum(),
                share[~same.any(axis=0)].sum(),
            ],
            atol=1e-9,
        )


def test_columns_by_hand():
    labels = np.array([[0, 0, 1, 1], [0, 0, 0, 1], [0, 2, 1, 1]])
    table = consensus_features(compare_proposals(labels, np.ones(4), 3), CLASSES)
    assert table.column("proposal.mean_overlap").tolist() == [0.75, 0.625, 0.625]
    assert table.column("proposal.nearest_overlap").tolist() == [0.75, 0.75, 0.75]
    assert table.column("proposal.farthest_overlap").tolist() == [0.75, 0.5, 0.5]
    assert table.column("proposal.lonely").tolist() == [0, 0.25, 0.25]
    assert table.column("proposal.votes[cow]").tolist() == [0.75, 1, 0.75]
    assert table.column("proposal.votes[dog]").tolist() == [0, 0, 0]
    assert table.column("proposal.unclaimed_votes[dog]").tolist() == [0.125, 0.125, 0]
    assert table.shape == (3, 5 + 9)


def test_a_lone_proposal_is_compared_with_itself():
    found = compare_proposals(np.array([[0, 1]]), np.ones(2), 3)
    assert found.scalars.tolist() == [[1, 1, 1, 1, 0]]
    assert found.iou.tolist() == [[1, 1, 0]]


def test_bad_inputs_are_refused():
    with pytest.raises(InputError, match="must be"):
        compare_proposals(np.zeros((2, 3), int), np.ones(2), 3)
    with pytest.raises(InputError, match="must be"):
        compare_proposals(np.zeros((0, 3), int), np.ones(3), 3)
    with pytest.raises(InputError, match="0..1"):
        compare_proposals(np.full((1, 3), 2), np.ones(3), 2)
