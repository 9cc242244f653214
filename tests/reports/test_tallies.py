"""Confusion and reliability, against counts pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest

from rerank.reports.tallies import MOST_CELLS, Reliability, Tally, confusion_cells, label_beliefs


def test_beliefs_are_weights_of_agreement() -> None:
    rng = np.random.default_rng(0)
    labelings, weights = rng.integers(0, 3, (5, 7)), rng.random(5)
    labels = labelings[2]
    found = label_beliefs(labelings, weights, labels)
    for region in range(7):
        agree = [weights[s] for s in range(5) if labelings[s, region] == labels[region]]
        assert found[region] == pytest.approx(sum(agree) / weights.sum())


def test_reliability_counts_pixels_by_belief() -> None:
    # Three regions of 4, 10 and 6 labelled pixels, labelled 0, 1 and 1.
    histogram = np.array([[4, 0], [2, 8], [3, 3]])
    found = Reliability()
    found.add(np.array([0.95, 0.85, 0.32]), np.array([0, 1, 1]), histogram)
    assert found.rows() == [[0.32, 0.5, 0.3], [0.85, 0.8, 0.5], [0.95, 1.0, 0.2]]
    expected = (4 * 0.05 + 10 * 0.05 + 6 * 0.18) / 20
    assert found.error == pytest.approx(expected)
    other = Reliability()
    other.merge(found)
    other.merge(found)
    assert other.rows() == found.rows() and other.pixels.sum() == 40
    # A belief of one is in the last bin.
    sure = Reliability()
    sure.add(np.array([1.0]), np.array([0]), np.array([[2, 0]]))
    assert sure.rows() == [[1.0, 1.0, 1.0]] and sure.error == 0
    assert np.isnan(Reliability().error) and Reliability().rows() == []


def test_tallies_of_parts_sum() -> None:
    one, other = Tally.empty(2), Tally.empty(2)
    one.before += [[1, 2], [3, 4]]
    other.before += [[5, 0], [0, 1]]
    one.merge(other)
    assert one.before.tolist() == [[6, 2], [3, 5]] and not one.after.any()


def test_cells_are_the_largest_first_and_bounded() -> None:
    assert confusion_cells(np.array([[5, 0], [7, 1]])) == [[1, 0, 7], [0, 0, 5], [1, 1, 1]]
    many = confusion_cells(np.arange(1, 1601).reshape(40, 40))
    assert len(many) == MOST_CELLS and many[0] == [39, 39, 1600]
