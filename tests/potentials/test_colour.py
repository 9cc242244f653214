from __future__ import annotations

import numpy as np

from rerank.potentials.colour import OPPONENT_BINS, colour_channels, histogram_channels
from rerank.superpixels import lab_image


def test_hue_is_a_point_on_the_circle():
    image = np.array([[[255, 0, 0], [255, 0, 1], [0, 255, 255], [90, 90, 90]]], dtype=np.uint8)
    channels, names = colour_channels(image, lab_image(image))
    hue = channels[0][:, [names.index("hue_cos"), names.index("hue_sin")]]
    np.testing.assert_allclose(hue[0], [1, 0], atol=1e-6)
    np.testing.assert_allclose(hue[0], hue[1], atol=0.01)
    np.testing.assert_allclose(hue[2], [-1, 0], atol=1e-6)
    np.testing.assert_allclose(hue[3], [0, 0], atol=1e-6)


def test_bins_share_each_pixel_and_keep_its_value():
    lab = np.random.default_rng(0).uniform([5, -48, -48], [95, 48, 48], (6, 9, 3))
    channels, names = histogram_channels(lab.astype(np.float32))
    assert channels.shape == (6, 9, 26) and len(set(names)) == 26
    assert channels.min() >= 0 and (channels > 0).sum(axis=2).max() <= 6
    for block in (slice(0, 8), slice(8, 17), slice(17, 26)):
        np.testing.assert_allclose(channels[..., block].sum(axis=2), 1, rtol=1e-5)
    np.testing.assert_allclose(channels[..., 8:17] @ OPPONENT_BINS, lab[..., 1], atol=1e-3)


def test_values_beyond_the_outer_bins_belong_to_them():
    channels, _ = histogram_channels(np.array([[[100.0, -90.0, 90.0]]], dtype=np.float32))
    assert channels[0, 0, [7, 8, 25]].tolist() == [1, 1, 1]
