"""Rows of labels in vector registers, against numpy."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit

from rerank.crf.label_rows import (
    Lanes,
    difference,
    first_at_most,
    lanes_for,
    least,
    lower_of,
    padded,
    product,
    row_at,
    row_of,
    sum_of,
    write_row,
)


@njit
def _all(flat: np.ndarray, other: np.ndarray, out: np.ndarray, lanes: Lanes) -> tuple[float, int]:
    width = out.shape[1]
    left, right = row_at(flat, 1, lanes), row_at(other, 0, lanes)
    places = out.reshape(-1)
    write_row(places, 0, sum_of(left, right))
    write_row(places, width, difference(left, right))
    write_row(places, 2 * width, product(left, right))
    write_row(places, 3 * width, lower_of(left, right))
    write_row(places, 4 * width, row_of(2.5, lanes))
    lowest = least(left)
    return lowest, first_at_most(left, lowest)


@pytest.mark.parametrize("n_labels", [1, 8, 9, 21, 64, 70])
def test_rows_are_what_numpy_makes_of_them(n_labels):
    rng = np.random.default_rng(n_labels)
    lanes = lanes_for(n_labels)
    width = 8 * len(lanes)
    for _ in range(20):
        # Ties too: the first of the least values counts.
        flat = rng.integers(5, size=width + 1).astype(np.float64)
        other = rng.normal(size=width)
        out = np.empty((5, width))
        lowest, place = _all(flat, other, out, lanes)
        left = flat[1:]
        expected = [left + other, left - other, left * other, np.minimum(left, other)]
        np.testing.assert_array_equal(out[:4], expected)
        assert (out[4] == 2.5).all()
        assert lowest == left.min()
        assert place == left.argmin()


def test_padding_fills_whole_rows():
    values = np.arange(6.0).reshape(2, 3)
    wide = padded(values, np.inf)
    assert wide.shape == (2, 8)
    np.testing.assert_array_equal(wide[:, :3], values)
    assert np.isinf(wide[:, 3:]).all()
    assert padded(np.zeros((2, 16)), 1.0).shape == (2, 16)
