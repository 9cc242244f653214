"""Corpus IoU, linearised."""

from __future__ import annotations

import numpy as np
import pytest

from rerank.errors import InputError
from rerank.ranking import corpus_quality


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    union = rng.integers(100, 1000, size=(40, 3)).astype(float)
    intersection = np.floor(union * rng.uniform(size=(40, 3)))
    groups = np.repeat(np.arange(10), 4)
    return intersection, union, groups, np.arange(10) * 4 + rng.integers(0, 4, size=10)


def corpus_iou(intersection, union, rows):
    return (intersection[rows].sum(axis=0) / union[rows].sum(axis=0)).mean()


def test_baseline_gains_nothing(data):
    np.testing.assert_array_equal(corpus_quality(*data)[data[3]], 0.0)


def test_slope_of_the_corpus_iou(data):
    """The quality is the derivative of corpus IoU along the way to the other proposal."""
    intersection, union, groups, baseline = data
    quality, step = corpus_quality(*data), 1e-6
    for row in range(40):
        start = baseline[groups[row]]
        moved_i, moved_u = intersection.copy(), union.copy()
        moved_i[start] += step * (intersection[row] - intersection[start])
        moved_u[start] += step * (union[row] - union[start])
        slope = (
            corpus_iou(moved_i, moved_u, baseline) - corpus_iou(intersection, union, baseline)
        ) / step
        assert quality[row] == pytest.approx(slope, abs=1e-8)


def test_one_image_of_many_counts_little(data):
    intersection, union, _groups, baseline = data
    many = corpus_quality(
        np.tile(intersection, (50, 1)),
        np.tile(union, (50, 1)),
        np.arange(2000) // 4,
        (baseline[None] + 40 * np.arange(50)[:, None]).ravel(),
    )
    swapped = baseline.copy()
    swapped[3] = 12 if baseline[3] != 12 else 13
    big_i, big_u = np.tile(intersection[baseline], (50, 1)), np.tile(union[baseline], (50, 1))
    before = corpus_iou(big_i, big_u, np.arange(500))
    big_i[3], big_u[3] = intersection[swapped[3]], union[swapped[3]]
    assert many[swapped[3]] == pytest.approx(
        corpus_iou(big_i, big_u, np.arange(500)) - before, rel=0.02
    )


def test_absent_classes_do_not_count(data):
    intersection, union, groups, baseline = data
    expected = corpus_quality(*data)
    # Nothing of the new class in the baseline, but one proposal claims it.
    more_i, more_u = np.zeros((40, 4)), np.zeros((40, 4))
    more_i[:, [0, 1, 3]], more_u[:, [0, 1, 3]] = intersection, union
    other = next(row for row in range(40) if row not in baseline)
    more_u[other, 2] = 500.0
    np.testing.assert_allclose(corpus_quality(more_i, more_u, groups, baseline), expected)


def test_weights_of_classes(data):
    intersection, union, groups, baseline = data
    alone = [
        corpus_quality(intersection[:, [k]], union[:, [k]], groups, baseline) for k in range(3)
    ]
    weighted = corpus_quality(*data, class_weights=[1.0, 3.0, 0.0])
    np.testing.assert_allclose(weighted, 0.25 * alone[0] + 0.75 * alone[1])
    np.testing.assert_allclose(corpus_quality(*data), np.mean(alone, axis=0))


def test_rows_of_an_image_need_not_be_neighbours(data):
    intersection, union, groups, baseline = data
    order = np.arange(40).reshape(10, 4).T.ravel()
    place = np.argsort(order)
    np.testing.assert_allclose(
        corpus_quality(intersection[order], union[order], groups[order], place[baseline]),
        corpus_quality(*data)[order],
    )


@pytest.mark.parametrize(
    "change, message",
    [
        ({"intersections": np.zeros(4)}, r"intersections must have shape \(N, K\)"),
        ({"unions": np.ones((4, 3))}, "they must be equal"),
        ({"intersections": np.full((4, 2), 9.0)}, "in row 0, class 0 they are 9.0 and 2.0"),
        ({"intersections": np.full((4, 2), np.nan)}, "intersections must be finite"),
        ({"baseline": [0]}, "baseline must hold one row for each of the 2 images"),
        ({"baseline": [0.0, 2.0]}, "baseline must hold one row for each of the 2 images"),
        ({"baseline": [0, 4]}, r"baseline must hold rows in 0..3"),
        ({"baseline": [2, 0]}, "baseline row 2 is not of image"),
        ({"class_weights": [1.0]}, "class_weights must be 2 finite numbers of 0 or more"),
        ({"class_weights": [0.0, 0.0]}, "no class is present"),
    ],
)
def test_unusable_input(change, message):
    good = {
        "intersections": np.ones((4, 2)),
        "unions": np.full((4, 2), 2.0),
        "groups": [0, 0, 1, 1],
        "baseline": [0, 2],
    }
    with pytest.raises(InputError, match=message):
        corpus_quality(**{**good, **change})
