from __future__ import annotations

import math

import numpy as np
import pytest

from rerank.errors import InputError
from rerank.potentials import contrast_beta, contrast_potts_weights
from rerank.superpixels import RegionGraph, adjacency_graph, slic_superpixels


@pytest.fixture
def graph() -> RegionGraph:
    return RegionGraph(
        edges=np.array([[0, 1], [1, 2]], dtype=np.int32),
        boundary_length=np.array([2.0, 6.0]),
        contrast=np.array([8.0, 40.0]),
        areas=np.array([4.0, 16.0, 28.0]),
    )


def test_known_values(graph):
    # side of the mean area 16 is 4; mean contrast over 8 pixel pairs is 32
    assert contrast_beta(graph) == pytest.approx(1 / 64)
    expected = [
        3 * 0.5 * (0.2 + 0.8 * math.exp(-1.5 * 8 / 64)),
        3 * 1.5 * (0.2 + 0.8 * math.exp(-1.5 * 40 / 64)),
    ]
    found = contrast_potts_weights(graph, 3.0, base=0.2, contrast_scale=1.5)
    np.testing.assert_allclose(found, expected)


def test_length_exponent_and_beta(graph):
    weights = contrast_potts_weights(graph, 1.0, beta=0.1, length_exponent=0.0, base=0.0)
    np.testing.assert_allclose(weights, np.exp([-3.2, -16.0]))
    np.testing.assert_allclose(contrast_potts_weights(graph, 1.0, beta=0.0), [0.5, 1.5])
    np.testing.assert_allclose(contrast_potts_weights(graph, 1.0, base=1.0), [0.5, 1.5])
    np.testing.assert_allclose(contrast_potts_weights(graph, 1.0, contrast_scale=0.0), [0.5, 1.5])
    assert contrast_potts_weights(graph, 0.0).tolist() == [0, 0]


def test_higher_contrast_is_cheaper_to_cut():
    image = np.zeros((12, 30, 3), dtype=np.uint8)
    image[:, 10:] = 60
    image[:, 20:] = 255
    superpixels = np.arange(30)[None, :].repeat(12, axis=0) // 10
    near, far = contrast_potts_weights(adjacency_graph(superpixels, image), 1.0)
    assert near > far > 0


def test_one_colour_gives_plain_potts():
    image = np.full((9, 13, 3), 70, dtype=np.uint8)
    graph = adjacency_graph(slic_superpixels(image, 12), image)
    assert contrast_beta(graph) == 0
    np.testing.assert_array_equal(
        contrast_potts_weights(graph, 2.0), contrast_potts_weights(graph, 2.0, beta=0.0)
    )


def test_size_of_the_image_does_not_matter():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (6, 7, 3), dtype=np.uint8).repeat(5, axis=0).repeat(5, axis=1)
    superpixels = np.arange(42).reshape(6, 7).repeat(5, axis=0).repeat(5, axis=1)
    small = contrast_potts_weights(adjacency_graph(superpixels, image), 1.0)
    image, superpixels = (a.repeat(3, axis=0).repeat(3, axis=1) for a in (image, superpixels))
    large = contrast_potts_weights(adjacency_graph(superpixels, image), 1.0)
    np.testing.assert_allclose(small, large, rtol=1e-6)


def test_no_edges():
    graph = adjacency_graph(np.zeros((2, 3), dtype=int), np.zeros((2, 3, 3), dtype=np.uint8))
    assert contrast_potts_weights(graph, 1.0).shape == (0,)


@pytest.mark.parametrize(
    "settings",
    [
        dict(weight=-1.0),
        dict(weight=1.0, length_exponent=np.inf),
        dict(weight=1.0, base=2.0),
        dict(weight=1.0, beta=-0.1),
        dict(weight=1.0, contrast_scale=np.nan),
    ],
)
def test_refuses_settings_out_of_range(graph, settings):
    with pytest.raises(InputError, match=list(settings)[-1]):
        contrast_potts_weights(graph, **settings)


def test_refuses_a_graph_without_contrast():
    graph = adjacency_graph(np.array([[0, 1]]))
    with pytest.raises(InputError, match="give adjacency_graph the image"):
        contrast_potts_weights(graph, 1.0)
    with pytest.raises(InputError, match="give adjacency_graph the image"):
        contrast_beta(graph)
    assert contrast_potts_weights(graph, 1.0, beta=0.0).tolist() == [1.0]
