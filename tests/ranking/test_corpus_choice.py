"""The joint choice is the best of all on small cases, and its bound holds on all."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank.errors import InputError
from rerank.metrics import IntersectionUnion, corpus_iou
from rerank.metrics.pairwise_counts import pairwise_counts
from rerank.ranking import choose_corpus, expected_counts, marginal_counts, proposal_beliefs
from rerank.ranking.corpus_choice import ExpectedCounts


def random_counts(
    seed: int, n_images: int, n_proposals: int, n_classes: int, whole: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    unions = rng.random((n_images, n_proposals, n_classes)) * 30
    # Small images beside large ones, and classes that few images hold.
    unions *= rng.choice([0.1, 1.0, 3.0], (n_images, 1, 1)) * rng.choice(
        [0.0, 1.0], (n_images, 1, n_classes), p=[0.3, 0.7]
    )
    intersections = unions * rng.random(unions.shape)
    if whole:
        return intersections.astype(np.int64), unions.astype(np.int64) + 1
    return intersections, unions


def value(intersections: np.ndarray, unions: np.ndarray, choice: np.ndarray) -> float:
    rows = np.arange(len(choice))
    total_i, total_u = intersections[rows, choice].sum(axis=0), unions[rows, choice].sum(axis=0)
    present = total_u > 0
    return float(np.mean(total_i[present] / total_u[present])) if present.any() else 0.0


def best_of_all(intersections: np.ndarray, unions: np.ndarray) -> float:
    n_images, n_proposals = unions.shape[:2]
    choices = itertools.product(range(n_proposals), repeat=n_images)
    return max(value(intersections, unions, np.array(c)) for c in choices)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n_images=st.integers(1, 5),
    n_proposals=st.integers(1, 4),
    n_classes=st.integers(1, 4),
)
def test_small_cases_are_solved_and_certified(
    seed: int, n_images: int, n_proposals: int, n_classes: int
) -> None:
    intersections, unions = random_counts(seed, n_images, n_proposals, n_classes)
    best = best_of_all(intersections, unions)
    found = choose_corpus(intersections, unions, max_nodes=5000)
    assert found.expected_iou == pytest.approx(best, abs=1e-9)
    assert found.upper_bound >= best - 1e-9 and found.gap <= 1e-8
    assert found.expected_iou == pytest.approx(value(intersections, unions, found.choice))
    for max_nodes in (0, 1, 4):
        rough = choose_corpus(intersections, unions, max_nodes=max_nodes)
        assert rough.upper_bound >= best - 1e-9 and rough.expected_iou <= best + 1e-12


def test_classes_that_a_choice_brings_in_or_leaves_out() -> None:
    for seed in range(20):
        intersections, unions = random_counts(seed, 3, 3, 3)
        rng = np.random.default_rng(seed)
        out = rng.random(unions.shape) < 0.5
        intersections[out], unions[out] = 0, 0
        best = best_of_all(intersections, unions)
        found = choose_corpus(intersections, unions, max_nodes=5000)
        assert found.upper_bound >= best - 1e-9
        assert best - 0.2 <= found.expected_iou <= best + 1e-12


def test_it_is_never_below_its_starts_and_a_local_optimum() -> None:
    intersections, unions = random_counts(3, 40, 6, 5)
    rng = np.random.default_rng(0)
    starts = [rng.integers(0, 6, 40) for _ in range(3)]
    found = choose_corpus(intersections, unions, starts)
    assert found.expected_iou >= max(value(intersections, unions, s) for s in starts)
    for image, other in itertools.product(range(40), range(6)):
        changed = found.choice.copy()
        changed[image] = other
        assert value(intersections, unions, changed) <= found.expected_iou + 1e-12
    assert 0 < found.gap < 0.5
    finer = choose_corpus(intersections, unions, starts, max_nodes=60)
    assert finer.upper_bound <= found.upper_bound and finer.expected_iou >= found.expected_iou
    again = choose_corpus(intersections, unions, starts)
    np.testing.assert_array_equal(found.choice, again.choice)
    assert starts[0].max() < 6  # The starts themselves are left as they were.


def test_whole_counts_give_the_corpus_oracle() -> None:
    intersections, unions = random_counts(5, 4, 3, 3, whole=True)
    found = choose_corpus(intersections, unions, max_nodes=3000)
    rows = np.arange(4)
    both = IntersectionUnion(intersections[rows, found.choice], unions[rows, found.choice])
    assert found.expected_iou == pytest.approx(corpus_iou(both).mean)
    assert found.expected_iou == pytest.approx(best_of_all(intersections, unions))


def test_expected_counts_are_means_over_the_believed_truths() -> None:
    rng = np.random.default_rng(0)
    labelings, areas = rng.integers(0, 3, (4, 6)), rng.integers(1, 9, 6)
    pixels = np.repeat(labelings, areas, axis=1)
    pairs = pairwise_counts(labelings, areas, 3)
    beliefs = rng.dirichlet(np.ones(4))
    found = expected_counts(pairs, beliefs)
    for m, k in itertools.product(range(4), range(3)):
        both = [((pixels[m] == k) & (truth == k)).sum() for truth in pixels]
        either = [((pixels[m] == k) | (truth == k)).sum() for truth in pixels]
        assert found.intersections[m, k] == pytest.approx(np.dot(beliefs, both))
        assert found.unions[m, k] == pytest.approx(np.dot(beliefs, either))
    # Marginals that are the labelings' own shares give what the beliefs give, class by class.
    shares = np.einsum("m,mnk->nk", beliefs, np.eye(3)[labelings])
    marginal = marginal_counts(labelings, areas, shares)
    np.testing.assert_allclose(marginal.intersections, found.intersections)
    np.testing.assert_allclose(marginal.unions, found.unions)
    other = ExpectedCounts(found.intersections * 0, found.unions)
    mixed = expected_counts(pairs, beliefs, other, 0.25)
    np.testing.assert_allclose(mixed.intersections, 0.75 * found.intersections)
    np.testing.assert_allclose(mixed.unions, found.unions)


def test_beliefs() -> None:
    scores = np.array([[1.0, 2.0, -np.inf], [10.0, 20.0, 15.0], [4.0, 4.0, 4.0]])
    beliefs = proposal_beliefs(scores, 0.5)
    np.testing.assert_allclose(beliefs.sum(axis=1), 1)
    assert beliefs[0, 2] == 0 and (beliefs[2] == 1 / 3).all()
    np.testing.assert_allclose(beliefs, proposal_beliefs(7 * scores + 1, 0.5))
    assert proposal_beliefs(scores, 1e-3)[1, 1] == pytest.approx(1.0)


def test_bad_input() -> None:
    ones = np.ones((2, 3, 2))
    with pytest.raises(InputError, match="unions must have shape|intersections"):
        choose_corpus(ones[0], ones[0])
    with pytest.raises(InputError, match="must be equal"):
        choose_corpus(ones, ones[:1])
    with pytest.raises(InputError, match="between 0 and their unions"):
        choose_corpus(2 * ones, ones)
    with pytest.raises(InputError, match="finite"):
        choose_corpus(ones * np.nan, ones)
    with pytest.raises(InputError, match="a start must hold 2 proposals in 0..2"):
        choose_corpus(ones, ones, [[0, 3]])
    with pytest.raises(InputError, match="max_nodes"):
        choose_corpus(ones, ones, max_nodes=-1)
    with pytest.raises(InputError, match="temperature must be"):
        proposal_beliefs([[0.0]], 0)
    with pytest.raises(InputError, match="finite one in each image"):
        proposal_beliefs([[-np.inf]])
    pairs = IntersectionUnion(np.ones((2, 2, 1), int), np.ones((2, 2, 1), int))
    with pytest.raises(InputError, match="sum to 1"):
        expected_counts(pairs, [0.2, 0.2])
    with pytest.raises(InputError, match="beliefs must be .M,."):
        expected_counts(pairs, [1.0])
    with pytest.raises(InputError, match="marginal_share"):
        expected_counts(pairs, [0.5, 0.5], None, 0.5)
    with pytest.raises(InputError, match="labelings must be"):
        marginal_counts(np.zeros((2, 3), int), np.ones(4), np.ones((4, 2)))
    with pytest.raises(InputError, match="an area for each region"):
        marginal_counts(np.zeros((2, 4), int), np.ones(3), np.ones((4, 2)))
