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


class AugmentedProblems:
    """The augmented problems of an energy; the first labeling is found once for all diversities.

    Parameters
    ----------
    energy : PottsEnergy
    schedule : Schedule
    """

    def __init__(self, energy: PottsEnergy, schedule: Schedule) -> None:
        self._problem, self._lanes = energy.rows()
        self._schedule, self._rounding = schedule, rounding_error(energy)
        self._messages = np.zeros((len(energy.edges), self._problem.theta.shape[1]))
        self._first = energy.unary.argmin(axis=1)
        bounds = np.empty(schedule.map_iterations)
        stop = Stop(1e-3, self._rounding)
        used = iterate(self._problem, self._messages, self._first, bounds, stop, 1.0, self._lanes)
        gap = labeling_cost(self._problem, self._first) - bounds[:used].max()
        self._gap = gap if gap > self._rounding else 0.0

    def solve(
        self, n_proposals: int, penalty: FloatArray, leaders: IntArray | None = None
    ) -> tuple[IntArray, FloatArray]:
        """Solve one after another, each from the messages of the last.

        Parameters
        ----------
        n_proposals : int
            M.
        penalty : (n, L) float64
            Cost of giving a node a label that it had before.
        leaders : (M, n) int64, optional
            What each next problem is pushed away from; the labelings found by default.

        Returns
        -------
        labelings : (M, n) int64
        gaps : (M,) float64
            Augmented energy less its lower bound.
        """
        labelings = np.empty((n_proposals, len(self._first)), dtype=np.int64)
        labelings[0] = self._first
        gaps = np.full(n_proposals, self._gap)
        problem = self._problem._replace(theta=self._problem.theta.copy())
        _solve_later(
            problem,
            self._messages.copy(),
            penalty,
            self._schedule,
            self._rounding,
            labelings[:0] if leaders is None else leaders,
            _Found(labelings, gaps),
            self._lanes,
        )
        return labelings, gaps


def solve_augmented(
    energy: PottsEnergy,
    n_proposals: int,
    penalty: FloatArray,
    schedule: Schedule,
    leaders: IntArray | None = None,
) -> tuple[IntArray, FloatArray]:
    """Solve the augmented problems of an energy once.

    Parameters
    ----------
    energy : PottsEnergy
    n_proposals : int
    penalty : (n, L) float64
    schedule : Schedule
    leaders : (M, n) int64, optional
        All as `AugmentedProblems` and its `solve` take them.

    Returns
    -------
    labelings : (M, n) int64
    gaps : (M,) float64
    """
    return AugmentedProblems(energy, schedule).solve(n_proposals, penalty, leaders)


class _Found(NamedTuple):
    """Labelings (M, n) and gaps (M,), the first of which are given."""

    labelings: IntArray
    gaps: FloatArray


@njit(cache=True)
def _solve_later(
    problem: EnergyArrays,
    messages: FloatArray,
    penalty: FloatArray,
    schedule: Schedule,
    rounding: float,
    leaders: IntArray,
    found: _Found,
    lanes: Lanes,
) -> None:
    # Adds the penalties to the unary costs of `problem`. A gap up to `rounding` is zero.
    labelings, gaps = found
    theta = problem.theta
    n = len(theta)
    labeling = labelings[0].copy()
    candidate = np.empty(n, dtype=np.int64)
    bound = 0.0
    forward = True
    for k in range(1, len(labelings)):
        leader = leaders[k - 1] if len(leaders) else labeling
        for i in range(n):
            theta[i, leader[i]] += penalty[i, leader[i]]
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
