"""Rows of features, grouped by image, in memory or on disk.

The features of proposals are rows of one matrix; the rows of one image form a group. The matrix is
an array or anything with `shape` and slicing, such as an `h5py.Dataset`, which is read in blocks
and need not fit into memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from rerank.errors import InputError
from rerank.types import Array, FloatArray, IntArray
from rerank.validation import check_finite

#: Bytes of float64 that one block of a matrix on disk takes.
BLOCK_BYTES = 64 * 2**20


@dataclass(frozen=True)
class ImageRows:
    """Which rows belong to which image.

    Attributes
    ----------
    ids : ndarray of shape (n_images,)
        The groups in order of first appearance.
    order : ndarray of shape (N,), int64, or None
        Row indices that bring the rows of an image together, images in the order of `ids` and
        rows within an image in their own order. None where they are together already.
    starts : ndarray of shape (n_images + 1,), int64
        Image i has the rows starts[i] to starts[i + 1] - 1 of the ordered matrix.
    """

    ids: Array
    order: IntArray | None
    starts: IntArray

    @property
    def n_images(self) -> int:
        """Number of images."""
        return len(self.starts) - 1

    @property
    def together(self) -> ImageRows:
        """The images of the ordered matrix."""
        return ImageRows(self.ids, None, self.starts)

    def ordered(self, values: Array) -> Array:
        """Bring `values`, one per row of the matrix, into the order of the images."""
        return values if self.order is None else values[self.order]

    def restored(self, values: Array) -> Array:
        """Bring `values`, in the order of the images, back into the order of the matrix."""
        if self.order is None:
            return values
        result = np.empty_like(values)
        result[self.order] = values
        return result

    def original(self, positions: IntArray) -> IntArray:
        """Turn positions in the ordered matrix into rows of the matrix as it was given."""
        return positions if self.order is None else self.order[positions]

    def image_of_row(self) -> IntArray:
        """Image of each row of the ordered matrix, shape (N,)."""
        return np.repeat(np.arange(self.n_images), np.diff(self.starts))


def image_rows(groups: Array, n_rows: int | None = None) -> ImageRows:
    """Find the rows of each image.

    Parameters
    ----------
    groups : array-like of shape (N,)
        Image of each row: integers or strings.
    n_rows : int, optional
        The number of rows that `groups` must have.

    Returns
    -------
    ImageRows

    Raises
    ------
    InputError
        Where `groups` is not one-dimensional, is empty, or has not `n_rows` entries.

    Examples
    --------
    >>> found = image_rows(np.array([7, 7, 3, 7]))
    >>> found.ids, found.order, found.starts
    (array([7, 3]), array([0, 1, 3, 2]), array([0, 3, 4]))
    """
    values = np.asarray(groups)
    if values.ndim != 1 or values.size == 0:
        raise InputError(f"groups must have shape (N,) with N >= 1, got shape {values.shape}")
    if n_rows is not None and len(values) != n_rows:
        raise InputError(
            f"groups has {len(values)} entries and X has {n_rows} rows; they must be equal"
        )
    # Where each group is one run of rows there is nothing to sort but the runs.
    runs = np.concatenate([[0], np.flatnonzero(values[1:] != values[:-1]) + 1, [len(values)]])
    ids = values[runs[:-1]]
    if len(np.unique(ids)) == len(ids):
        return ImageRows(ids=ids, order=None, starts=runs.astype(np.int64))
    _, first, inverse = np.unique(values, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    image = rank[inverse]
    starts = np.concatenate([[0], np.cumsum(np.bincount(image))]).astype(np.int64)
    order = np.argsort(image, kind="stable").astype(np.int64)
    return ImageRows(ids=values[np.sort(first)], order=order, starts=starts)


def as_rows(X: Any, n_features: int | None = None) -> Any:
    """Check that `X` is a matrix of numbers; leave one on disk where it is.

    Parameters
    ----------
    X : array-like of shape (N, D), or any object with `shape`, `dtype` and slicing by rows
    n_features : int, optional
        The number of columns that the ranker was fitted with.

    Returns
    -------
    ndarray of shape (N, D), or `X` itself where it is not an array but can be sliced

    Raises
    ------
    InputError
        Where `X` is not two-dimensional, has no row or no column, is not numeric, or has another
        number of columns than `n_features`.
    """
    on_disk = (
        not isinstance(X, np.ndarray)
        and all(hasattr(X, name) for name in ("shape", "dtype", "__getitem__"))
        and not hasattr(X, "__array_interface__")
        and not hasattr(X, "iloc")
    )
    rows = X if on_disk else np.asarray(X)
    if len(rows.shape) != 2 or 0 in rows.shape:
        raise InputError(f"X must have shape (N, D) with N, D >= 1, got shape {rows.shape}")
    if np.dtype(rows.dtype).kind not in "fiub":
        raise InputError(f"X must be real numbers, got {rows.dtype}")
    if n_features is not None and rows.shape[1] != n_features:
        raise InputError(f"X has {rows.shape[1]} columns, the ranker was fitted with {n_features}")
    return rows


def check_rows_finite(
    block: FloatArray, first_row: int = 0, names: Sequence[str] | None = None
) -> None:
    """Refuse a block of rows that holds NaN or infinity.

    Parameters
    ----------
    block : ndarray of shape (R, D), float64
    first_row : int, default 0
        Row of the matrix that ``block[0]`` is.
    names : sequence of D str, optional
        Names of the columns, for the message.

    Raises
    ------
    InputError
        With the row and the column of the first such value.
    """
    if np.isfinite(block.sum()):
        return
    finite = np.isfinite(block)
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        at = int(column) if names is None else repr(names[column])
        raise InputError(
            f"X must be finite; {int((~finite).sum())} values are not, the first in row "
            f"{first_row + int(row)}, column {at} is {block[row, column]}"
        )


class RowBlock(NamedTuple):
    """Some neighbouring rows of the matrix: those of whole images.

    Attributes
    ----------
    values : ndarray of shape (R, D), float64, C-contiguous
    first_row : int
        Row of the matrix that ``values[0]`` is.
    first_image, stop_image : int
        The block holds the images first_image to stop_image - 1.
    """

    values: FloatArray
    first_row: int
    first_image: int
    stop_image: int


def row_blocks(rows: Any, starts: IntArray | None = None, whole: bool = True) -> Iterator[RowBlock]:
    """Read a matrix in blocks of whole images.

    Parameters
    ----------
    rows : ndarray of shape (N, D), or an object with `shape` and slicing by rows
    starts : ndarray of shape (n_images + 1,), optional
        First row of each image; without it every row is an image of its own.
    whole : bool, default True
        Yield an array of float64 in memory as one block. Without it blocks are small, so that
        a copy of one does not double the memory.

    Yields
    ------
    RowBlock
        Its values are a view where `rows` is a C-contiguous array of float64.
    """
    n_rows, n_columns = rows.shape
    n_images = n_rows if starts is None else len(starts) - 1
    in_memory = isinstance(rows, np.ndarray) and rows.dtype == np.float64
    if whole and in_memory and rows.flags.c_contiguous:
        yield RowBlock(rows, 0, 0, n_images)
        return
    if starts is None:
        starts = np.arange(n_rows + 1)
    size = max(1, BLOCK_BYTES // (8 * n_columns))
    first = 0
    while first < n_images:
        stop = int(np.searchsorted(starts, starts[first] + size, side="right")) - 1
        stop = min(max(stop, first + 1), n_images)
        begin, end = int(starts[first]), int(starts[stop])
        yield RowBlock(np.ascontiguousarray(rows[begin:end], dtype=np.float64), begin, first, stop)
        first = stop


def check_quality(quality: Any, n_rows: int) -> FloatArray:
    """Check the quality of proposals.

    Parameters
    ----------
    quality : array-like of shape (n_rows,)
    n_rows : int

    Returns
    -------
    ndarray of shape (n_rows,), float64

    Raises
    ------
    InputError
        Where it has another shape, is not real numbers, or holds NaN or infinity.
    """
    values = np.asarray(quality)
    if values.shape != (n_rows,):
        raise InputError(
            f"quality must have shape ({n_rows},), one value a row of X, got shape {values.shape}"
        )
    if values.dtype.kind not in "fiub":
        raise InputError(f"quality must be real numbers, got {values.dtype}")
    values = values.astype(np.float64)
    check_finite(values, "quality")
    return values


def best_rows(scores: FloatArray, images: ImageRows) -> IntArray:
    """Row of the highest score of each image; of equal scores the lowest row.

    Parameters
    ----------
    scores : ndarray of shape (N,)
        One per row, in the order of the matrix as it was given.
    images : ImageRows

    Returns
    -------
    ndarray of shape (n_images,), int64
    """
    ordered, image = images.ordered(scores), images.image_of_row()
    best = np.maximum.reduceat(ordered, images.starts[:-1])
    hits = np.flatnonzero(ordered == best[image])
    _, first = np.unique(image[hits], return_index=True)
    return images.original(hits[first].astype(np.int64))


def regret(ordered_quality: FloatArray, images: ImageRows) -> FloatArray:
    """Best quality of the image less the quality of each row, in the order of the images.

    Parameters
    ----------
    ordered_quality : ndarray of shape (N,)
        In the order of the images.
    images : ImageRows

    Returns
    -------
    ndarray of shape (N,), float64

    Examples
    --------
    >>> regret(np.array([0.5, 0.75, 0.25]), image_rows(np.array([0, 0, 1])))
    array([0.25, 0.  , 0.  ])
    """
    best = np.maximum.reduceat(ordered_quality, images.starts[:-1])
    return best[images.image_of_row()] - ordered_quality


def ordered_rows(rows: Any, images: ImageRows) -> Any:
    """Bring the rows of each image together.

    Parameters
    ----------
    rows : ndarray of shape (N, D), or a matrix on disk
    images : ImageRows

    Returns
    -------
    ndarray of shape (N, D), or `rows` where they are together already

    Raises
    ------
    InputError
        Where they are not together and `rows` is on disk.
    """
    if images.order is None:
        return rows
    if not isinstance(rows, np.ndarray):
        raise InputError("the rows of an image must be neighbours where X is read from disk")
    return rows[images.order]
