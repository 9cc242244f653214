"""Distances of sets of labelings, against sampling, all permutations and a linear program."""

from itertools import permutations

import numpy as np
import pytest
from scipy.optimize import linprog
from sklearn.metrics import jaccard_score

from rerank.errors import InputError
from rerank.metrics import (
    generalised_energy_distance,
    matched_iou,
    mean_distance,
    pairwise_image_iou,
)


def masks(seed, count, n_classes=3, size=(5, 7)):
    return np.random.default_rng(seed).integers(0, n_classes, (count, *size))


def distances(first, second, n_classes=3):
    return 1 - pairwise_image_iou(first, second, n_classes)


def test_pairs_are_scikit_learns_jaccard_scores():
    first, second = masks(0, 3), masks(1, 2)
    first[0][first[0] == 2] = 0
    second[1][:] = 1
    valid = np.random.default_rng(2).random((5, 7)) < 0.7
    found = pairwise_image_iou(first, second, 3, valid)
    for m in range(3):
        for k in range(2):
            expected = jaccard_score(second[k][valid], first[m][valid], average="macro")
            assert found[m, k] == pytest.approx(expected)
    assert np.isnan(pairwise_image_iou(first, second, 3, np.zeros((5, 7), bool))).all()


def test_energy_distance_is_the_mean_over_all_draws():
    first, second = masks(3, 4), masks(4, 3)
    cross, own, other = distances(first, second), distances(first, first), distances(second, second)
    weights = np.array([1.0, 0.0, 2.0, 3.0])
    draws = [0, 2, 2, 3, 3, 3]
    total = 0.0
    for s in draws:
        for t in draws:
            for y in range(3):
                for z in range(3):
                    total += cross[s, y] + cross[t, z] - own[s, t] - other[y, z]
    expected = total / (len(draws) ** 2 * 9)
    assert generalised_energy_distance(cross, own, other, weights) == pytest.approx(expected)


def test_energy_distance_of_equal_sets_is_nothing_and_of_binary_masks_at_least_nothing():
    for seed in range(20):
        first, second = masks(seed, 3, 2), masks(seed + 50, 5, 2)
        own, other = distances(first, first, 2), distances(second, second, 2)
        found = generalised_energy_distance(distances(first, second, 2), own, other)
        assert found >= -1e-12
        assert generalised_energy_distance(own, own, own) == pytest.approx(0)
        doubled = np.tile(own, (1, 2))
        again = generalised_energy_distance(doubled, own, np.tile(own, (2, 2)))
        assert again == pytest.approx(0)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_matching_equals_the_best_permutation(size):
    table = np.random.default_rng(size).random((size, size))
    best = max(np.mean([table[i, p[i]] for i in range(size)]) for p in permutations(range(size)))
    assert matched_iou(table) == pytest.approx(best)


@pytest.mark.parametrize("shape", [(1, 4), (2, 3), (4, 6), (5, 1)])
def test_matching_of_different_sizes_is_the_best_transport(shape):
    table = np.random.default_rng(sum(shape)).random(shape)
    m, k = shape
    rows = np.kron(np.eye(m), np.ones(k))
    columns = np.kron(np.ones(m), np.eye(k))
    found = linprog(
        -table.ravel(),
        A_eq=np.concatenate([rows, columns]),
        b_eq=np.concatenate([np.full(m, 1 / m), np.full(k, 1 / k)]),
    )
    assert matched_iou(table) == pytest.approx(-found.fun)


def test_mean_distance_leaves_the_diagonal_out():
    assert mean_distance(np.array([[0, 1, 2], [1, 0, 3], [2, 3, 0]])) == pytest.approx(2)
    assert mean_distance(np.zeros((1, 1))) == 0


def test_errors_name_what_came():
    with pytest.raises(InputError, match=r"\(M, H, W\) and \(K, H, W\)"):
        pairwise_image_iou(masks(0, 1)[0], masks(0, 1), 3)
    with pytest.raises(InputError, match=r"valid must be \(5, 7\)"):
        pairwise_image_iou(masks(0, 1), masks(0, 1), 3, np.ones((5, 6), bool))
    with pytest.raises(InputError, match=r"got \(2, 3\), \(2, 2\) and \(2, 2\)"):
        generalised_energy_distance(np.ones((2, 3)), np.ones((2, 2)), np.ones((2, 2)))
    with pytest.raises(InputError, match="weights must be"):
        generalised_energy_distance(np.ones((2, 1)), np.ones((2, 2)), np.ones((1, 1)), np.zeros(2))
    with pytest.raises(InputError, match="similarity must be finite"):
        matched_iou(np.array([[np.nan]]))
    with pytest.raises(InputError, match="a member in each set"):
        matched_iou(np.ones((0, 2)))
