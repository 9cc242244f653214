from __future__ import annotations

import numpy as np

from rerank.superpixels import POSITION_NAMES, superpixel_positions


def test_known_values():
    superpixels = np.array([[0, 0, 0, 1], [0, 0, 0, 1]])
    columns = dict(zip(POSITION_NAMES, superpixel_positions(superpixels).T.tolist()))
    assert columns["row"] == [0.5, 0.5]
    assert columns["column"] == [0.375, 0.875]
    assert columns["row_squared"] == [0.25, 0.25]
    assert columns["column_off_centre"] == [0.125, 0.375]
    assert columns["area"] == [1.5, 0.5]
    np.testing.assert_allclose(columns["row_extent"], [0.25, 0.25])
    np.testing.assert_allclose(columns["column_extent"], [np.sqrt(2 / 3) / 2, 0])
    assert columns["touches_border"] == [1, 1]


def test_the_middle_does_not_touch_the_border():
    superpixels = np.zeros((3, 5), dtype=int)
    superpixels[1, 2] = 1
    assert superpixel_positions(superpixels)[:, -1].tolist() == [1, 0]


def test_does_not_depend_on_the_image_size():
    superpixels = np.kron(np.arange(6).reshape(2, 3), np.ones((12, 12), dtype=int))
    larger = superpixels.repeat(4, axis=0).repeat(4, axis=1)
    np.testing.assert_allclose(
        superpixel_positions(superpixels), superpixel_positions(larger), atol=0.01
    )
