"""Centres and frame of regions, against masks of each region."""

import numpy as np
import pytest

from rerank.errors import InputError
from rerank.features import region_geometry


def random_map(seed):
    """A map of up to 8 x 8 pixels whose regions need not be connected; some are whole rows."""
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 9, 2)
    if seed % 3 == 0:
        return np.repeat(np.arange(height)[:, None], width, axis=1), height
    n_regions = int(rng.integers(1, height * width // 2 + 2))
    n_regions = min(n_regions, height * width)
    labels = rng.integers(0, n_regions, height * width)
    labels[rng.permutation(height * width)[:n_regions]] = np.arange(n_regions)
    return labels.reshape(height, width), n_regions


@pytest.mark.parametrize("seed", range(30))
def test_it_agrees_with_masks(seed):
    labels, n_regions = random_map(seed)
    height, width = labels.shape
    y, x = np.mgrid[:height, :width]
    outermost = (y == 0) | (x == 0) | (y == height - 1) | (x == width - 1)
    centroids, frame = region_geometry(labels, n_regions)
    for k in range(n_regions):
        mask = labels == k
        assert centroids[k, 0] == pytest.approx((y[mask].mean() + 0.5) / height, rel=1e-14)
        assert centroids[k, 1] == pytest.approx((x[mask].mean() + 0.5) / width, rel=1e-14)
        assert frame[k] == (mask & outermost).sum()


@pytest.mark.parametrize(
    "labels, message",
    [
        (np.zeros(3, dtype=int), r"must be \(H, W\) integers"),
        (np.zeros((2, 2)), r"must be \(H, W\) integers"),
        (np.array([[0, 3]]), r"superpixels must be 0\.\.1"),
        (np.array([[0, 0]]), "region 1 has no pixel"),
    ],
)
def test_bad_maps_are_refused(labels, message):
    with pytest.raises(InputError, match=message):
        region_geometry(labels, 2)
