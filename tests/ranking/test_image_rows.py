"""Groups of rows, matrices on disk, and blocks."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from rerank.errors import InputError
from rerank.ranking import image_rows as module
from rerank.ranking.image_rows import as_rows, image_rows, row_blocks


def test_images_keep_their_first_appearance():
    found = image_rows(np.array(["b", "a", "b", "c", "a"]))
    assert found.ids.tolist() == ["b", "a", "c"]
    assert found.order.tolist() == [0, 2, 1, 4, 3]
    assert found.starts.tolist() == [0, 2, 4, 5]
    assert found.image_of_row().tolist() == [0, 0, 1, 1, 2]
    assert found.ordered(np.arange(5)).tolist() == [0, 2, 1, 4, 3]
    assert found.original(np.array([1, 4])).tolist() == [2, 3]
    assert found.restored(found.image_of_row()).tolist() == [0, 1, 0, 2, 1]
    assert found.together.order is None and found.together.starts is found.starts


def test_neighbouring_rows_need_no_order():
    found = image_rows([9, 9, 2, 5, 5])
    assert found.order is None
    assert found.ids.tolist() == [9, 2, 5]
    assert found.original(np.array([3])).tolist() == [3]


@pytest.mark.parametrize(
    "groups, message",
    [
        ([], r"groups must have shape \(N,\)"),
        ([[1, 2]], r"groups must have shape \(N,\)"),
        ([1, 2], "groups has 2 entries and X has 3 rows"),
    ],
)
def test_unusable_groups(groups, message):
    with pytest.raises(InputError, match=message):
        image_rows(groups, 3)


def test_blocks_are_whole_images(monkeypatch):
    monkeypatch.setattr(module, "BLOCK_BYTES", 8 * 2 * 3)
    X = np.arange(20, dtype=np.float32).reshape(10, 2)
    starts = np.array([0, 1, 3, 7, 8, 10])
    blocks = list(row_blocks(X, starts))
    assert [(b.first_image, b.stop_image) for b in blocks] == [(0, 2), (2, 3), (3, 5)]
    assert [b.first_row for b in blocks] == [0, 3, 7]
    assert [len(b.values) for b in blocks] == [3, 4, 3]
    np.testing.assert_array_equal(np.concatenate([b.values for b in blocks]), X)
    assert all(b.values.dtype == np.float64 for b in blocks)


def test_a_float64_matrix_is_not_copied():
    X = np.zeros((4, 2))
    (block,) = row_blocks(X)
    assert block.values is X and block[1:] == (0, 0, 4)


def test_a_dataset_stays_on_disk(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        dataset = file.create_dataset("x", data=np.arange(12, dtype=np.float32).reshape(6, 2))
        assert as_rows(dataset) is dataset
        (block,) = row_blocks(dataset)
        np.testing.assert_array_equal(block.values, dataset[:])
        assert block.values.dtype == np.float64


def test_lists_and_integers_are_taken():
    assert as_rows([[1, 2], [3, 4]]).shape == (2, 2)


@pytest.mark.parametrize(
    "X, message",
    [
        (np.zeros((0, 2)), r"X must have shape \(N, D\)"),
        (np.zeros((2, 0)), r"X must have shape \(N, D\)"),
        (np.zeros((2, 2), dtype=complex), "X must be real numbers, got complex128"),
    ],
)
def test_unusable_matrices(X, message):
    with pytest.raises(InputError, match=message):
        as_rows(X)


def test_an_array_in_memory_can_be_cut_too(monkeypatch):
    monkeypatch.setattr("rerank.ranking.image_rows.BLOCK_BYTES", 8 * 2 * 5)
    rows = np.arange(24.0).reshape(12, 2)
    starts = np.array([0, 3, 5, 9, 12])
    assert [len(block.values) for block in row_blocks(rows, starts)] == [12]
    cut = list(row_blocks(rows, starts, whole=False))
    assert [(b.first_image, len(b.values)) for b in cut] == [(0, 5), (2, 4), (3, 3)]
    assert all(np.shares_memory(block.values, rows) for block in cut)
    np.testing.assert_array_equal(np.concatenate([block.values for block in cut]), rows)
