from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank.errors import InputError
from rerank.tuning.greedy_pool import greedy_pool


def random_counts(rng, n_images, n_candidates, n_classes):
    union = rng.integers(0, 50, size=(n_images, n_candidates, n_classes))
    return (union * rng.random(union.shape)).astype(int), union


def image_oracle(inter, union, chosen):
    """By a loop over images, candidates and classes."""
    total = 0.0
    for i in range(len(inter)):
        best = 0.0
        for k in chosen:
            ratios = [
                inter[i, k, c] / union[i, k, c] for c in range(inter.shape[2]) if union[i, k, c] > 0
            ]
            best = max(best, float(np.mean(ratios)) if ratios else 0.0)
        total += best
    return total / len(inter)


def corpus_oracle(inter, union, chosen):
    """The best corpus IoU over all ways for the images to choose."""
    best = 0.0
    for shown in itertools.product(chosen, repeat=len(inter)):
        rows = np.arange(len(inter)), np.array(shown)
        left, right = inter[rows].sum(axis=0), union[rows].sum(axis=0)
        best = max(best, float((left[right > 0] / right[right > 0]).mean()))
    return best


def test_chooses_what_complements():
    union = np.full((3, 4, 1), 10)
    inter = np.array([[9, 8, 1, 9], [2, 8, 9, 2], [1, 1, 7, 1]])[:, :, None]
    choice = greedy_pool(inter, union, 4)
    assert choice.order == (1, 2, 0)
    np.testing.assert_allclose(choice.oracle, [17 / 30, 24 / 30, 25 / 30])
    assert greedy_pool(inter, union, 2, first=[3]).order == (3, 2)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_image_oracle_is_that_of_loops_and_near_the_best_set(seed):
    rng = np.random.default_rng(seed)
    inter, union = random_counts(rng, 4, 6, 3)
    choice = greedy_pool(inter, union, 3)
    for k in range(len(choice.order)):
        assert choice.oracle[k] == pytest.approx(image_oracle(inter, union, choice.order[: k + 1]))
    best = max(image_oracle(inter, union, chosen) for chosen in itertools.combinations(range(6), 3))
    assert choice.oracle[-1] >= (1 - 1 / np.e) * best - 1e-12
    assert (np.diff(choice.oracle) > 0).all()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_corpus_oracle_can_be_reached_and_is_near_the_best(seed):
    rng = np.random.default_rng(seed)
    inter, union = random_counts(rng, 3, 4, 2)
    union += 1
    choice = greedy_pool(inter, union, 4, objective="corpus")
    reachable = corpus_oracle(inter, union, choice.order)
    assert choice.oracle[-1] <= reachable + 1e-12
    assert choice.oracle[-1] >= 0.8 * reachable
    assert (np.diff(choice.oracle) >= -1e-12).all()


def test_corpus_weighs_images_by_their_pixels():
    # Candidate 0 is best on the small image, candidate 1 on the large one.
    inter = np.array([[[9], [5]], [[500], [900]]])
    union = np.array([[[10], [10]], [[1000], [1000]]])
    assert greedy_pool(inter, union, 1).order in ((0,), (1,))
    assert greedy_pool(inter, union, 1, objective="corpus").order == (1,)
    both = greedy_pool(inter, union, 2, objective="corpus")
    assert both.oracle[-1] == pytest.approx(909 / 1010)


def test_copies_are_not_chosen():
    union = np.full((2, 3, 1), 10)
    inter = np.array([[8, 8, 5], [6, 6, 4]])[:, :, None]
    assert greedy_pool(inter, union, 3).order == (0,)
    ids = np.array([[0, 0, 1], [0, 0, 2]])
    assert greedy_pool(inter, union, 3, labeling_ids=ids).order == (0, 2)


def test_candidates_that_an_image_lacks_serve_the_others():
    union = np.array([[[10], [0]], [[10], [10]]])
    inter = np.array([[[5], [0]], [[5], [9]]])
    for objective in ("image", "corpus"):
        choice = greedy_pool(inter, union, 2, objective=objective)
        assert choice.order == (0, 1)
        assert choice.oracle.tolist() == pytest.approx([0.5, 0.7])
    with pytest.raises(InputError, match="must start from a candidate that is made on every"):
        greedy_pool(inter, union, 2, objective="corpus", first=[1])
    with pytest.raises(InputError, match="needs a candidate that is made on every image"):
        halves = np.array([[[1], [0]], [[0], [1]]])
        greedy_pool(inter * halves, union * halves, 1, objective="corpus")


def test_absent_classes_do_not_count():
    inter = np.array([[[5, 0, 0]]])
    union = np.array([[[10, 0, 0]]])
    for objective in ("image", "corpus"):
        assert greedy_pool(inter, union, 1, objective=objective).oracle[0] == 0.5


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"unions": np.ones((2, 3, 2))}, "must share a shape"),
        ({"intersections": np.ones((2, 3)), "unions": np.ones((2, 3))}, "must share a shape"),
        ({"intersections": np.full((2, 3, 1), 2)}, "0 <= intersection <= union"),
        ({"intersections": np.full((2, 3, 1), np.nan)}, "intersections must be finite"),
        ({"n_proposals": 0}, "n_proposals must be"),
        ({"objective": "best"}, "objective must be"),
        ({"first": [3]}, r"first must hold different numbers in 0..2"),
        ({"first": [1, 1]}, "first must hold different"),
        ({"labeling_ids": np.zeros((3, 2))}, r"labeling_ids must have shape \(2, 3\)"),
    ],
)
def test_refuses(changes, message):
    good = {"intersections": np.ones((2, 3, 1)), "unions": np.ones((2, 3, 1)), "n_proposals": 2}
    with pytest.raises(InputError, match=message):
        greedy_pool(**{**good, **changes})
