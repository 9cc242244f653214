"""Projected Newton step of the structured hinge's dual, over the variables that are not 0."""

from __future__ import annotations

import numpy as np
from numba import njit
from scipy.linalg import blas, lapack

from rerank.ranking.solvers.working_set import WorkingSet
from rerank.types import FloatArray, IntArray

#: Added to the matrix's diagonal, as a share of its mean.
RIDGE = 1e-10
#: Step lengths that are tried, in turn.
LENGTHS = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003)


def projected_newton_step(working: WorkingSet, weights: FloatArray, C: float) -> float:
    """Move the free dual variables, those that are not 0, to their optimum, or towards it.

    Block-coordinate ascent soon finds which variables are 0 but is slow to settle the others. With
    each image's slack variable, or else its largest one, eliminated, their optimum is the solution
    of ``Z Z' step = r`` with Z the differences from the eliminated constraint. The step is
    projected back onto each image's simplex (Bertsekas 1982, projected Newton) and shortened until
    the dual rises.

    Parameters
    ----------
    working : WorkingSet
        Its variables are changed in place.
    weights : ndarray of shape (D,)
        Those of the variables; changed in place.
    C : float

    Returns
    -------
    float
        Rise of the dual; 0 where there is nothing to move, more variables than columns (the
        matrix is singular then), or no rise.
    """
    alphas = working.alphas[: working.size]
    free, reference = _unknowns(working.slots, working.counts, alphas, C)
    if not 0 < len(free) <= len(weights):
        return 0.0
    gradient = working.losses[: working.size] - working.differences[: working.size] @ weights
    rows, right = working.differences[free], gradient[free]
    tied = reference >= 0
    rows[tied] -= working.differences[reference[tied]]
    right[tied] -= gradient[reference[tied]]
    matrix = blas.dsyrk(1.0, rows.T, trans=1, lower=1)
    matrix[np.diag_indices_from(matrix)] += RIDGE * np.trace(matrix) / len(free)
    triangle, info = lapack.dpotrf(matrix, lower=1, overwrite_a=1)
    if info != 0:
        return 0.0
    step, _ = lapack.dpotrs(triangle, right, lower=1)
    for length in LENGTHS:
        moved = _project(working.slots, working.counts, alphas, free, reference, length * step, C)
        changed = np.flatnonzero(moved != alphas)
        change = moved[changed] - alphas[changed]
        shift = change @ working.differences[changed]
        rise = float(change @ gradient[changed] - 0.5 * shift @ shift)
        if rise > 0:
            alphas[:] = moved
            weights += shift
            return rise
    return 0.0


@njit(cache=True)
def _unknowns(
    slots: IntArray, counts: IntArray, alphas: FloatArray, C: float
) -> tuple[IntArray, IntArray]:
    """Constraints that move, and for each the one that is eliminated (-1: the slack)."""
    free, reference = np.empty(len(alphas), np.int64), np.empty(len(alphas), np.int64)
    found = 0
    for i in range(len(counts)):
        left, largest = C, -1
        for j in range(counts[i]):
            a = slots[i, j]
            left -= alphas[a]
            if alphas[a] > 0 and (largest < 0 or alphas[a] > alphas[largest]):
                largest = a
        if left > 1e-12 * C:
            largest = -1
        for j in range(counts[i]):
            a = slots[i, j]
            if alphas[a] > 0 and a != largest:
                free[found], reference[found] = a, largest
                found += 1
    return free[:found], reference[:found]


@njit(cache=True)
def _project(
    slots: IntArray,
    counts: IntArray,
    alphas: FloatArray,
    free: IntArray,
    reference: IntArray,
    step: FloatArray,
    C: float,
) -> FloatArray:
    """Variables after the step, each image's projected onto its simplex."""
    moved = alphas.copy()
    shift = np.zeros(len(alphas))
    for k in range(len(free)):
        shift[free[k]] += step[k]
        if reference[k] >= 0:
            shift[reference[k]] -= step[k]
    values = np.empty(slots.shape[1] + 1)
    members = np.empty(slots.shape[1] + 1, np.int64)
    for i in range(len(counts)):
        count, left, change = 0, C, 0.0
        for j in range(counts[i]):
            a = slots[i, j]
            if alphas[a] > 0:
                values[count] = alphas[a] + shift[a]
                members[count] = a
                left -= alphas[a]
                change += shift[a]
                count += 1
        if count == 0:
            continue
        n_members = count
        if left > 1e-12 * C:
            values[count] = left - change
            count += 1
        falling = -np.sort(-values[:count])
        total, excess = 0.0, 0.0
        for j in range(count):
            total += falling[j]
            if falling[j] - (total - C) / (j + 1) <= 0:
                break
            excess = (total - C) / (j + 1)
        for j in range(n_members):
            moved[members[j]] = max(values[j] - excess, 0.0)
    return moved
