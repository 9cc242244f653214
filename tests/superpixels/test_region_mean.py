from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank.errors import InputError
from rerank.superpixels import count_superpixels, region_mean, to_pixels


def random_map(rng, height, width, n_wished):
    raw = rng.integers(0, n_wished, (height, width))
    return np.unique(raw, return_inverse=True)[1].reshape(height, width)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 8), st.integers(1, 8), st.integers(1, 5), st.integers(0, 999))
def test_agrees_with_loops(height, width, depth, seed):
    rng = np.random.default_rng(seed)
    superpixels = random_map(rng, height, width, 6)
    n = superpixels.max() + 1
    values = rng.normal(size=(height, width, depth))
    expected = [values[superpixels == i].mean(axis=0) for i in range(n)]
    np.testing.assert_allclose(region_mean(values, superpixels), expected)


@pytest.mark.parametrize("dtype", [np.uint8, bool, np.int64, np.float32, np.float64])
def test_pooling_what_was_painted_gives_it_back(dtype):
    superpixels = random_map(np.random.default_rng(0), 6, 9, 5)
    painted = to_pixels(np.array([0, 1, 1, 0, 1], dtype=dtype), superpixels)
    assert painted.dtype == dtype
    assert region_mean(painted, superpixels).tolist() == [0, 1, 1, 0, 1]


def test_paints_any_number_of_labelings():
    superpixels = np.array([[0, 0, 1]])
    assert to_pixels(np.arange(8).reshape(2, 2, 2), superpixels).shape == (2, 2, 1, 3)


def test_refusals():
    superpixels = np.array([[0, 1]])
    with pytest.raises(InputError, match="values must be"):
        region_mean(np.zeros((2, 2)), superpixels)
    with pytest.raises(InputError, match="last axis"):
        to_pixels(np.zeros(3), superpixels)


@pytest.mark.parametrize(
    ("superpixels", "message"),
    [
        (np.zeros(3, dtype=int), r"\(H, W\)"),
        (np.zeros((0, 3), dtype=int), "non-empty"),
        (np.zeros((2, 3)), "integers"),
        (np.array([[0, -1]]), "-1..0"),
        (np.array([[0, 7]]), "0..7"),
        (np.array([[0, 2, 2]]), "1 is the first"),
    ],
)
def test_refuses_what_is_not_a_superpixel_map(superpixels, message):
    with pytest.raises(InputError, match=message):
        count_superpixels(superpixels)
