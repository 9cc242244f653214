from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank.errors import InputError
from rerank.superpixels import count_superpixels, labels_of_regions, split_at_borders, to_pixels


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 7), st.integers(1, 7), st.integers(0, 999))
def test_regions_are_the_pairs_of_superpixel_and_label(height, width, seed):
    rng = np.random.default_rng(seed)
    raw = rng.integers(0, 5, (height, width))
    superpixels = np.unique(raw, return_inverse=True)[1].reshape(height, width)
    labels = rng.choice([0, 3, 255], (height, width))
    regions = split_at_borders(superpixels, labels)
    pairs = {}
    # Regions are numbered as their pairs first appear, row by row.
    expected = [
        pairs.setdefault(pair, len(pairs))
        for pair in zip(superpixels.ravel().tolist(), labels.ravel().tolist())
    ]
    assert regions.ravel().tolist() == expected
    assert count_superpixels(regions) == len(pairs)
    assert (to_pixels(labels_of_regions(regions, labels), regions) == labels).all()


def test_labels_within_superpixels_change_no_superpixel():
    superpixels = np.array([[0, 0, 1], [0, 2, 1]])
    assert (split_at_borders(superpixels, np.zeros((2, 3), int)) == superpixels).all()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((1, 2), int), "of shape"),
        (np.zeros((1, 3)), "float64"),
        (np.full((1, 3), 256), "0..255"),
        (np.full((1, 3), -1), "0..255"),
    ],
)
def test_refuses_labels_that_are_none(labels, message):
    with pytest.raises(InputError, match=message):
        split_at_borders(np.array([[0, 0, 1]]), labels)
