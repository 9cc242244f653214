from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from rerank.datasets import open_dataset
from rerank.errors import InputError
from rerank.metrics import majority_labels, region_histogram
from rerank.superpixels import slic_superpixels, to_pixels
from rerank.superpixels.slic import _smoothed


def noise_over_gradient(height: int, width: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    ramp = np.linspace(0, 120, width)[None, :, None] + np.linspace(0, 60, height)[:, None, None]
    return np.clip(ramp + rng.normal(0, 30, (height, width, 3)), 0, 255).astype(np.uint8)


def assert_is_superpixel_map(superpixels: np.ndarray, shape: tuple[int, int]) -> None:
    assert superpixels.shape == shape and superpixels.dtype == np.int32
    present = np.unique(superpixels)
    assert present.tolist() == list(range(superpixels.max() + 1))
    for i in present:
        assert ndimage.label(superpixels == i)[1] == 1


@settings(max_examples=25, deadline=None)
@given(
    height=st.integers(1, 25),
    width=st.integers(1, 25),
    n_segments=st.integers(1, 60),
    compactness=st.sampled_from([0.1, 10.0, 100.0]),
    sigma=st.sampled_from([0.0, 0.7, 3.0]),
    seed=st.integers(0, 99),
)
def test_every_index_is_used_and_connected(height, width, n_segments, compactness, sigma, seed):
    image = noise_over_gradient(height, width, seed)
    superpixels = slic_superpixels(image, n_segments, compactness, sigma)
    assert_is_superpixel_map(superpixels, (height, width))


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (2, 3), (40, 60)])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_one_colour_image(shape, value):
    image = np.full(shape + (3,), value, dtype=np.uint8)
    assert_is_superpixel_map(slic_superpixels(image, n_segments=24), shape)


def test_number_of_superpixels_is_near_the_wish():
    image = noise_over_gradient(60, 90, seed=1)
    for wish in (20, 60, 120):
        n = slic_superpixels(image, n_segments=wish).max() + 1
        assert 0.6 * wish <= n <= 2 * wish


def test_no_piece_is_smaller_than_the_least_area():
    image = noise_over_gradient(60, 90, seed=2)
    superpixels = slic_superpixels(image, n_segments=50, compactness=1.0, min_area_fraction=0.5)
    assert np.bincount(superpixels.ravel()).min() >= 0.5 * 60 * 90 / 50


def test_follows_a_straight_edge():
    image = np.zeros((30, 45, 3), dtype=np.uint8)
    image[:, 17:] = (200, 40, 40)
    superpixels = slic_superpixels(image, n_segments=20, sigma=0.0)
    assert not set(superpixels[:, :17].ravel()) & set(superpixels[:, 17:].ravel())


def test_far_pixels_change_nothing():
    # scikit-image stretches the image's own range to 0..1 before its Lab
    flat = np.random.default_rng(0).integers(120, 123, (96, 160, 3), dtype=np.uint8)
    marked = flat.copy()
    marked[0, 0], marked[-1, -1] = 0, 255
    plain, other = slic_superpixels(flat, 60), slic_superpixels(marked, 60)
    assert 50 <= plain.max() + 1 <= 80
    middle = np.s_[:, 60:100]
    for axis in (0, 1):
        np.testing.assert_array_equal(
            np.diff(plain[middle], axis=axis) != 0, np.diff(other[middle], axis=axis) != 0
        )


def test_more_superpixels_than_pixels_gives_each_its_own():
    image = np.arange(36, dtype=np.uint8).reshape(3, 4, 3) * 7
    superpixels = slic_superpixels(image, n_segments=100, sigma=0.0)
    assert superpixels.tolist() == np.arange(12).reshape(3, 4).tolist()


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 5), (17, 23)])
@pytest.mark.parametrize("sigma", [0.1, 0.7, 3.0])
def test_smooths_as_scipy_does(shape, sigma):
    planes = np.random.default_rng(1).normal(size=(3, *shape)).astype(np.float32)
    expected = ndimage.gaussian_filter(planes, (0, sigma, sigma))
    np.testing.assert_allclose(_smoothed(planes.copy(), sigma), expected, atol=1e-5)


def test_is_deterministic_and_leaves_the_image_alone():
    image = noise_over_gradient(31, 47, seed=3)
    before = image.copy()
    first = slic_superpixels(image, n_segments=40)
    np.testing.assert_array_equal(first, slic_superpixels(image.copy(), n_segments=40))
    np.testing.assert_array_equal(image, before)


def test_takes_an_image_that_is_a_view():
    image = noise_over_gradient(31, 47, seed=3)
    flipped = image[:, ::-1]
    np.testing.assert_array_equal(
        slic_superpixels(flipped, 30), slic_superpixels(np.ascontiguousarray(flipped), 30)
    )


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 5), dtype=np.uint8),
        np.zeros((4, 5, 4), dtype=np.uint8),
        np.zeros((4, 5, 3), dtype=np.float32),
        np.zeros((0, 5, 3), dtype=np.uint8),
    ],
)
def test_refuses_what_is_not_rgb(image):
    with pytest.raises(InputError, match=r"\(H, W, 3\) uint8"):
        slic_superpixels(image)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("n_segments", 0),
        ("compactness", 0.0),
        ("compactness", float("nan")),
        ("sigma", -1.0),
        ("n_iterations", 0),
        ("min_area_fraction", 1.5),
    ],
)
def test_refuses_settings_out_of_range(setting, value):
    with pytest.raises(InputError, match=setting):
        slic_superpixels(np.zeros((4, 5, 3), dtype=np.uint8), **{setting: value})


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "least"), [("msrc21", 0.97), ("camvid", 0.93), ("weizmann_horse", 0.97)]
)
def test_follows_objects_in_photographs(shared_root, name, least):
    dataset = open_dataset(name, shared_root / "datasets", "val")
    agreeing = counted = 0
    for image_id in dataset.ids[::25][:3]:
        sample = dataset[image_id]
        superpixels = slic_superpixels(sample.image, n_segments=700)
        histogram = region_histogram(
            superpixels, sample.labels, dataset.n_classes, dataset.ignore_index
        )
        best = to_pixels(majority_labels(histogram), superpixels)
        known = sample.labels != dataset.ignore_index
        agreeing += (best == sample.labels)[known].sum()
        counted += known.sum()
    assert agreeing > least * counted
