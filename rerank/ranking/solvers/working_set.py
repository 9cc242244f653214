"""The constraints that a structured SVM has found so far, and its dual variables."""

from __future__ import annotations

import numpy as np
from numba import njit

from rerank.types import FloatArray, IntArray


class WorkingSet:
    """Constraints of the structured hinge, with one dual variable each.

    Constraint a of image i says: the best proposal's score exceeds that of proposal m by the loss
    of m. Its difference is ``d_a = x_i* - x_im`` in scaled columns, its dual variable is alpha_a,
    and the variables of an image sum to at most C. The dual's weights are sum_a alpha_a d_a.

    Attributes
    ----------
    differences : ndarray of shape (capacity, D), float64
    losses, alphas : ndarrays of shape (capacity,), float64
    image, row : ndarrays of shape (capacity,), int64
        Image of each constraint, and the row that it came from.
    slots : ndarray of shape (n_images, width), int64
        Constraints of each image, -1 where there is none.
    counts : ndarray of shape (n_images,), int64
    gram : ndarray of shape (n_images, width, width), float64
        Inner products of the constraints of one image.
    known : ndarray of shape (N,), bool
        Rows that are in the set, and the best rows, which never enter it.
    size : int
        Constraints in use.
    """

    def __init__(self, best: IntArray, n_rows: int, n_columns: int) -> None:
        n_images = len(best)
        # Memory that nothing is written to costs nothing; growing means copying.
        capacity = max(16, 6 * n_images)
        self.differences = np.empty((capacity, n_columns))
        self.losses = np.empty(capacity)
        self.alphas = np.zeros(capacity)
        self.image = np.empty(capacity, dtype=np.int64)
        self.row = np.empty(capacity, dtype=np.int64)
        self.slots = np.full((n_images, 8), -1, dtype=np.int64)
        self.counts = np.zeros(n_images, dtype=np.int64)
        self.gram = np.zeros((n_images, 8, 8))
        self.known = np.zeros(n_rows, dtype=bool)
        self.known[best] = True
        self.size = 0

    def reserve(self, first: int, stop: int, extra: int) -> None:
        """Make room for up to `extra` more constraints of each of the images first..stop-1."""
        size = self.size + extra * (stop - first)
        capacity = len(self.losses)
        if size > capacity:
            grown = max(size, 2 * capacity) - capacity
            self.differences = np.concatenate(
                [self.differences, np.empty((grown, self.differences.shape[1]))]
            )
            self.losses = np.concatenate([self.losses, np.empty(grown)])
            self.alphas = np.concatenate([self.alphas, np.zeros(grown)])
            self.image = np.concatenate([self.image, np.empty(grown, dtype=np.int64)])
            self.row = np.concatenate([self.row, np.empty(grown, dtype=np.int64)])
        width = int(self.counts[first:stop].max(initial=0)) + extra
        old = self.slots.shape[1]
        if width > old:
            width = max(width, 2 * old)
            slots, gram = self.slots, self.gram
            self.slots = np.full((len(slots), width), -1, dtype=np.int64)
            self.slots[:, :old] = slots
            self.gram = np.zeros((len(slots), width, width))
            self.gram[:, :old, :old] = gram

    def add(
        self,
        block: FloatArray,
        first_row: int,
        rows: IntArray,
        images: IntArray,
        best: IntArray,
        losses: FloatArray,
    ) -> None:
        """Append the constraints of `rows`, which lie in `block`; their variables start at 0."""
        if len(rows):
            self.reserve(int(images[0]), int(images[-1]) + 1, int(np.bincount(images).max()))
            self.size = _add_rows(
                block,
                first_row,
                rows,
                images,
                best,
                losses,
                self.differences,
                self.losses,
                self.alphas,
                self.image,
                self.row,
                self.slots,
                self.counts,
                self.gram,
                self.known,
                self.size,
            )

    def weights(self) -> FloatArray:
        """``sum_a alpha_a d_a``, shape (D,)."""
        return np.asarray(self.alphas[: self.size] @ self.differences[: self.size])

    def dual(self, weights: FloatArray) -> float:
        """Dual objective, where `weights` are those of the variables."""
        linear = float(self.alphas[: self.size] @ self.losses[: self.size])
        return linear - 0.5 * float(weights @ weights)

    def drop_idle(self) -> None:
        """Forget the constraints whose variable is 0."""
        kept = np.flatnonzero(self.alphas[: self.size] > 0)
        self.known[self.row[: self.size]] = False
        self.known[self.row[kept]] = True
        for name in ("differences", "losses", "alphas", "image", "row"):
            values = getattr(self, name)
            values[: len(kept)] = values[kept]
        self.size = len(kept)
        self.slots[:] = -1
        self.counts[:] = 0
        _rebuild(self.size, self.differences, self.image, self.slots, self.counts, self.gram)


@njit(cache=True, fastmath={"reassoc", "contract", "nsz"})
def inner(first, second):
    """Inner product of two short vectors, for which BLAS takes longer to call than to compute."""
    total = 0.0
    for column in range(first.shape[0]):
        total += first[column] * second[column]
    return total


@njit(cache=True)
def append(
    block,
    local_row,
    local_best,
    row,
    i,
    loss,
    differences,
    losses,
    alphas,
    image,
    rows,
    slots,
    counts,
    gram,
    known,
    size,
):
    """Append one constraint in place; there must be room for it."""
    difference = differences[size]
    for column in range(difference.shape[0]):
        difference[column] = block[local_best, column] - block[local_row, column]
    losses[size] = loss
    alphas[size] = 0.0
    image[size] = i
    rows[size] = row
    known[row] = True
    last = counts[i]
    slots[i, last] = size
    counts[i] = last + 1
    for j in range(last + 1):
        value = inner(difference, differences[slots[i, j]])
        gram[i, last, j] = value
        gram[i, j, last] = value


@njit(cache=True)
def _add_rows(
    block,
    first_row,
    new_rows,
    images,
    best,
    row_losses,
    differences,
    losses,
    alphas,
    image,
    rows,
    slots,
    counts,
    gram,
    known,
    size,
):
    for k in range(len(new_rows)):
        row, i = new_rows[k], images[k]
        append(
            block,
            row - first_row,
            best[i] - first_row,
            row,
            i,
            row_losses[row],
            differences,
            losses,
            alphas,
            image,
            rows,
            slots,
            counts,
            gram,
            known,
            size,
        )
        size += 1
    return size


@njit(cache=True)
def _rebuild(size, differences, image, slots, counts, gram):
    for a in range(size):
        i = image[a]
        last = counts[i]
        slots[i, last] = a
        counts[i] = last + 1
        for j in range(last + 1):
            value = inner(differences[a], differences[slots[i, j]])
            gram[i, last, j] = value
            gram[i, j, last] = value
