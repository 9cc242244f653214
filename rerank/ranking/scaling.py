"""Scaling of columns by how much they vary within an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit

from rerank.errors import InputError
from rerank.ranking.image_rows import ImageRows, check_rows_finite, row_blocks
from rerank.types import FloatArray, IntArray

#: A column that varies by less than this share of its magnitude counts as constant.
CONSTANT_SHARE = 1e-12


def inverse_scale(
    rows: Any,
    images: ImageRows,
    scale_columns: bool = True,
    column_groups: Sequence[Any] | None = None,
) -> FloatArray:
    """Find the factor for each column that makes columns comparable.

    A ranker compares the proposals of one image, so a column's scale is the pooled standard
    deviation within images: the root of sum_i sum_m (x_im - mean_i)^2 / (N - n_images). Adding a
    constant to all rows of an image changes nothing. With groups, the columns of a group are also
    divided by the root of their number, so that a group of a thousand columns weighs no more than
    a group of two.

    Parameters
    ----------
    rows : ndarray of shape (N, D), or a matrix on disk
        The rows of an image are neighbours.
    images : ImageRows
    scale_columns : bool
        Without it the factors are 1, and 0 for constant columns.
    column_groups : sequence of D labels, optional
        Group of each column.

    Returns
    -------
    ndarray of shape (D,), float64
        0 for a column that is constant within every image: it cannot rank, and its weight is 0.

    Raises
    ------
    InputError
        Where a value is NaN or infinite (the message names row and column), or `column_groups`
        has not D labels.
    """
    deviation, magnitude = within_image_deviation(rows, images)
    varies = deviation > CONSTANT_SHARE * magnitude
    inverse = np.zeros(len(deviation))
    inverse[varies] = 1.0 / deviation[varies] if scale_columns else 1.0
    if column_groups is not None:
        groups = np.asarray(column_groups)
        if groups.shape != inverse.shape:
            raise InputError(
                f"column_groups must hold one label for each of the "
                f"{len(inverse)} columns, got shape {groups.shape}"
            )
        _, member = np.unique(groups, return_inverse=True)
        sizes = np.bincount(member, weights=varies)
        inverse[varies] /= np.sqrt(sizes[member[varies]])
    return inverse


def within_image_deviation(rows: Any, images: ImageRows) -> tuple[FloatArray, FloatArray]:
    """Pooled standard deviation within images, and the magnitude, of each column.

    Parameters
    ----------
    rows : ndarray of shape (N, D), or a matrix on disk
        The rows of an image are neighbours.
    images : ImageRows

    Returns
    -------
    deviation, magnitude : ndarrays of shape (D,)
        The deviation is 0 where no image has two rows. The magnitude is the largest absolute
        value among the first rows of the images.
    """
    n_rows, n_columns = rows.shape
    squares, magnitude = np.zeros(n_columns), np.zeros(n_columns)
    for block in row_blocks(rows, images.starts):
        starts = images.starts[block.first_image : block.stop_image + 1] - block.first_row
        _add_squares(block.values, starts, squares, magnitude)
        if not np.isfinite(squares).all():
            # NaN or infinity in the block, or squares that are too large.
            check_rows_finite(block.values, block.first_row)
    return np.sqrt(squares / max(n_rows - images.n_images, 1)), magnitude


@njit(cache=True)
def _add_squares(
    block: FloatArray, starts: IntArray, squares: FloatArray, magnitude: FloatArray
) -> None:
    # Squares around an image's first row, less those of its mean: each value is read once, and a
    # large offset that all rows of the image share does not cancel digits.
    n_columns = block.shape[1]
    total, square = np.empty(n_columns), np.empty(n_columns)
    for i in range(len(starts) - 1):
        first = block[starts[i]]
        total[:] = 0.0
        square[:] = 0.0
        for column in range(n_columns):
            magnitude[column] = max(magnitude[column], abs(first[column]))
        for row in range(starts[i] + 1, starts[i + 1]):
            values = block[row]
            for column in range(n_columns):
                change = values[column] - first[column]
                total[column] += change
                square[column] += change * change
        count = starts[i + 1] - starts[i]
        for column in range(n_columns):
            # The last term is 0, or NaN where a lone row is not finite.
            squares[column] += (
                square[column] - total[column] * total[column] / count + 0.0 * first[column]
            )
