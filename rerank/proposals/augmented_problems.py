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
from rerank.crf.label_rows import Lanes
from rerank.crf.trws import Stop, iterate, one_pass
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


class Solved(NamedTuple):
    """The arrays of a series of problems.

    Attributes
    ----------
    leaders : (M, n) int64
        What each next problem is pushed away from; none for the labelings found.
    labelings : (M, n) int64
    gaps : (M,) float64
    """

    leaders: IntArray
    labelings: IntArray
    gaps: FloatArray


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
    problem, lanes = energy.rows()
    solved = Solved(leaders, labelings, gaps)
    _solve(problem, penalty, schedule, rounding_error(energy), solved, lanes)
    return labelings, gaps


@njit(cache=True)
def _solve(
    problem: EnergyArrays,
    penalty: FloatArray,
    schedule: Schedule,
    rounding: float,
    solved: Solved,
    lanes: Lanes,
) -> None:
    # Adds the penalties to the unary costs of `problem`. A gap up to `rounding` is zero.
    leaders, labelings, gaps = solved
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
            used = iterate(
                problem, messages, labeling, bounds, Stop(1e-3, rounding), 1.0, lanes
            )
            bound = bounds[:used].max()
        else:
            # Each pass goes against the one before, also from one labeling to the next.
            one_pass(problem, messages, labeling, forward, schedule.relaxation, lanes)
            forward = not forward
            for step in range(1, schedule.passes):
                last = step == schedule.passes - 1
                relaxation = 1.0 if last else schedule.relaxation
                bound = one_pass(problem, messages, candidate, forward, relaxation, lanes)
                forward = not forward
                fuse(problem, labeling, candidate)
            polish(problem, labeling, lanes)
        gap = labeling_cost(problem, labeling) - bound
        gaps[k] = gap if gap > rounding else 0.0
        labelings[k] = labeling
        leader = leaders[k] if len(leaders) else labeling
        for i in range(n):
            theta[i, leader[i]] += penalty[i, leader[i]]
