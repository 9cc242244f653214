"""Block-coordinate ascent on the dual of the structured hinge."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from rerank.ranking.image_rows import RowBlock
from rerank.ranking.solvers.hinge_problem import HingeTerms
from rerank.ranking.solvers.working_set import Constraints, append, inner
from rerank.types import FloatArray, IntArray


class Iterate(NamedTuple):
    """The weights on their way.

    Attributes
    ----------
    weights : ndarray of shape (D,)
        Those of the dual variables.
    average : ndarray of shape (D,) or (0,)
        Their weighted average over the visits; of shape (0,) it is not kept.
    n_visits : int
        Images visited before.
    """

    weights: FloatArray
    average: FloatArray
    n_visits: int


class Judged(NamedTuple):
    """Fixed weights whose margins are computed on the way, while an image's rows are loaded.

    Attributes
    ----------
    candidates : ndarray of shape (k, D)
    margins : ndarray of shape (k, N)
        Takes, for each of them, the score of each row less that of its image's best row.
    """

    candidates: FloatArray
    margins: FloatArray


class _Scratch(NamedTuple):
    """Memory for one image's dual: its gradient, its variables, and those before the step."""

    gradient: FloatArray
    value: FloatArray
    before: FloatArray


@njit(cache=True)
def visit_images(
    order: IntArray,
    block: RowBlock,
    terms: HingeTerms,
    constraints: Constraints,
    size: int,
    iterate: Iterate,
    judged: Judged,
    n_new: int,
) -> int:
    """Find each image's most violated constraints, and solve the image's dual, in turn.

    Lacoste-Julien et al. 2013 (block-coordinate Frank-Wolfe), with the exact solution over all
    constraints known of the image in place of one Frank-Wolfe step, and their weighted average.

    Parameters
    ----------
    order : ndarray of int64
        Images to visit; their rows lie in `block`.
    block : RowBlock
    terms : HingeTerms
    constraints : Constraints
        Updated in place; there must be room for `n_new` more an image.
    size : int
        Constraints in use.
    iterate : Iterate
        Its arrays are updated in place.
    judged : Judged
    n_new : int
        Most constraints that enter for an image at a visit, 1 or 2.

    Returns
    -------
    int
        Constraints in use after the visits.
    """
    starts, first_row, values = terms.starts, block.first_row, block.values
    weights, average, visits = iterate.weights, iterate.average, iterate.n_visits
    candidates, margins = judged.candidates, judged.margins
    width = constraints.slots.shape[1]
    scratch = _Scratch(np.empty(width + 1), np.empty(width + 1), np.empty(width + 1))
    scores = np.empty(np.diff(starts).max())
    for i in order:
        begin, end = starts[i] - first_row, starts[i + 1] - first_row
        chosen = terms.best[i] - first_row
        for k in range(candidates.shape[0]):
            for m in range(end - begin):
                scores[m] = inner(values[begin + m], candidates[k])
            for m in range(end - begin):
                margins[k, starts[i] + m] = scores[m] - scores[chosen - begin]
        if end - begin > 1:
            for m in range(end - begin):
                scores[m] = inner(values[begin + m], weights)
            one = two = -1
            highest = second = scores[chosen - begin]
            for m in range(end - begin):
                augmented = scores[m] + terms.losses[first_row + begin + m]
                if augmented > highest:
                    two, second = one, highest
                    one, highest = m, augmented
                elif augmented > second:
                    two, second = m, augmented
            for m in (one, two if n_new == 2 else -1):
                row = first_row + begin + m
                if m >= 0 and not constraints.known[row]:
                    append(i, row, block, terms, constraints, size)
                    size += 1
            _solve_image(i, constraints, weights, terms.C, scratch)
        share = 2.0 / (visits + 2.0)
        visits += 1
        for column in range(average.shape[0]):
            average[column] += share * (weights[column] - average[column])
    return size


@njit(cache=True)
def sweep(
    order: IntArray, constraints: Constraints, weights: FloatArray, C: float, gaps: FloatArray
) -> None:
    """Solve the dual of each image in turn, over the constraints known, the others fixed.

    Parameters
    ----------
    order : ndarray of int64
        Images to solve.
    constraints : Constraints
        Their variables are changed in place.
    weights : ndarray of shape (D,)
        Those of the variables; changed in place.
    C : float
    gaps : ndarray of shape (n_images,)
        Takes the duality gap of each image in `order` before its turn. Their sum over all images
        is about the gap over the working set.
    """
    width = constraints.slots.shape[1]
    scratch = _Scratch(np.empty(width + 1), np.empty(width + 1), np.empty(width + 1))
    for i in order:
        gaps[i] = 0.0
        if constraints.counts[i] > 0:
            gaps[i] = _solve_image(i, constraints, weights, C, scratch)


@njit(cache=True)
def _solve_image(
    i: int, constraints: Constraints, weights: FloatArray, C: float, scratch: _Scratch
) -> float:
    """Move the most violating pair of variables to its optimum, until little violation is left.

    The slack variable, which takes what is left of C, is one of them: the last. Returns the
    image's duality gap before the first move.
    """
    differences, alphas = constraints.differences, constraints.alphas
    slots, gram = constraints.slots, constraints.gram
    gradient, value, before = scratch.gradient, scratch.value, scratch.before
    count = constraints.counts[i]
    used = 0.0
    for j in range(count):
        a = slots[i, j]
        gradient[j] = constraints.losses[a] - inner(differences[a], weights)
        value[j] = alphas[a]
        before[j] = value[j]
        used += value[j]
    gradient[count] = 0.0
    value[count] = max(C - used, 0.0)
    enough = gap = 0.0
    for step in range(20 * (count + 1)):
        up, down = count, -1
        for j in range(count + 1):
            if gradient[j] > gradient[up]:
                up = j
            if value[j] > 0.0 and (down < 0 or gradient[j] < gradient[down]):
                down = j
        violation = gradient[up] - gradient[down]
        if step == 0:
            enough = 0.1 * violation
            for j in range(count + 1):
                gap += value[j] * (gradient[up] - gradient[j])
        if violation <= enough or up == down:
            break
        curvature = 0.0
        if up < count:
            curvature += gram[i, up, up]
        if down < count:
            curvature += gram[i, down, down]
        if up < count and down < count:
            curvature -= 2.0 * gram[i, up, down]
        move = value[down]
        if violation < move * curvature:
            move = violation / curvature
            value[down] -= move
        else:
            value[down] = 0.0
        value[up] += move
        for j in range(count):
            if up < count:
                gradient[j] -= move * gram[i, up, j]
            if down < count:
                gradient[j] += move * gram[i, down, j]
    for j in range(count):
        change = value[j] - before[j]
        if change != 0.0:
            a = slots[i, j]
            alphas[a] = value[j]
            for column in range(weights.shape[0]):
                weights[column] += change * differences[a, column]
    return gap
