"""Scaling of columns."""

from __future__ import annotations

import numpy as np
import pytest

from rerank.errors import InputError
from rerank.ranking import image_rows as rows_module
from rerank.ranking.image_rows import image_rows
from rerank.ranking.scaling import inverse_scale, within_image_deviation


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    groups = np.repeat([0, 1, 2, 3], [3, 1, 5, 2])
    return rng.normal(size=(11, 4)) * [1.0, 5.0, 0.2, 1e3], image_rows(groups), groups


def test_deviation_within_images(data):
    X, images, groups = data
    squares = sum(
        ((X[groups == g] - X[groups == g].mean(axis=0)) ** 2).sum(axis=0) for g in range(4)
    )
    deviation, magnitude = within_image_deviation(X, images)
    np.testing.assert_allclose(deviation, np.sqrt(squares / (11 - 4)))
    np.testing.assert_array_equal(magnitude, np.abs(X[images.starts[:-1]]).max(axis=0))
    np.testing.assert_allclose(inverse_scale(X, images), 1 / deviation)


def test_an_offset_does_not_drown_the_deviation(data):
    X, images, _ = data
    deviation, _ = within_image_deviation(X, images)
    # 1e9 has 7 digits after the point; a mean of squares less a squared mean would have none.
    shifted, _ = within_image_deviation(X + 1e9, images)
    np.testing.assert_allclose(shifted, deviation, rtol=1e-5)


def test_blocks_change_nothing(data, monkeypatch):
    X, images, _ = data
    whole = within_image_deviation(X, images)
    monkeypatch.setattr(rows_module, "BLOCK_BYTES", 1)
    parts = within_image_deviation(np.asfortranarray(X), images)
    np.testing.assert_allclose(parts[0], whole[0])
    np.testing.assert_array_equal(parts[1], whole[1])


def test_constant_columns_get_no_weight(data):
    X, images, groups = data
    X[:, 1] = 0.1
    X[:, 2] = groups * 0.3
    inverse = inverse_scale(X, images)
    assert (inverse == 0).tolist() == [False, True, True, False]
    plain = inverse_scale(X, images, scale_columns=False)
    assert plain.tolist() == [1, 0, 0, 1]


def test_groups_of_columns_weigh_the_same(data):
    X, images, _ = data
    X[:, 3] = 7.0
    groups = ["a", "b", "b", "b"]
    scaled = X * inverse_scale(X, images, column_groups=groups)
    deviation, _ = within_image_deviation(scaled, images)
    # The constant column is not counted among the three of group b.
    np.testing.assert_allclose(deviation, [1, np.sqrt(0.5), np.sqrt(0.5), 0], atol=1e-12)


def test_unusable_input(data):
    X, images, _ = data
    with pytest.raises(InputError, match="one label for each of the 4 columns"):
        inverse_scale(X, images, column_groups=["a"])
    # Row 3 is an image by itself; rows 0 and 4 are the first of theirs.
    for row, value in ((0, np.nan), (3, np.nan), (3, -np.inf), (4, np.inf), (7, np.nan)):
        broken = X.copy()
        broken[row, 2] = value
        with pytest.raises(InputError, match=f"row {row}, column 2 is {value}"):
            inverse_scale(broken, images)
