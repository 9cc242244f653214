from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from rerank.errors import InputError
from rerank.potentials import deep_features, signed_root
from rerank.superpixels import superpixel_positions


@pytest.fixture
def superpixels() -> np.ndarray:
    raw = np.random.default_rng(0).integers(0, 7, (5, 8)).repeat(4, axis=0).repeat(3, axis=1)
    return np.unique(raw, return_inverse=True)[1].reshape(20, 24)


@pytest.fixture
def maps() -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.random(shape).astype(np.float32) for shape in ((3, 5, 7), (2, 1, 1), (4, 40, 9))]


def interpolate_then_average(values, superpixels, stride, first_centre):
    height, width = superpixels.shape
    y = (np.arange(height) + 0.5 - first_centre[0]) / stride[0]
    x = (np.arange(width) + 0.5 - first_centre[1]) / stride[1]
    at = np.meshgrid(y, x, indexing="ij")
    full = np.stack([map_coordinates(v, at, order=1, mode="nearest") for v in values])
    return np.stack([full[:, superpixels == i].mean(axis=1) for i in range(superpixels.max() + 1)])


def test_equals_resizing_and_averaging(superpixels, maps):
    found = deep_features(maps, superpixels, position=False, image_mean=False)
    expected = []
    for values in maps:
        stride = (20 / values.shape[1], 24 / values.shape[2])
        centre = (stride[0] / 2, stride[1] / 2)
        expected.append(interpolate_then_average(values, superpixels, stride, centre))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.concatenate(expected, axis=1), rtol=1e-5)


def test_takes_the_place_of_the_cells(superpixels, maps):
    strides, centres = [(3.5, 4.0)], [(6.0, -1.5)]
    found = deep_features(
        maps[:1],
        superpixels,
        strides=strides,
        first_centres=centres,
        position=False,
        image_mean=False,
    )
    expected = interpolate_then_average(maps[0], superpixels, strides[0], centres[0])
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_blocks_of_columns(superpixels, maps):
    found = deep_features(maps, superpixels)
    plain = deep_features(maps, superpixels, position=False, image_mean=False)
    assert found.shape == (7, 9 + 8 + 9)
    np.testing.assert_array_equal(found[:, :9], plain)
    np.testing.assert_allclose(found[:, 9:17], superpixel_positions(superpixels), rtol=1e-6)
    means = np.concatenate([m.mean(axis=(1, 2)) for m in maps])
    np.testing.assert_allclose(found[:, 17:], np.tile(means, (7, 1)), rtol=1e-5)


def test_square_root_comes_before_pooling(superpixels, maps):
    found = deep_features(maps, superpixels, square_root=True)
    np.testing.assert_allclose(found, deep_features([np.sqrt(m) for m in maps], superpixels))


def test_constant_maps_pool_to_their_constant(superpixels):
    found = deep_features([np.full((2, 3, 4), 7.0)], superpixels, position=False, image_mean=False)
    np.testing.assert_allclose(found, 7.0, rtol=1e-6)


def test_one_pixel():
    assert deep_features([np.ones((2, 13, 13))], np.zeros((1, 1), dtype=int)).shape == (1, 12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(activation_maps=[]), "at least one"),
        (dict(activation_maps=[np.zeros((3, 4))]), r"\(D, h, w\)"),
        (dict(activation_maps=[np.full((1, 2, 2), np.nan)]), "finite"),
        (dict(activation_maps=[np.ones((1, 2, 2))], strides=[(1, 1)]), "together"),
        (
            dict(activation_maps=[np.ones((1, 2, 2))], strides=[(1, 0)], first_centres=[(0, 0)]),
            "greater than 0",
        ),
        (dict(activation_maps=[np.ones((1, 2, 2))], strides=[], first_centres=[]), "one pair"),
    ],
)
def test_refusals(superpixels, arguments, message):
    with pytest.raises(InputError, match=message):
        deep_features(superpixels=superpixels, **arguments)


def test_roots_keep_their_signs():
    np.testing.assert_allclose(signed_root(np.array([-4.0, 0.0, 9.0])), [-2, 0, 3])
