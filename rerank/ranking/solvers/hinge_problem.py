"""The structured hinge as a problem: its data, its objective, its violated constraints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from rerank.ranking.image_rows import ImageRows, row_blocks
from rerank.ranking.solvers.working_set import WorkingSet
from rerank.types import FloatArray, IntArray

#: A matrix of up to so many bytes of float64 is scaled once and kept; a larger one is scaled
#: block by block at each reading.
KEPT_BYTES = 2**30
#: Bytes of rows that are scored at once with several weights.
CACHED_BYTES = 2**18


@dataclass(frozen=True)
class HingeProblem:
    """``min_w 1/2 |w|^2 + C sum_i max_m [loss_im - w.(x_i* - x_im)]`` over scaled columns.

    Attributes
    ----------
    rows : ndarray of shape (N, D), or a matrix on disk
        The rows of an image are neighbours.
    inverse : ndarray of shape (D,), or None
        Factor of each column; None where `rows` are scaled already.
    images : ImageRows
    losses : ndarray of shape (N,), float64
        0 for the best proposal of each image, and nowhere below.
    best : ndarray of shape (n_images,), int64
        Row of each image's best proposal.
    C : float
    """

    rows: Any
    inverse: FloatArray | None
    images: ImageRows
    losses: FloatArray
    best: IntArray
    C: float

    @property
    def shape(self) -> tuple[int, int]:
        return int(self.rows.shape[0]), int(self.rows.shape[1])

    def blocks(self) -> Iterator[tuple[int, int, FloatArray]]:
        """Read all rows: first image, image after the last, and the block of scaled rows."""
        starts = self.images.starts
        for first, block in row_blocks(self.rows, starts, whole=self.inverse is None):
            stop = int(np.searchsorted(starts, starts[first] + len(block)))
            yield first, stop, block if self.inverse is None else block * self.inverse

    def empty_objective(self) -> float:
        """Objective of weights that are all 0."""
        return self.C * float(np.maximum.reduceat(self.losses, self.images.starts[:-1]).sum())

    def objective(self, weights: FloatArray, margins: FloatArray) -> float:
        """Objective of weights whose margins are known."""
        hinge = hinges(margins, self.losses, self.images.starts)
        return 0.5 * float(weights @ weights) + self.C * float(hinge.sum())

    def margins(self, candidates: FloatArray) -> FloatArray:
        """Score of each row less the score of its image's best row, for several weights.

        Parameters
        ----------
        candidates : ndarray of shape (k, D)

        Returns
        -------
        ndarray of shape (k, N)
        """
        margins = np.empty((len(candidates), self.shape[0]))
        for first, stop, block in self.blocks():
            _margins(
                block,
                int(self.images.starts[first]),
                self.images.starts[first : stop + 1],
                self.best[first:stop],
                candidates,
                margins,
            )
        return margins

    def add_violated(
        self, weights: FloatArray, working: WorkingSet, thresholds: FloatArray
    ) -> tuple[float, FloatArray]:
        """Score all rows, and add the most violated ones of each image to the working set.

        Parameters
        ----------
        weights : ndarray of shape (D,)
        working : WorkingSet
        thresholds : ndarray of shape (n_images,)
            Of each image, up to two rows enter that are not in the set and whose margin plus loss
            exceeds the image's threshold.

        Returns
        -------
        objective : float
        hinges : ndarray of shape (n_images,)
        """
        starts = self.images.starts
        hinge = np.empty(self.images.n_images)
        for first, stop, block in self.blocks():
            begin = int(starts[first])
            margin = np.empty(begin + len(block))
            _subtract_best(
                block @ weights, begin, starts[first : stop + 1], self.best[first:stop], margin
            )
            rows, images = _two_most_violated(
                margin, self.losses, starts, first, stop, working.known, thresholds, hinge
            )
            working.add(block, begin, rows, images, self.best, self.losses)
        return 0.5 * float(weights @ weights) + self.C * float(hinge.sum()), hinge

    def best_multiple(self, weights: FloatArray, margins: FloatArray) -> float:
        """Factor in [0, 4] by which the weights have the lowest objective."""
        return float(
            _best_multiple(
                margins, self.losses, self.images.starts, float(weights @ weights), self.C
            )
        )


def scaled_problem(
    rows: Any, inverse: FloatArray, images: ImageRows, losses: FloatArray, best: IntArray, C: float
) -> HingeProblem:
    """State the problem; scale the rows once where they fit into `KEPT_BYTES`."""
    problem = HingeProblem(rows, inverse, images, losses, best, C)
    if 8 * rows.shape[0] * rows.shape[1] > KEPT_BYTES:
        return problem
    if isinstance(rows, np.ndarray) and (inverse == 1.0).all():
        return HingeProblem(
            np.ascontiguousarray(rows, dtype=np.float64), None, images, losses, best, C
        )
    kept = np.empty(rows.shape)
    for first, stop, block in problem.blocks():
        kept[images.starts[first] : images.starts[stop]] = block
    return HingeProblem(kept, None, images, losses, best, C)


@njit(cache=True)
def _margins(block, first_row, starts, best, candidates, margins):
    # A few images at a time, so that all candidates but the first find their rows in the cache.
    least = CACHED_BYTES // (8 * block.shape[1])
    first, n_images = 0, len(best)
    while first < n_images:
        stop = first + 1
        while stop < n_images and starts[stop] - starts[first] < least:
            stop += 1
        rows = block[starts[first] - first_row : starts[stop] - first_row]
        for k in range(len(candidates)):
            scores = np.dot(rows, candidates[k])
            for i in range(first, stop):
                reference = scores[best[i] - starts[first]]
                for row in range(starts[i], starts[i + 1]):
                    margins[k, row] = scores[row - starts[first]] - reference
        first = stop


@njit(cache=True)
def _subtract_best(scores, first_row, starts, best, margins):
    for i in range(len(best)):
        reference = scores[best[i] - first_row]
        for row in range(starts[i], starts[i + 1]):
            margins[row] = scores[row - first_row] - reference


@njit(cache=True)
def hinges(margins, losses, starts):
    """Largest margin plus loss of each image, shape (n_images,)."""
    result = np.empty(len(starts) - 1)
    for i in range(len(starts) - 1):
        highest = -np.inf
        for row in range(starts[i], starts[i + 1]):
            highest = max(highest, margins[row] + losses[row])
        result[i] = highest
    return result


@njit(cache=True)
def _two_most_violated(margins, losses, starts, first, stop, known, thresholds, hinge):
    rows, images = np.empty(2 * (stop - first), np.int64), np.empty(2 * (stop - first), np.int64)
    found = 0
    for i in range(first, stop):
        highest = one = two = -np.inf
        row_one = row_two = -1
        for row in range(starts[i], starts[i + 1]):
            value = margins[row] + losses[row]
            highest = max(highest, value)
            if known[row]:
                continue
            if value > one:
                two, row_two = one, row_one
                one, row_one = value, row
            elif value > two:
                two, row_two = value, row
        hinge[i] = highest
        if one > thresholds[i]:
            rows[found], images[found] = row_one, i
            found += 1
        if two > thresholds[i]:
            rows[found], images[found] = row_two, i
            found += 1
    return rows[:found], images[:found]


@njit(cache=True)
def _best_multiple(margins, losses, starts, squared, C):
    low, high = 0.0, 4.0
    for _ in range(12):
        factor = 0.5 * (low + high)
        slope = factor * squared
        for i in range(len(starts) - 1):
            highest, margin = -np.inf, 0.0
            for row in range(starts[i], starts[i + 1]):
                value = factor * margins[row] + losses[row]
                if value > highest:
                    highest, margin = value, margins[row]
            slope += C * margin
        if slope > 0:
            high = factor
        else:
            low = factor
    return 0.5 * (low + high)
