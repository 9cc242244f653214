from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank.errors import InputError
from rerank.potentials import region_probabilities, unary_from_probabilities


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 6), st.integers(1, 5), st.integers(0, 999))
def test_costs_are_finite_bounded_and_ordered(n, n_classes, seed):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(n_classes, 0.05), size=n)
    unary = unary_from_probabilities(p, floor=1e-3)
    assert unary.dtype == np.float64 and np.isfinite(unary).all()
    assert unary.min() >= 0 and unary.max() <= -np.log(1e-3)
    assert (unary.argmin(axis=1) == p.argmax(axis=1)).all()


def test_known_values():
    p = np.array([[0.25, 0.75], [1.0, 0.0]])
    np.testing.assert_allclose(
        unary_from_probabilities(p, floor=0.1),
        -np.log([[0.8 * 0.25 + 0.1, 0.8 * 0.75 + 0.1], [0.9, 0.1]]),
    )


def test_areas_make_the_energy_count_pixels():
    p = np.array([[0.25, 0.75], [0.5, 0.5]])
    plain = unary_from_probabilities(p)
    weighted = unary_from_probabilities(p, areas=np.array([30, 10]))
    np.testing.assert_allclose(weighted, plain * [[1.5], [0.5]])
    # cutting the larger superpixel in two leaves the total of its pieces, in pixels, as it was
    cut = unary_from_probabilities(p[[0, 0, 1]], areas=np.array([18, 12, 10]))
    np.testing.assert_allclose(cut[:2].sum(axis=0) * 40 / 3, weighted[0] * 40 / 2)


def test_class_bias_makes_a_class_likelier():
    p = np.array([[0.5, 0.5]])
    unary = unary_from_probabilities(p, class_bias=np.array([0.3, 0.0]))
    np.testing.assert_allclose(unary[0, 1] - unary[0, 0], 0.3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(probabilities=[0.5, 0.5]), r"\(n, C\)"),
        (dict(probabilities=[[0.5, np.nan]]), "finite"),
        (dict(probabilities=[[1.5, -0.5]]), "0 or greater"),
        (dict(probabilities=[[0.5, 0.4]]), "sums to 0.9"),
        (dict(probabilities=[[0.5, 0.5]], floor=0.6), "floor"),
        (dict(probabilities=[[1.0, 0.0]], floor=0.0), "no finite cost"),
        (dict(probabilities=[[0.5, 0.5]], areas=[0.0]), "areas"),
        (dict(probabilities=[[0.5, 0.5]], areas=[1.0, 2.0]), "areas"),
        (dict(probabilities=[[0.5, 0.5]], class_bias=[1.0]), "class_bias"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(InputError, match=message):
        unary_from_probabilities(**arguments)


@pytest.fixture
def superpixels() -> np.ndarray:
    return np.array([[0, 0, 1, 1], [0, 2, 2, 1], [2, 2, 2, 1]])


@pytest.fixture
def maps() -> np.ndarray:
    return np.random.default_rng(3).dirichlet(np.ones(5), size=(3, 4))


def test_pools_either_order_of_axes(superpixels, maps):
    expected = [maps[superpixels == i].mean(axis=0) for i in range(3)]
    np.testing.assert_allclose(region_probabilities(maps, superpixels), expected)
    np.testing.assert_allclose(
        region_probabilities(np.moveaxis(maps, -1, 0), superpixels, n_classes=5), expected
    )


def test_half_precision_passes_and_sums_to_one(superpixels, maps):
    pooled = region_probabilities(maps.astype(np.float16), superpixels)
    np.testing.assert_allclose(pooled.sum(axis=1), 1, rtol=1e-12)


def test_number_of_classes_tells_ambiguous_axes_apart():
    superpixels = np.arange(4).reshape(2, 2)
    maps = np.random.default_rng(0).dirichlet(np.ones(2), size=(2, 2))
    np.testing.assert_allclose(region_probabilities(maps, superpixels, 2), maps.reshape(4, 2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m[:2], "resize the map"),
        (lambda m: m[..., 0], r"\(3, 4, C\)"),
        (lambda m: np.where(m == m.max(), np.nan, m), "finite"),
        (lambda m: m - 0.5, "softmax"),
        (lambda m: m * 255, "sum to 255"),
        (lambda m: (m * 255).astype(np.uint8), "divide 8-bit maps by 255"),
        (lambda m: m / 2, "sum to 0.5"),
    ],
)
def test_refuses_bad_maps_by_name(superpixels, maps, change, message):
    with pytest.raises(InputError, match=message) as error:
        region_probabilities(change(maps), superpixels, where="cow.npy")
    assert "cow.npy" in str(error.value)


def test_refuses_another_number_of_classes(superpixels, maps):
    with pytest.raises(InputError, match=r"\(3, 4, 6\) or \(6, 3, 4\), got shape \(3, 4, 5\)"):
        region_probabilities(maps, superpixels, n_classes=6)
