from __future__ import annotations

import numpy as np
import pytest

from rerank.potentials.surroundings import (
    DIRECTIONS,
    above_and_below,
    cell_means,
    neighbour_mean,
    surroundings,
)
from rerank.superpixels import adjacency_graph


def test_neighbour_mean_of_a_lone_superpixel_is_its_own():
    graph = adjacency_graph(np.zeros((2, 3), dtype=int))
    assert neighbour_mean(np.array([[5.0, 7.0]]), graph).tolist() == [[5.0, 7.0]]


def test_neighbour_mean_known_values():
    graph = adjacency_graph(np.array([[0, 0, 1], [2, 2, 1]]))
    # boundary lengths: 0-1 is 1, 0-2 is 2, 1-2 is 1
    mean = neighbour_mean(np.array([[3.0], [6.0], [9.0]]), graph)
    assert mean[:, 0].tolist() == [8, 6, 4]


@pytest.mark.parametrize("size", [(32, 48), (5, 7), (1, 1), (17, 40)])
def test_cells_are_means_by_area(size):
    channels = np.random.default_rng(0).random(size + (2,)).astype(np.float32)
    enlarged = channels.repeat(8, axis=0).repeat(8, axis=1)
    blocks = enlarged.reshape(8, size[0], 8, size[1], 2).mean(axis=(1, 3))
    np.testing.assert_allclose(cell_means(channels, n_cells=8), blocks, rtol=1e-4)


def test_surroundings_of_a_linear_field():
    y, x = np.indices((16, 16)) / 16 + 1 / 32
    cells = np.stack([y, x], axis=-1)
    row, column = np.array([0.5, 0.4]), np.array([0.5, 0.6])
    values, names = surroundings(cells, row, column, distance=0.25)
    assert len(names) == 8 and values.shape == (2, 16)
    for k, (_, down, across) in enumerate(DIRECTIONS):
        np.testing.assert_allclose(values[:, 2 * k], row + 0.25 * down)
        np.testing.assert_allclose(values[:, 2 * k + 1], column + 0.25 * across)


def test_beyond_the_border_lies_the_border():
    cells = np.arange(16.0)[:, None, None].repeat(16, axis=1)
    values, _ = surroundings(cells, np.array([0.05, 0.95]), np.array([0.5, 0.5]), distance=0.4)
    assert values[0, 0] == 0 and values[1, 1] == 15


def test_above_and_below():
    cells = np.arange(4.0)[:, None, None].repeat(4, axis=1)
    above, below = above_and_below(cells, np.array([0.1, 0.6, 1.0]))
    assert above[:, 0].tolist() == [0, 1, 1.5] and below[:, 0].tolist() == [1.5, 2.5, 3]
