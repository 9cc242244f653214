from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank.superpixels.local_kmeans import Grid, local_kmeans, sums_over_regions


def slow_kmeans(planes, grid, compactness, n_iterations):
    """The same clustering, each centre against all pixels of its window at once."""
    _, height, width = planes.shape
    row, column = np.indices((height, width)).astype(np.float32)
    step = max(height / grid.rows, width / grid.columns)
    weight = np.float32((compactness / step) ** 2)
    centres = []
    for i in range(grid.rows):
        for j in range(grid.columns):
            y, x = (i + 0.5) * height / grid.rows - 0.5, (j + 0.5) * width / grid.columns - 0.5
            colour = planes[:, round(y), round(x)]
            centres.append(np.array([y, x, *colour], dtype=np.float32))
    assignment = np.zeros((height, width), dtype=np.int32)
    for _ in range(n_iterations):
        distance = np.full((len(centres), height, width), np.inf, dtype=np.float32)
        for k, (y, x, *colour) in enumerate(centres):
            colours = np.square(planes - np.array(colour)[:, None, None])
            place = weight * np.square(column - x) + weight * np.square(row - y)
            # in float64, as a pixel may lie at the very edge of the window
            near = [abs(p.astype(np.float64) - float(c)) for p, c in ((row, y), (column, x))]
            seen = (near[0] <= 1.5 * step) & (near[1] <= 1.5 * step)
            distance[k, seen] = (colours[0] + colours[1] + colours[2] + place)[seen]
        reached = np.isfinite(distance.min(axis=0))
        assignment[reached] = distance.argmin(axis=0)[reached]
        for k in np.unique(assignment):
            own = assignment == k
            values = np.array([row[own], column[own], *planes[:, own]], dtype=np.float64)
            centres[k] = values.mean(axis=1).astype(np.float32)
    return assignment


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 20),
    st.integers(1, 20),
    st.integers(1, 30),
    st.sampled_from([0.5, 8.0, 60.0]),
    st.integers(1, 6),
    st.integers(0, 999),
)
def test_agrees_with_plain_numpy(height, width, n_cells, compactness, n_iterations, seed):
    rng = np.random.default_rng(seed)
    # eighths, so that sums are exact in any order
    planes = (rng.integers(0, 800, (3, height, width)) / 8).astype(np.float32)
    grid = Grid.of(height, width, n_cells)
    np.testing.assert_array_equal(
        local_kmeans(planes, grid, compactness, n_iterations),
        slow_kmeans(planes, grid, compactness, n_iterations),
    )


@pytest.mark.parametrize(
    ("size", "n_cells", "grid"),
    [
        ((375, 500), 500, (19, 26)),
        ((1, 10), 4, (1, 4)),
        ((10, 1), 4, (4, 1)),
        ((3, 5), 99, (3, 5)),
        ((1, 1), 1, (1, 1)),
        ((4, 900), 2, (1, 2)),
    ],
)
def test_cells_are_nearly_square_and_not_below_a_pixel(size, n_cells, grid):
    assert Grid.of(*size, n_cells) == grid


def test_one_colour_keeps_the_cells():
    planes = np.full((3, 6, 9), 50, dtype=np.float32)
    found = local_kmeans(planes, Grid(2, 3), 8.0, 4)
    row, column = np.indices((6, 9))
    np.testing.assert_array_equal(found, 3 * (row // 3) + column // 3)


def test_colour_against_position():
    # two stripes: a border of colour one pixel beside the border of the cells
    planes = np.zeros((3, 1, 10), dtype=np.float32)
    planes[0, :, 6:] = 20
    assert local_kmeans(planes, Grid(1, 2), 1.0, 3).tolist() == [[0] * 6 + [1] * 4]
    assert local_kmeans(planes, Grid(1, 2), 1e30, 3).tolist() == [[0] * 5 + [1] * 5]


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 5), st.integers(0, 99))
def test_sums_agree_with_bincount(height, width, n, seed):
    rng = np.random.default_rng(seed)
    planes = rng.normal(size=(3, height, width)).astype(np.float32)
    regions = rng.integers(0, n, (height, width)).astype(np.int32)
    area, sums = sums_over_regions(planes, regions, n)
    np.testing.assert_array_equal(area, np.bincount(regions.ravel(), minlength=n))
    for column, values in enumerate([*np.indices((height, width)), *planes]):
        expected = np.bincount(regions.ravel(), values.ravel(), minlength=n)
        np.testing.assert_allclose(sums[:, column], expected, atol=1e-5)
