"""The augmented problems of DivMBest, solved one after another by TRW-S."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from rerank.crf import PottsEnergy
from rerank.crf.descent import polish
from rerank.crf.energy_arrays import EnergyArrays, labeling_cost
from rerank.crf.fusion_move import fuse
from rerank.crf.inference_result import rounding_error
from rerank.crf.trws import iterate, one_pass
from rerank.types import FloatArray, IntArray


class Schedule(NamedTuple):
    """How long TRW-S runs on each problem.

    Attributes
    ----------
    map_iterations : int
        Iterations for the first labeling, at least 1.
    passes : int
        Passes in one direction for each later labeling, at least 2.
    relaxation : float
        Of all passes for a later labeling but the last, which gives the bound; see `trws`.
    """

    map_iterations: int
    passes: int
    relaxation: float


def solve_augmented(
    energy: PottsEnergy,
    n_proposals: int,
    penalty: FloatArray,
    schedule: Schedule,
    leaders: IntArray | None = None,
) -> tuple[IntArray, FloatArray]:
    """Solve the augmented problems one after another, each from the messages of the last.

    Parameters
    ----------
    energy : PottsEnergy
    n_proposals : int
        M.
    penalty : (n, L) float64
        Cost of giving a node a label that it had before.
    schedule : Schedule
    leaders : (M, n) int64, optional
        What each next problem is pushed away from; the labelings found by default.

    Returns
    -------
    labelings : (M, n) int64
    gaps : (M,) float64
        Augmented energy less its lower bound.
    """
    labelings = np.empty((n_proposals, energy.n_nodes), dtype=np.int64)
    gaps = np.empty(n_proposals)
    if leaders is None:
        leaders = labelings[:0]
    problem = energy.arrays(_starting_costs(energy))
    _solve(problem, penalty, schedule, rounding_error(energy), leaders, labelings, gaps)
    return labelings, gaps


def _starting_costs(energy: PottsEnergy) -> FloatArray:
    """Unary costs (n, L) less the least of each node.

    With Potts costs there may be a further label or two, which no node can afford: a pass handles
    four labels at a time, and the last two or three of them one by one.
    """
    n, n_labels = energy.unary.shape
    further = -n_labels % 4
    if energy.compatibility is not None or further > 2:
        further = 0
    theta = np.full((n, n_labels + further), 1e100)
    np.subtract(energy.unary, energy.lowest[:, None], out=theta[:, :n_labels])
    return theta


@njit(cache=True)
def _solve(
    problem: EnergyArrays,
    penalty: FloatArray,
    schedule: Schedule,
    rounding: float,
    leaders: IntArray,
    labelings: IntArray,
    gaps: FloatArray,
) -> None:
    # Adds the penalties to the unary costs of `problem`. A gap up to `rounding` is zero.
    theta = problem.theta
    n, n_labels = theta.shape
    messages = np.zeros((len(problem.pairwise.weights), n_labels))
    labeling = np.empty(n, dtype=np.int64)
    for i in range(n):
        labeling[i] = theta[i].argmin()
    candidate = np.empty(n, dtype=np.int64)
    bounds = np.empty(schedule.map_iterations)
    forward = True
    for k in range(len(labelings)):
        if k == 0:
            used = iterate(problem, messages, labeling, bounds, 1e-3, rounding, 1.0)
            bound = bounds[:used].max()
        else:
            # Each pass goes against the one before, also from one labeling to the next.
            one_pass(problem, messages, labeling, forward, schedule.relaxation)
            forward = not forward
            for step in range(1, schedule.passes):
                last = step == schedule.passes - 1
                relaxation = 1.0 if last else schedule.relaxation
                bound = one_pass(problem, messages, candidate, forward, relaxation)
                forward = not forward
                fuse(problem, labeling, candidate)
            polish(problem, labeling)
        gap = labeling_cost(problem, labeling) - bound
        gaps[k] = gap if gap > rounding else 0.0
        labelings[k] = labeling
        leader = leaders[k] if len(leaders) else labeling
        for i in range(n):
            theta[i, leader[i]] += penalty[i, leader[i]]
