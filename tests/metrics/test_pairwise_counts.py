"""Counts between labelings are those of their pixels."""

from __future__ import annotations

import numpy as np
import pytest

from rerank.errors import InputError
from rerank.metrics import confusion_counts, intersection_union
from rerank.metrics.pairwise_counts import pairwise_counts


def test_they_are_those_of_the_pixels() -> None:
    rng = np.random.default_rng(0)
    labelings, areas = rng.integers(0, 4, (5, 9)), rng.integers(0, 20, 9)
    found = pairwise_counts(labelings, areas, 5)
    pixels = np.repeat(labelings, areas, axis=1)
    for k in range(5):
        expected = intersection_union(confusion_counts(pixels[k], pixels, 5))
        np.testing.assert_array_equal(found.intersections[:, k], expected.intersections)
        np.testing.assert_array_equal(found.unions[:, k], expected.unions)
    assert not found.unions[..., 4].any()


def test_bad_input() -> None:
    labelings = np.zeros((2, 3), dtype=int)
    with pytest.raises(InputError, match="an area for each"):
        pairwise_counts(labelings, np.ones(2), 1)
    with pytest.raises(InputError, match="areas must be at least 0"):
        pairwise_counts(labelings, np.array([1, -1, 1]), 1)
    with pytest.raises(InputError, match="predictions must be 0..0"):
        pairwise_counts(labelings + 1, np.ones(3), 1)
