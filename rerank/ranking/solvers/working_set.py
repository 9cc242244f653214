"""The constraints that a structured SVM has found so far, and its dual variables."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from rerank.ranking.image_rows import RowBlock
from rerank.ranking.solvers.hinge_problem import HingeProblem, HingeTerms
from rerank.types import BoolArray, FloatArray, IntArray


class Constraints(NamedTuple):
    """The arrays of a `WorkingSet` as the compiled functions take them."""

    differences: FloatArray
    losses: FloatArray
    alphas: FloatArray
    image: IntArray
    row: IntArray
    slots: IntArray
    counts: IntArray
    gram: FloatArray
    known: BoolArray


class WorkingSet:
    """Constraints of the structured hinge, with one dual variable each.

    Constraint a of image i says: the best proposal's score exceeds that of proposal m by the loss
    of m. Its difference is ``d_a = x_i* - x_im`` in scaled columns, its dual variable is alpha_a,
    and the variables of an image sum to at most C. The dual's weights are sum_a alpha_a d_a.

    Parameters
    ----------
    problem : HingeProblem

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
    constraints : Constraints
        These arrays together; `reserve` may replace them.
    size : int
        Constraints in use.
    """

    def __init__(self, problem: HingeProblem) -> None:
        n_rows, n_columns = problem.shape
        n_images = problem.images.n_images
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
        self.known[problem.best] = True
        self.size = 0
        self._collect()

    def reserve(self, first: int, stop: int, extra: int) -> None:
        """Make room for more constraints.

        Parameters
        ----------
        first, stop : int
            The images first to stop - 1 get the room.
        extra : int
            Most constraints that each of them may add.
        """
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
        if size > capacity or width > old:
            self._collect()

    def add(self, rows: IntArray, images: IntArray, block: RowBlock, terms: HingeTerms) -> None:
        """Append the constraints of some rows; their variables start at 0.

        Parameters
        ----------
        rows : ndarray of shape (n,), int64
            Rows of the problem that lie in `block` and are not in the set.
        images : ndarray of shape (n,), int64
            Their images, in rising order.
        block : RowBlock
        terms : HingeTerms
        """
        if len(rows):
            self.reserve(int(images[0]), int(images[-1]) + 1, int(np.bincount(images).max()))
            self.size = _add_rows(rows, images, block, terms, self.constraints, self.size)

    def add_violated(
        self, problem: HingeProblem, weights: FloatArray, thresholds: FloatArray
    ) -> tuple[float, FloatArray]:
        """Score all rows, and add the most violated ones of each image.

        Parameters
        ----------
        problem : HingeProblem
        weights : ndarray of shape (D,)
        thresholds : ndarray of shape (n_images,)
            Of each image, up to two rows enter that are not in the set and whose margin plus loss
            exceeds the image's threshold.

        Returns
        -------
        objective : float
        hinges : ndarray of shape (n_images,)
        """
        terms = problem.terms
        hinges = np.empty(problem.images.n_images)
        for block in problem.blocks():
            margins = np.empty(block.first_row + len(block.values))
            _subtract_best(block.values @ weights, block, terms, margins)
            rows, images = _two_most_violated(margins, block, terms, self.known, thresholds, hinges)
            self.add(rows, images, block, terms)
        return problem.objective_of_hinges(weights, hinges), hinges

    def _collect(self) -> None:
        self.constraints = Constraints(
            self.differences,
            self.losses,
            self.alphas,
            self.image,
            self.row,
            self.slots,
            self.counts,
            self.gram,
            self.known,
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
        _rebuild(self.constraints, self.size)


@njit(cache=True, fastmath={"reassoc", "contract", "nsz"})
def inner(first: FloatArray, second: FloatArray) -> float:
    """Inner product of two short vectors, for which BLAS takes longer to call than to compute."""
    total = 0.0
    for column in range(first.shape[0]):
        total += first[column] * second[column]
    return total


@njit(cache=True)
def append(
    i: int, row: int, block: RowBlock, terms: HingeTerms, constraints: Constraints, size: int
) -> None:
    """Append one constraint in place; there must be room for it.

    Parameters
    ----------
    i : int
        Its image.
    row : int
        Its row of the problem.
    block : RowBlock
        Holds the image's rows.
    terms : HingeTerms
    constraints : Constraints
    size : int
        Constraints in use before.
    """
    values, difference = block.values, constraints.differences[size]
    local_row, local_best = row - block.first_row, terms.best[i] - block.first_row
    for column in range(difference.shape[0]):
        difference[column] = values[local_best, column] - values[local_row, column]
    constraints.losses[size] = terms.losses[row]
    constraints.alphas[size] = 0.0
    constraints.image[size] = i
    constraints.row[size] = row
    constraints.known[row] = True
    _enter(i, size, constraints)


@njit(cache=True)
def _enter(i: int, a: int, constraints: Constraints) -> None:
    """Give constraint a the next slot of image i."""
    differences, slots, gram = constraints.differences, constraints.slots, constraints.gram
    last = constraints.counts[i]
    slots[i, last] = a
    constraints.counts[i] = last + 1
    for j in range(last + 1):
        value = inner(differences[a], differences[slots[i, j]])
        gram[i, last, j] = value
        gram[i, j, last] = value


@njit(cache=True)
def _add_rows(
    rows: IntArray,
    images: IntArray,
    block: RowBlock,
    terms: HingeTerms,
    constraints: Constraints,
    size: int,
) -> int:
    for k in range(len(rows)):
        append(images[k], rows[k], block, terms, constraints, size)
        size += 1
    return size


@njit(cache=True)
def _rebuild(constraints: Constraints, size: int) -> None:
    for a in range(size):
        _enter(constraints.image[a], a, constraints)


@njit(cache=True)
def _subtract_best(
    scores: FloatArray, block: RowBlock, terms: HingeTerms, margins: FloatArray
) -> None:
    starts, first_row = terms.starts, block.first_row
    for i in range(block.first_image, block.stop_image):
        reference = scores[terms.best[i] - first_row]
        for row in range(starts[i], starts[i + 1]):
            margins[row] = scores[row - first_row] - reference


@njit(cache=True)
def _two_most_violated(
    margins: FloatArray,
    block: RowBlock,
    terms: HingeTerms,
    known: BoolArray,
    thresholds: FloatArray,
    hinges: FloatArray,
) -> tuple[IntArray, IntArray]:
    """Rows above the threshold, up to two an image, and their images; fills `hinges`."""
    starts, most = terms.starts, 2 * (block.stop_image - block.first_image)
    rows, images = np.empty(most, np.int64), np.empty(most, np.int64)
    found = 0
    for i in range(block.first_image, block.stop_image):
        highest = one = two = -np.inf
        row_one = row_two = -1
        for row in range(starts[i], starts[i + 1]):
            value = margins[row] + terms.losses[row]
            highest = max(highest, value)
            if known[row]:
                continue
            if value > one:
                two, row_two = one, row_one
                one, row_one = value, row
            elif value > two:
                two, row_two = value, row
        hinges[i] = highest
        if one > thresholds[i]:
            rows[found], images[found] = row_one, i
            found += 1
        if two > thresholds[i]:
            rows[found], images[found] = row_two, i
            found += 1
    return rows[:found], images[:found]
