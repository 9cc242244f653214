import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank.errors import InputError
from rerank.metrics import IntersectionUnion, confusion_counts, intersection_union


def slow_counts(labels, prediction, n_classes, ignore_index):
    counts = np.zeros((n_classes, n_classes), dtype=int)
    for truth, guess in zip(labels.ravel().tolist(), prediction.ravel().tolist()):
        if truth != ignore_index:
            counts[truth, guess] += 1
    return counts


def draw(seed, n_classes=5, shape=(7, 11), void=255, n_predictions=3):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, n_classes, shape).astype(np.uint8)
    labels[rng.random(shape) < 0.2] = void
    predictions = rng.integers(0, n_classes, (n_predictions,) + shape).astype(np.uint8)
    return labels, predictions


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), n_classes=st.integers(1, 21))
def test_counts_agree_with_a_loop_over_pixels(seed, n_classes):
    labels, predictions = draw(seed, n_classes)
    counts = confusion_counts(labels, predictions, n_classes)
    assert counts.shape == (3, n_classes, n_classes) and counts.dtype == np.int64
    for one, prediction in zip(counts, predictions):
        np.testing.assert_array_equal(one, slow_counts(labels, prediction, n_classes, 255))
        np.testing.assert_array_equal(one, confusion_counts(labels, prediction, n_classes))


def test_rows_are_the_truth_and_columns_the_prediction():
    counts = confusion_counts(np.array([[0, 0, 2]]), np.array([[1, 1, 2]]), 3)
    assert counts.tolist() == [[0, 2, 0], [0, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.int64, np.uint64])
def test_any_integer_type_counts_alike(dtype):
    labels, predictions = draw(3)
    expected = slow_counts(labels, predictions[0], 5, 255)
    np.testing.assert_array_equal(
        confusion_counts(labels.astype(dtype), predictions[0].astype(dtype), 5), expected
    )


def test_void_has_a_configurable_label_and_its_prediction_is_not_looked_at():
    labels = np.array([[11, 0, 1]])
    prediction = np.array([[200, 0, 0]])
    counts = confusion_counts(labels, prediction, 2, ignore_index=11)
    assert counts.tolist() == [[1, 0], [1, 0]]
    everything = confusion_counts(np.array([0, 1]), np.array([1, 1]), 2, ignore_index=None)
    assert everything.sum() == 2


def test_all_void_and_empty_give_zeros():
    void = np.full((2, 3), 255)
    assert confusion_counts(void, np.zeros((2, 3), int), 4).sum() == 0
    assert confusion_counts(np.zeros((0, 3), int), np.zeros((0, 3), int), 4).sum() == 0


def test_an_ignored_label_that_is_also_a_class_is_dropped():
    counts = confusion_counts(np.array([0, 1, 1]), np.array([0, 0, 1]), 2, ignore_index=0)
    assert counts.tolist() == [[0, 0], [1, 1]]


@pytest.mark.parametrize(
    "labels, prediction, message",
    [
        (np.zeros((2, 3), int), np.zeros((3, 2), int), r"\(3, 2\).*\(2, 3\)"),
        (np.zeros((2, 3)), np.zeros((2, 3), int), "labels must be integers, got float64"),
        (np.zeros((2, 3), int), np.zeros((2, 3)), "predictions must be integers, got float64"),
        (np.full((2, 3), 7), np.zeros((2, 3), int), r"0\.\.3 or 255 \(void\), found 7"),
        (np.zeros((2, 3), int), np.full((2, 3), 4), r"0\.\.3 where the truth.*found 4"),
        (np.zeros((2, 3), int), np.full((2, 3), -1), "found -1"),
    ],
)
def test_unusable_arrays_are_named(labels, prediction, message):
    with pytest.raises(InputError, match=message):
        confusion_counts(labels, prediction, 4)


def test_no_classes_is_an_error():
    with pytest.raises(InputError, match="at least 1, got 0"):
        confusion_counts(np.zeros((1, 1), int), np.zeros((1, 1), int), 0)


def test_intersections_cannot_exceed_unions():
    with pytest.raises(InputError, match="between 0 and their unions"):
        IntersectionUnion(np.array([2]), np.array([1]))
    with pytest.raises(InputError, match=r"\(2,\).*\(1,\)"):
        IntersectionUnion(np.array([2, 1]), np.array([3]))
    with pytest.raises(InputError, match="float64"):
        IntersectionUnion(np.array([0.5]), np.array([1.0]))


@pytest.mark.parametrize("counts", [np.zeros((2, 3), int), np.zeros(4, int), np.zeros((0, 0), int)])
def test_counts_must_be_square(counts):
    with pytest.raises(InputError, match=r"\(\.\.\., C, C\)"):
        intersection_union(counts)
