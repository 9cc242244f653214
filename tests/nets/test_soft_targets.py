import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank.errors import InputError
from rerank.nets import cell_overlap, labelled_share, soft_target


def slow_areas(labels, grid, n_classes):
    """Refine pixels and cells to their common lattice and count its squares."""
    height, width = labels.shape
    fine = np.repeat(np.repeat(labels, grid[0], axis=0), grid[1], axis=1)
    areas = np.zeros((*grid, n_classes + 1))
    for i in range(grid[0]):
        for j in range(grid[1]):
            patch = fine[i * height : (i + 1) * height, j * width : (j + 1) * width]
            for k in range(n_classes):
                areas[i, j, k] = (patch == k).mean()
            areas[i, j, n_classes] = (patch == 255).mean()
    return areas


def test_whole_pixels_per_cell():
    labels = np.array([[0, 1, 2, 2], [1, 1, 255, 255]], np.uint8)
    target = soft_target(labels, (1, 2), 3)
    assert target.tolist() == [[[0.25, 0.75, 0.0], [0.0, 0.0, 1.0]]]
    assert labelled_share(labels, (1, 2)).tolist() == [[1.0, 0.5]]


def test_default_grid_is_the_papers():
    target = soft_target(np.zeros((30, 47), np.uint8), n_classes=4)
    assert target.shape == (13, 13, 4)
    np.testing.assert_allclose(target[..., 0], 1.0)


@settings(max_examples=25, deadline=None)
@given(
    st.tuples(st.integers(1, 9), st.integers(1, 7)),
    st.tuples(st.integers(1, 6), st.integers(1, 8)),
    st.integers(0, 2**32 - 1),
)
def test_agrees_with_counting_on_a_lattice(size, grid, seed):
    labels = np.random.default_rng(seed).choice([0, 1, 2, 255], size=size).astype(np.uint8)
    areas = slow_areas(labels, grid, 3)
    known = areas[..., :3].sum(-1, keepdims=True)
    expected = np.divide(
        areas[..., :3], known, out=np.zeros_like(areas[..., :3]), where=known > 1e-12
    )
    target = soft_target(labels, grid, 3)
    np.testing.assert_allclose(target, expected, atol=1e-12)
    np.testing.assert_allclose(labelled_share(labels, grid), known[..., 0], atol=1e-12)
    sums = target.sum(-1)
    np.testing.assert_allclose(sums[known[..., 0] > 1e-12], 1.0, atol=1e-12)
    assert (sums[known[..., 0] <= 1e-12] == 0).all()


def test_all_void_gives_zeros():
    labels = np.full((5, 6), 255, np.uint8)
    assert not soft_target(labels, (2, 2), 3).any()
    assert not labelled_share(labels, (2, 2)).any()


def test_other_void_label_and_none():
    labels = np.array([[0, 9]])
    assert soft_target(labels, (1, 2), 2, ignore_index=9)[0, 1].sum() == 0
    with pytest.raises(InputError, match="found 9"):
        soft_target(labels, (1, 2), 2, ignore_index=None)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((np.zeros((2, 3)), (1, 1), 2), "integers"),
        ((np.zeros((2, 3, 1), int), (1, 1), 2), r"\(H, W\)"),
        ((np.zeros((0, 3), int), (1, 1), 2), "non-empty"),
        ((np.full((2, 3), 7), (1, 1), 2), "found 7"),
        ((np.zeros((2, 3), int), (0, 1), 2), "grid"),
        ((np.zeros((2, 3), int), (1, 1)), "n_classes must be given"),
    ],
)
def test_unusable_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        soft_target(*arguments)


def test_overlap_gives_the_targets_of_labelings():
    rng = np.random.default_rng(3)
    superpixels = rng.integers(0, 9, (17, 23))
    superpixels[0, :9] = np.arange(9)
    overlap = cell_overlap(superpixels, (5, 4))
    np.testing.assert_allclose(overlap.sum(1), 1.0)
    labelings = rng.integers(0, 3, (6, 9))
    for labeling in labelings:
        target = overlap @ np.eye(3)[labeling]
        expected = soft_target(labeling[superpixels], (5, 4), 3)
        np.testing.assert_allclose(target.reshape(5, 4, 3), expected, atol=1e-12)


def test_overlap_keeps_a_column_for_a_superpixel_without_pixels():
    overlap = cell_overlap(np.array([[0, 2]]), (1, 1), n_superpixels=4)
    assert overlap.tolist() == [[0.5, 0.0, 0.5, 0.0]]
