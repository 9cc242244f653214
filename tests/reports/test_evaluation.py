import numpy as np
import pytest

from rerank.errors import InputError
from rerank.metrics import IntersectionUnion, bootstrap_interval, chosen_counts
from rerank.reports import evaluate, evaluation_rows

COUNTS = IntersectionUnion(np.array([[5, 1], [4, 0]]), np.array([[10, 4], [5, 0]]))
BASELINE = IntersectionUnion(np.array([[4, 1], [2, 0]]), np.array([[10, 4], [5, 0]]))


def test_chosen_counts_are_those_of_the_choice() -> None:
    intersections = np.arange(12).reshape(2, 3, 2)
    found = chosen_counts(IntersectionUnion(intersections, intersections + 1), np.array([2, 0]))
    np.testing.assert_array_equal(found.intersections, [[4, 5], [6, 7]])
    np.testing.assert_array_equal(found.unions, [[5, 6], [7, 8]])


def test_one_choice_for_each_image() -> None:
    counts = IntersectionUnion(np.zeros((2, 3, 2), int), np.ones((2, 3, 2), int))
    with pytest.raises(InputError, match="3 choices for 2 images"):
        chosen_counts(counts, np.zeros(3, int))


def test_measures_by_hand() -> None:
    found = evaluate("rule", COUNTS, n_resamples=0)
    assert found.name == "rule"
    assert found.per_class == pytest.approx([9 / 15, 1 / 4])
    assert found.corpus_iou == pytest.approx((9 / 15 + 1 / 4) / 2)
    assert found.image_iou == pytest.approx(((5 / 10 + 1 / 4) / 2 + 4 / 5) / 2)
    assert found.corpus_interval is None and found.image_gain is None


def test_intervals_and_gains_are_the_bootstraps() -> None:
    found = evaluate("rule", COUNTS, BASELINE, n_resamples=200, random_state=3)
    for measure in ("corpus", "image"):
        alone = bootstrap_interval(COUNTS, None, measure, 200, random_state=3)
        paired = bootstrap_interval(COUNTS, BASELINE, measure, 200, random_state=3)
        assert getattr(found, f"{measure}_interval") == alone
        assert getattr(found, f"{measure}_gain") == paired
    assert found.corpus_gain is not None and found.image_gain is not None
    assert found.corpus_gain.estimate == pytest.approx((9 - 6) / 15 / 2)
    assert found.image_gain.estimate == pytest.approx((1 / 10 / 2 + 2 / 5) / 2)
    assert found.corpus_gain.low <= found.corpus_gain.estimate <= found.corpus_gain.high


def test_without_a_baseline_there_is_no_gain() -> None:
    found = evaluate("rule", COUNTS, n_resamples=50)
    assert found.corpus_gain is None and found.image_gain is None
    assert found.corpus_interval is not None and found.image_interval is not None


def test_rows_are_in_points_and_of_one_head() -> None:
    measured = evaluate("rule", COUNTS, BASELINE, n_resamples=50)
    plain = evaluate("plain", COUNTS, n_resamples=0)
    first, second = evaluation_rows({"rule": measured, "plain": plain})
    assert list(first) == list(second)
    assert first["rule"] == "rule" and first["corpus_iou"] == 42.5
    assert first["corpus_gain"] == 10.0 and first["image_gain"] == 22.5
    assert measured.corpus_interval is not None
    assert first["corpus_interval_low"] == round(100 * measured.corpus_interval.low, 3)
    empty = {key for key, value in second.items() if value == ""}
    assert empty == set(first) - {"rule", "corpus_iou", "image_iou"}


def test_a_measure_of_nothing_is_an_empty_cell() -> None:
    nothing = IntersectionUnion(np.zeros((1, 2), int), np.zeros((1, 2), int))
    found = evaluate("none", nothing, n_resamples=0)
    assert evaluation_rows({"none": found})[0]["corpus_iou"] == ""
