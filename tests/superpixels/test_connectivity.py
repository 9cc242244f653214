from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from rerank.superpixels.connectivity import merge_fragments


def partition(pieces: np.ndarray) -> set[frozenset[int]]:
    flat = pieces.ravel()
    return {frozenset(np.flatnonzero(flat == i).tolist()) for i in np.unique(flat)}


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 4), st.integers(0, 999))
def test_without_a_least_area_gives_the_connected_components(height, width, n_clusters, seed):
    assignment = np.random.default_rng(seed).integers(0, n_clusters, (height, width))
    found = merge_fragments(assignment, np.zeros((3, height, width)), min_area=0)
    expected = np.full((height, width), -1)
    n_components = 0
    for cluster in range(n_clusters):
        components, count = ndimage.label(assignment == cluster)
        expected[components > 0] = components[components > 0] + n_components
        n_components += count
    assert partition(found) == partition(expected)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.floats(0, 100), st.integers(0, 999))
def test_pieces_are_connected_and_large_enough(height, width, min_area, seed):
    rng = np.random.default_rng(seed)
    assignment = rng.integers(0, 4, (height, width))
    pieces = merge_fragments(assignment, rng.random((3, height, width)), min_area)
    areas = np.bincount(pieces.ravel())
    assert areas.min() >= min(min_area, height * width)
    assert all(ndimage.label(pieces == i)[1] == 1 for i in range(areas.size))


def test_a_fragment_joins_the_neighbour_of_its_colour():
    assignment = np.zeros((5, 9), dtype=np.int32)
    assignment[:, 5:] = 1
    assignment[2, 4] = 2
    colour = np.where(np.arange(9) < 5, 0.0, 10.0)[None, None].repeat(5, axis=1).repeat(3, axis=0)
    colour[:, 2, 4] = 9.0
    pieces = merge_fragments(assignment, colour, min_area=3)
    assert pieces.max() == 1 and pieces[2, 4] == pieces[2, 8] != pieces[0, 4]


def test_numbers_follow_the_raster_order():
    assignment = np.array([[3, 3, 1], [0, 3, 1]])
    pieces = merge_fragments(assignment, np.zeros((3, 2, 3)), min_area=0)
    assert pieces.tolist() == [[0, 0, 1], [2, 0, 1]]
