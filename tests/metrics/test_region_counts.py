import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank.errors import InputError
from rerank.metrics import (
    confusion_counts,
    intersection_union,
    majority_labels,
    region_confusion,
    region_histogram,
    region_intersection_union,
)


def draw_labels(seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 5, (7, 11)).astype(np.uint8)
    labels[rng.random(labels.shape) < 0.2] = 255
    return labels


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 8), st.integers(1, 8), st.integers(0, 999))
def test_a_histogram_agrees_with_loops(height, width, seed):
    rng = np.random.default_rng(seed)
    regions = rng.integers(0, 6, (height, width))
    labels = rng.integers(0, 3, (height, width))
    labels[rng.random((height, width)) < 0.3] = 255
    counts = [[int((labels[regions == i] == c).sum()) for c in range(3)] for i in range(6)]
    assert region_histogram(regions, labels, 3, n_regions=6).tolist() == counts


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_region_counts_equal_those_of_the_full_size_images(seed):
    labels = draw_labels(seed)
    rng = np.random.default_rng(seed)
    regions = rng.integers(0, 6, labels.shape)
    labelings = rng.integers(0, 5, (4, 6))
    histogram = region_histogram(regions, labels, 5, n_regions=6)
    assert histogram.sum() == (labels != 255).sum()
    full = confusion_counts(labels, labelings[:, regions], 5)
    np.testing.assert_array_equal(region_confusion(histogram, labelings), full)
    np.testing.assert_array_equal(region_confusion(histogram, labelings[2]), full[2])
    expected = intersection_union(full)
    for got, want in (
        (region_intersection_union(histogram, labelings), expected),
        (intersection_union(region_confusion(histogram, labelings)), expected),
    ):
        np.testing.assert_array_equal(got.intersections, want.intersections)
        np.testing.assert_array_equal(got.unions, want.unions)
    single = region_intersection_union(histogram, labelings[1])
    np.testing.assert_array_equal(single.unions, expected.unions[1])


def test_region_histogram_counts_regions_from_the_map():
    regions = np.array([[0, 0, 2], [2, 2, 0]])
    labels = np.array([[1, 1, 0], [255, 1, 255]], dtype=np.uint8)
    for dtype in (np.int64, np.int32, np.uint16):
        found = region_histogram(regions.astype(dtype), labels, 2)
        assert found.tolist() == [[0, 2], [0, 0], [1, 1]]
    assert region_histogram(regions[:0], labels[:0], 2).shape == (0, 2)


def test_region_errors_name_what_came():
    histogram = np.ones((4, 3), int)
    with pytest.raises(InputError, match=r"\(M, 4\).*got \(2, 5\)"):
        region_confusion(histogram, np.zeros((2, 5), int))
    with pytest.raises(InputError, match="found 3"):
        region_intersection_union(histogram, np.full(4, 3))
    with pytest.raises(InputError, match="float64"):
        region_intersection_union(histogram * 1.0, np.zeros(4, int))
    with pytest.raises(InputError, match="at least 0, found -1"):
        region_intersection_union(-histogram, np.zeros(4, int))
    with pytest.raises(InputError, match=r"regions must be 0\.\.1, found 0\.\.2"):
        region_histogram(np.array([[0, 2]]), np.array([[0, 0]]), 1, n_regions=2)
    with pytest.raises(InputError, match="regions must be integers"):
        region_histogram(np.array([[0.0]]), np.array([[0]]), 1)


def test_void_is_not_counted():
    regions = np.array([[0, 0, 1, 1]])
    labels = np.array([[0, 11, 11, 11]], dtype=np.uint8)
    assert region_histogram(regions, labels, 11, ignore_index=11).sum(axis=1).tolist() == [1, 0]
    assert region_histogram(regions, labels, 12, ignore_index=None).sum() == 4


def test_majority_has_ties_to_the_lowest_and_void_where_nothing_is_counted():
    assert majority_labels(np.array([[1, 2, 2], [0, 0, 0]]), void=9).tolist() == [1, 9]


def test_histogram_errors_name_what_came():
    regions = np.array([[0, 1]])
    with pytest.raises(InputError, match="must be equal"):
        region_histogram(regions, np.zeros((2, 2), dtype=int), 2)
    with pytest.raises(InputError, match="found 2"):
        region_histogram(regions, np.array([[0, 2]]), 2)
    with pytest.raises(InputError, match=r"\(n, C\)"):
        majority_labels(np.zeros(3))
