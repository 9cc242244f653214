from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from rerank.potentials.texture import filter_bank, orientation_channels, pattern_channels


@pytest.fixture
def lightness() -> np.ndarray:
    noise = np.random.default_rng(0).normal(50, 15, (21, 27))
    return gaussian_filter(noise, 1.0).astype(np.float32)


@pytest.mark.parametrize("radius", [1, 2])
def test_patterns_agree_with_a_loop(lightness, radius):
    channels, names = pattern_channels(lightness, radius)
    assert channels.shape == (21, 27, 10) and len(names) == 10
    assert (channels.sum(axis=2) == 1).all()
    steps = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))
    expected = np.empty((21, 27), dtype=int)
    for y in range(21):
        for x in range(27):
            bits = []
            for dy, dx in steps:
                v = min(max(y + radius * dy, 0), 20)
                u = min(max(x + radius * dx, 0), 26)
                bits.append(bool(lightness[v, u] >= lightness[y, x] + np.float32(2)))
            changes = sum(a != b for a, b in zip(bits, bits[1:] + bits[:1]))
            expected[y, x] = sum(bits) if changes <= 2 else 9
    np.testing.assert_array_equal(channels.argmax(axis=2), expected)


def test_orientation_of_a_ramp():
    across = np.arange(20, dtype=np.float32)[None, :].repeat(15, axis=0)
    channels, _ = orientation_channels(across, 1.0)
    inner = channels[6:9, 8:12]
    np.testing.assert_allclose(inner[..., 0], 1, rtol=1e-3)
    assert np.abs(inner[..., 1:]).max() < 1e-3
    down = orientation_channels(np.ascontiguousarray(across.T), 1.0)[0][8:12, 6:9]
    np.testing.assert_allclose(down[..., 4], 1, rtol=1e-3)


def test_orientations_share_the_gradient(lightness):
    channels, _ = orientation_channels(lightness, 1.0)
    assert channels.min() >= 0
    smooth = gaussian_filter(lightness.astype(float), 1.0, mode="nearest", truncate=4.0)
    dy, dx = np.gradient(smooth)
    inner = (slice(4, -4), slice(4, -4))
    np.testing.assert_allclose(
        channels.sum(axis=2)[inner], np.hypot(dx, dy)[inner], rtol=0.03, atol=0.02
    )


def test_orientations_turn_with_the_image(lightness):
    channels = orientation_channels(lightness, 1.0)[0]
    turned = orientation_channels(np.ascontiguousarray(np.rot90(lightness)), 1.0)[0]
    np.testing.assert_allclose(
        np.rot90(turned, -1)[..., [4, 5, 6, 7, 0, 1, 2, 3]], channels, atol=1e-3
    )


def test_filters_of_a_flat_image_are_zero_and_do_not_see_brightness(lightness):
    flat, names = filter_bank(np.full((9, 12), 40, dtype=np.float32))
    assert flat.shape == (9, 12, len(names)) and np.abs(flat).max() < 0.05
    np.testing.assert_allclose(filter_bank(lightness)[0], filter_bank(lightness + 20)[0], atol=0.05)


def test_deviation_agrees_with_a_loop(lightness):
    channels, names = filter_bank(lightness)
    found = channels[..., names.index("deviation_5")]
    for y, x in ((4, 6), (10, 20)):
        assert found[y, x] == pytest.approx(lightness[y - 2 : y + 3, x - 2 : x + 3].std(), abs=0.02)
