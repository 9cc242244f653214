from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from skimage.color import rgb2lab

from rerank.errors import InputError
from rerank.superpixels import adjacency_graph, slic_superpixels


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (17, 23, 3), dtype=np.uint8)


def slow_pairs(superpixels):
    height, width = superpixels.shape
    for y in range(height):
        for x in range(width):
            for v, u in ((y, x + 1), (y + 1, x)):
                if v < height and u < width and superpixels[y, x] != superpixels[v, u]:
                    yield (y, x), (v, u)


@pytest.mark.parametrize("contrast_of", ["mean", "boundary"])
def test_agrees_with_loops_over_pixels(image, contrast_of):
    superpixels = slic_superpixels(image, n_segments=15)
    graph = adjacency_graph(superpixels, image, contrast_of)
    lab = rgb2lab(image)
    lengths: Counter = Counter()
    squared: Counter = Counter()
    for one, other in slow_pairs(superpixels):
        edge = tuple(sorted((int(superpixels[one]), int(superpixels[other]))))
        lengths[edge] += 1
        squared[edge] += float(((lab[one] - lab[other]) ** 2).sum())
    edges = sorted(lengths)
    if contrast_of == "boundary":
        expected = [squared[e] / lengths[e] for e in edges]
    else:
        mean = [lab[superpixels == i].mean(axis=0) for i in range(superpixels.max() + 1)]
        expected = [float(((mean[i] - mean[j]) ** 2).sum()) for i, j in edges]
    assert graph.edges.dtype == np.int32
    assert [tuple(e) for e in graph.edges.tolist()] == edges
    assert graph.boundary_length.tolist() == [lengths[e] for e in edges]
    assert graph.contrast is not None
    np.testing.assert_allclose(graph.contrast, expected, rtol=1e-4)
    assert graph.areas.tolist() == np.bincount(superpixels.ravel()).tolist()
    assert graph.n_nodes == superpixels.max() + 1 and graph.n_edges == len(edges)


def test_one_colour_has_no_contrast():
    superpixels = np.array([[0, 0, 1], [2, 2, 1]])
    graph = adjacency_graph(superpixels, np.full((2, 3, 3), 90, dtype=np.uint8))
    assert graph.contrast is not None and graph.contrast.tolist() == [0, 0, 0]


def test_without_an_image_there_is_no_contrast():
    assert adjacency_graph(np.array([[0, 1]])).contrast is None


def test_one_superpixel_has_no_edges():
    graph = adjacency_graph(np.zeros((3, 4), dtype=int), np.zeros((3, 4, 3), dtype=np.uint8))
    assert graph.edges.shape == (0, 2) and graph.boundary_length.shape == (0,)
    assert graph.contrast is not None and graph.contrast.shape == (0,)
    assert graph.areas.tolist() == [12]


def test_diagonal_neighbours_do_not_touch():
    graph = adjacency_graph(np.array([[0, 1], [2, 3]]))
    assert graph.edges.tolist() == [[0, 1], [0, 2], [1, 3], [2, 3]]


def test_refusals(image):
    with pytest.raises(InputError, match="one size"):
        adjacency_graph(np.zeros((3, 4), dtype=int), image)
    with pytest.raises(InputError, match="contrast_of"):
        adjacency_graph(np.zeros((17, 23), dtype=int), image, "edge")
    with pytest.raises(InputError, match="2 is the first index"):
        adjacency_graph(np.array([[0, 1, 3, 3]]))
