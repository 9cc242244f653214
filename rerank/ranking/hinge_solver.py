"""Exact solution of the margin-rescaled structured hinge, with a duality gap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Optional

import numpy as np

from rerank.ranking.hinge_blocks import WorkingSet, sweep
from rerank.ranking.rows import ImageRows, row_blocks
from rerank.types import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class HingeProblem:
    """``min_w 1/2 |w|^2 + C sum_i max_m [loss_im - w.(x_i* - x_im) * inverse]``.

    Attributes
    ----------
    rows : ndarray of shape (N, D), or a matrix on disk
        The rows of an image are neighbours.
    images : ImageRows
        Of `rows`.
    losses : ndarray of shape (N,), float64
        0 for the best proposal of each image, and nowhere below.
    best : ndarray of shape (n_images,), int64
        Row of each image's best proposal.
    inverse : ndarray of shape (D,)
        Factor of each column.
    C : float
    """

    rows: Any
    images: ImageRows
    losses: FloatArray
    best: IntArray
    inverse: FloatArray
    C: float


@dataclass(frozen=True)
class HingeSolution:
    """Weights with their certificate.

    Attributes
    ----------
    weights : ndarray of shape (D,)
        Of the scaled columns.
    primal, dual : float
        Objective of `weights`, and the highest lower bound found.
    n_passes : int
        How often all rows were read.
    converged : bool
        Whether primal - dual is at most tol * primal.
    """

    weights: FloatArray
    primal: float
    dual: float
    n_passes: int
    converged: bool

    @property
    def gap(self) -> float:
        return self.primal - self.dual


@dataclass(frozen=True)
class _Pass:
    primal: float
    scores: FloatArray
    images: IntArray
    differences: FloatArray
    losses: FloatArray


def solve_hinge(
    problem: HingeProblem,
    tol: float,
    max_passes: int,
    generator: np.random.Generator,
    callback: Optional[Callable[[FloatArray], None]] = None,
) -> HingeSolution:
    """Solve by a cutting plane over images and proposals.

    Each pass over the rows finds every image's most violated constraint at the current weights,
    which gives the exact primal objective; the dual over the constraints found so far is then
    solved by block-coordinate ascent (Lacoste-Julien et al. 2013, with the exact solution of each
    image's block in place of one Frank-Wolfe step).

    Parameters
    ----------
    problem : HingeProblem
    tol : float
        Stop when primal - dual <= tol * primal.
    max_passes : int
        Stop after so many passes over the rows.
    generator : numpy.random.Generator
        Orders the blocks.
    callback : callable, optional
        Called with the best weights so far after each pass.

    Returns
    -------
    HingeSolution
    """
    n_images = problem.images.n_images
    working = WorkingSet(n_images, problem.rows.shape[1])
    in_set = np.zeros(problem.rows.shape[0], dtype=bool)
    weights = np.zeros(problem.rows.shape[1])
    best_weights, best_primal, dual = weights, np.inf, 0.0
    n_passes = 0
    while True:
        found = _read(problem, weights, in_set)
        n_passes += 1
        dual = max(dual, working.linear() - 0.5 * float(weights @ weights))
        if found.primal < best_primal:
            best_primal, best_weights = found.primal, weights
        if callback is not None:
            callback(best_weights)
        gap = best_primal - dual
        if gap <= tol * best_primal or n_passes >= max_passes:
            return HingeSolution(best_weights, best_primal, dual, n_passes,
                                 bool(gap <= tol * best_primal))
        if len(found.images):
            working.add(found.images, found.differences, found.losses)
        weights = weights.copy()
        target = 0.1 * (found.primal - dual)
        for _ in range(200):
            left = sweep(generator.permutation(n_images), working.differences, working.losses,
                         working.alphas, working.slots, working.counts, working.gram, weights,
                         problem.C, 0.0)
            if left <= target:
                break
        weights = working.weights()


def _read(problem: HingeProblem, weights: FloatArray, in_set: BoolArray) -> _Pass:
    """Score all rows; collect the most violated constraint of each image that is not known yet."""
    images = problem.images
    scaled = weights * problem.inverse
    scores = np.empty(problem.rows.shape[0])
    hinge = np.empty(images.n_images)
    new_images, differences, losses = [], [], []
    for first, block in row_blocks(problem.rows, images.starts):
        begin = int(images.starts[first])
        stop = int(np.searchsorted(images.starts, begin + len(block)))
        local = images.starts[first:stop] - begin
        part = block @ scaled
        scores[begin:begin + len(block)] = part
        augmented = part + problem.losses[begin:begin + len(block)]
        highest = np.maximum.reduceat(augmented, local)
        best = problem.best[first:stop] - begin
        hinge[first:stop] = highest - part[best]
        image = images.image_of_row()[begin:begin + len(block)] - first
        hits = np.flatnonzero(augmented == highest[image])
        _, pick = np.unique(image[hits], return_index=True)
        row = hits[pick]
        fresh = (hinge[first:stop] > 0) & ~in_set[begin + row] & (row != best)
        in_set[begin + row[fresh]] = True
        new_images.append(first + np.flatnonzero(fresh))
        differences.append((block[best[fresh]] - block[row[fresh]]) * problem.inverse)
        losses.append(problem.losses[begin + row[fresh]])
    primal = 0.5 * float(weights @ weights) + problem.C * float(hinge.sum())
    return _Pass(primal, scores, np.concatenate(new_images), np.concatenate(differences),
                 np.concatenate(losses))
