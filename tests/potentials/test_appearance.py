from __future__ import annotations

import numpy as np
import pytest

from rerank.errors import InputError
from rerank.potentials import appearance_features
from rerank.superpixels import adjacency_graph, lab_image, slic_superpixels, superpixel_positions


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    rng = np.random.default_rng(0)
    image = np.zeros((40, 56, 3), dtype=np.uint8)
    image[:] = (60, 120, 40)
    image[:16] = (120, 160, 230)
    image[20:34, 10:30] = rng.integers(0, 256, (14, 20, 1), dtype=np.uint8)
    return image


@pytest.fixture(scope="module")
def superpixels(image) -> np.ndarray:
    return slic_superpixels(image, n_segments=40)


def squared(values):
    """Undo the signed square root."""
    return np.sign(values) * np.square(values)


@pytest.mark.parametrize("image_mean", [False, True])
def test_columns_are_named_and_finite(image, superpixels, image_mean):
    found = appearance_features(image, superpixels, image_mean=image_mean)
    n = superpixels.max() + 1
    assert found.values.shape == (n, len(found.names)) and found.values.dtype == np.float32
    assert len(set(found.names)) == len(found.names)
    assert np.isfinite(found.values).all()
    assert any(name.startswith("image:") for name in found.names) == image_mean


def test_own_colour_is_the_mean_colour(image, superpixels):
    found = appearance_features(image, superpixels)
    lab = lab_image(image)
    for axis, name in enumerate(("own:L", "own:a", "own:b")):
        column = squared(found.values[:, found.names.index(name)])
        for i in (0, 5, superpixels.max()):
            assert column[i] == pytest.approx(lab[superpixels == i, axis].mean(), abs=1e-3)


def test_texture_tells_noise_from_flat_ground(image, superpixels):
    found = appearance_features(image, superpixels)
    noisy = superpixels[27, 20]
    flat = superpixels[30, 48]
    for name in ("own:deviation_5", "own:edge_down_1", "spread:L"):
        column = squared(found.values[:, found.names.index(name)])
        assert column[noisy] > 5 * column[flat]


def test_surroundings_look_in_the_right_direction(image, superpixels):
    found = appearance_features(image, superpixels)
    below_the_sky = superpixels[19, 50]
    b = {
        d: squared(found.values[below_the_sky, found.names.index(f"{d}:b")])
        for d in ("above_0.12", "below_0.12", "all_above", "all_below", "above_0.3")
    }
    assert b["above_0.3"] < -30 and b["all_above"] < -15
    assert b["below_0.12"] > 20 and b["all_below"] > 10


def test_ring_is_the_mean_of_neighbours_by_boundary(image, superpixels):
    found = appearance_features(image, superpixels)
    graph = adjacency_graph(superpixels)
    own, ring = squared(found.block("own")), squared(found.block("ring"))
    for i in (0, 7):
        total, length = 0.0, 0.0
        for (p, q), pairs in zip(graph.edges, graph.boundary_length):
            if i in (p, q):
                total = total + pairs * own[q if p == i else p].astype(float)
                length += pairs
        np.testing.assert_allclose(ring[i], total / length, rtol=1e-3, atol=1e-3)


def test_image_block_is_the_same_for_all(image, superpixels):
    found = appearance_features(image, superpixels, image_mean=True)
    block = squared(found.block("image"))
    assert (block == block[0]).all()
    np.testing.assert_allclose(
        block[0, :3], lab_image(image).reshape(-1, 3).mean(axis=0), rtol=1e-3
    )


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (5, 1), (3, 4)])
@pytest.mark.parametrize("seed", [None, 0])
def test_tiny_and_one_colour_images(shape, seed):
    image = np.full(shape + (3,), 90, dtype=np.uint8)
    if seed is not None:
        image = np.random.default_rng(seed).integers(0, 256, shape + (3,), dtype=np.uint8)
    superpixels = slic_superpixels(image, 4)
    found = appearance_features(image, superpixels)
    assert found.values.shape == (superpixels.max() + 1, len(found.names))
    assert np.isfinite(found.values).all()


def test_place_is_not_rooted(image, superpixels):
    found = appearance_features(image, superpixels).block("place")
    np.testing.assert_allclose(found, superpixel_positions(superpixels), rtol=1e-6)


def test_columns_do_not_depend_on_the_image(image, superpixels):
    small = appearance_features(image[:5, :7], np.zeros((5, 7), dtype=int))
    assert small.names == appearance_features(image, superpixels).names


def test_refusals(image, superpixels):
    with pytest.raises(InputError, match="RGB"):
        appearance_features(image[..., 0], superpixels)
    with pytest.raises(InputError, match="one size"):
        appearance_features(image[:-1], superpixels)
    with pytest.raises(InputError, match="block must be one of own, spread"):
        appearance_features(image, superpixels).block("colour")
