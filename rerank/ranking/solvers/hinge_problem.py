"""The structured hinge as a problem: its data and its objective."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from rerank.ranking.image_rows import ImageRows, RowBlock, row_blocks
from rerank.types import FloatArray, IntArray

#: A matrix of up to so many bytes of float64 is scaled once and kept; a larger one is scaled
#: block by block at each reading.
KEPT_BYTES = 2**30
#: Bytes of rows that are scored at once with several weights.
CACHED_BYTES = 2**18


class HingeTerms(NamedTuple):
    """What the compiled functions read of a problem beside its rows; see `HingeProblem`.

    Attributes
    ----------
    starts : ndarray of shape (n_images + 1,), int64
        Image i has the rows starts[i] to starts[i + 1] - 1.
    losses : ndarray of shape (N,), float64
    best : ndarray of shape (n_images,), int64
    C : float
    """

    starts: IntArray
    losses: FloatArray
    best: IntArray
    C: float


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
        """Number of rows and of columns, (N, D)."""
        return int(self.rows.shape[0]), int(self.rows.shape[1])

    @cached_property
    def terms(self) -> HingeTerms:
        """What the compiled functions read beside the rows."""
        return HingeTerms(self.images.starts, self.losses, self.best, self.C)

    def blocks(self) -> Iterator[RowBlock]:
        """Read all rows, in blocks of scaled rows."""
        for block in row_blocks(self.rows, self.images.starts, whole=self.inverse is None):
            if self.inverse is None:
                yield block
            else:
                yield block._replace(values=block.values * self.inverse)

    def empty_objective(self) -> float:
        """Objective of weights that are all 0."""
        return self.C * float(np.maximum.reduceat(self.losses, self.images.starts[:-1]).sum())

    def objective(self, weights: FloatArray, margins: FloatArray) -> float:
        """Objective of weights whose margins are known.

        Parameters
        ----------
        weights : ndarray of shape (D,)
        margins : ndarray of shape (N,)
            Those of the weights; see `margins`.

        Returns
        -------
        float
        """
        return self.objective_of_hinges(weights, _hinges(margins, self.terms))

    def objective_of_hinges(self, weights: FloatArray, hinges: FloatArray) -> float:
        """Objective of weights whose hinges are known.

        Parameters
        ----------
        weights : ndarray of shape (D,)
        hinges : ndarray of shape (n_images,)
            Largest margin plus loss of each image.

        Returns
        -------
        float
        """
        return 0.5 * float(weights @ weights) + self.C * float(hinges.sum())

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
        for block in self.blocks():
            _margins(block, self.terms, candidates, margins)
        return margins

    def best_multiple(self, weights: FloatArray, margins: FloatArray) -> float:
        """Factor in [0, 4] by which the weights have the lowest objective.

        Parameters
        ----------
        weights : ndarray of shape (D,)
        margins : ndarray of shape (N,)
            Those of the weights.

        Returns
        -------
        float
        """
        return float(_best_multiple(margins, self.terms, float(weights @ weights)))


def scaled_problem(
    rows: Any, inverse: FloatArray, images: ImageRows, losses: FloatArray, best: IntArray, C: float
) -> HingeProblem:
    """State the problem; scale the rows once where they fit into `KEPT_BYTES`.

    Parameters
    ----------
    rows, inverse, images, losses, best, C
        As in `HingeProblem`, the rows before scaling.

    Returns
    -------
    HingeProblem
    """
    problem = HingeProblem(rows, inverse, images, losses, best, C)
    if 8 * rows.shape[0] * rows.shape[1] > KEPT_BYTES:
        return problem
    if isinstance(rows, np.ndarray) and (inverse == 1.0).all():
        kept = np.ascontiguousarray(rows, dtype=np.float64)
    else:
        kept = np.empty(rows.shape)
        for block in problem.blocks():
            kept[block.first_row : block.first_row + len(block.values)] = block.values
    return HingeProblem(kept, None, images, losses, best, C)


@njit(cache=True)
def _margins(
    block: RowBlock, terms: HingeTerms, candidates: FloatArray, margins: FloatArray
) -> None:
    # A few images at a time, so that all candidates but the first find their rows in the cache.
    starts, best, first_row = terms.starts, terms.best, block.first_row
    least = CACHED_BYTES // (8 * block.values.shape[1])
    first = block.first_image
    while first < block.stop_image:
        stop = first + 1
        while stop < block.stop_image and starts[stop] - starts[first] < least:
            stop += 1
        rows = block.values[starts[first] - first_row : starts[stop] - first_row]
        for k in range(len(candidates)):
            scores = np.dot(rows, candidates[k])
            for i in range(first, stop):
                reference = scores[best[i] - starts[first]]
                for row in range(starts[i], starts[i + 1]):
                    margins[k, row] = scores[row - starts[first]] - reference
        first = stop


@njit(cache=True)
def _hinges(margins: FloatArray, terms: HingeTerms) -> FloatArray:
    """Largest margin plus loss of each image, shape (n_images,)."""
    starts = terms.starts
    result = np.empty(len(starts) - 1)
    for i in range(len(starts) - 1):
        highest = -np.inf
        for row in range(starts[i], starts[i + 1]):
            highest = max(highest, margins[row] + terms.losses[row])
        result[i] = highest
    return result


@njit(cache=True)
def _best_multiple(margins: FloatArray, terms: HingeTerms, squared: float) -> float:
    starts = terms.starts
    low, high = 0.0, 4.0
    for _ in range(12):
        factor = 0.5 * (low + high)
        slope = factor * squared
        for i in range(len(starts) - 1):
            highest, margin = -np.inf, 0.0
            for row in range(starts[i], starts[i + 1]):
                value = factor * margins[row] + terms.losses[row]
                if value > highest:
                    highest, margin = value, margins[row]
            slope += terms.C * margin
        if slope > 0:
            high = factor
        else:
            low = factor
    return 0.5 * (low + high)
