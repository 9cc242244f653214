"""TRW-S on problems that differ from a solved one in their unary costs, from its messages.

No bound is asked for, so that all passes are relaxed (`trws`), and an iteration that changes no
label is the last. On energies of MSRC-21 under noise two such iterations end as low as three plain
ones.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from rerank.crf.descent import descend, polish
from rerank.crf.energy_arrays import EnergyArrays
from rerank.crf.fusion_move import fuse
from rerank.crf.inference_result import InferenceResult
from rerank.crf.label_rows import Lanes
from rerank.crf.potts_energy import PottsEnergy
from rerank.crf.trws import one_pass
from rerank.errors import InputError
from rerank.types import Array, FloatArray, IntArray
from rerank.validation import check_finite

RELAXATION = 1.25


class UnaryChange(NamedTuple):
    """Costs ``unary[i] - factors[i] * shifts[k, regions[i]]``, one (n, L) table for each k.

    Attributes
    ----------
    shifts : (K, R, L) float64
    regions : (n,) int64
        In 0..R-1.
    factors : (n,) float64
    """

    shifts: FloatArray
    regions: IntArray
    factors: FloatArray


class WarmStart:
    """Solves an energy under other unary costs, each time from the same solution.

    An answer depends on its own costs alone, not on what was solved before.

    Parameters
    ----------
    energy : PottsEnergy
    solution : InferenceResult
        Of `trws` on this energy.
    """

    def __init__(self, energy: PottsEnergy, solution: InferenceResult) -> None:
        if solution.messages is None:
            raise InputError(f"{solution.method} leaves no messages to start from; use trws")
        self._energy = energy
        problem, self._lanes = energy.rows()
        messages = np.zeros((len(energy.edges), problem.theta.shape[1]))
        messages[:, : energy.n_labels] = solution.messages
        self._start = _Start(problem, messages, solution.labeling)

    def solve(self, change: UnaryChange, iterations: int) -> IntArray:
        """Labelings of low energy.

        Parameters
        ----------
        change : UnaryChange
        iterations : int
            Of TRW-S.

        Returns
        -------
        (K, n) int64

        Raises
        ------
        InputError
            If a shift or factor is not finite, or a region or a shape is not as it should be.
        """
        n, n_labels = self._energy.unary.shape
        shifts, regions, factors = change
        if shifts.ndim != 3 or shifts.shape[2] != n_labels or not shifts.shape[1]:
            raise InputError(f"shifts must have shape (K, R, {n_labels}), got {shifts.shape}")
        for name, values in (("regions", regions), ("factors", factors)):
            if values.shape != (n,):
                raise InputError(f"{name} must have shape ({n},), got {values.shape}")
        if not 0 <= regions.min() <= regions.max() < shifts.shape[1]:
            raise InputError(f"regions must lie in 0..{shifts.shape[1] - 1}")
        check_finite(shifts, "shifts")
        check_finite(factors, "factors")
        rows = np.empty((len(shifts), n), dtype=np.int64)
        _solve_each(self._start, self._energy.unary, change, rows, iterations, self._lanes)
        return rows

    def solve_one(self, unary: Array, iterations: int) -> IntArray:
        """A labeling of low energy under costs of one's own.

        Parameters
        ----------
        unary : (n, L) float
        iterations : int

        Returns
        -------
        (n,) int64

        Raises
        ------
        InputError
            If the costs have another shape than the energy's, or are not finite.
        """
        costs = np.array(unary, dtype=np.float64, order="C")
        if costs.shape != self._energy.unary.shape:
            raise InputError(f"unary must have shape {self._energy.unary.shape}, got {costs.shape}")
        check_finite(costs, "unary")
        nothing = np.zeros((1, 1, costs.shape[1]))
        regions, factors = np.zeros(len(costs), dtype=np.int64), np.zeros(len(costs))
        rows = np.empty((1, len(costs)), dtype=np.int64)
        change = UnaryChange(nothing, regions, factors)
        _solve_each(self._start, costs, change, rows, iterations, self._lanes)
        found: IntArray = rows[0]
        return found


class _Start(NamedTuple):
    """What all problems share: the arrays and the solution."""

    problem: EnergyArrays
    messages: FloatArray
    labeling: IntArray


@njit(cache=True)
def _solve_each(
    start: _Start,
    unary: FloatArray,
    change: UnaryChange,
    rows: IntArray,
    iterations: int,
    lanes: Lanes,
) -> None:
    _, graph, pairwise = start.problem
    shifts, regions, factors = change
    n, n_labels = unary.shape
    theta = np.full(start.problem.theta.shape, np.inf)
    problem = EnergyArrays(theta, graph, pairwise)
    messages = np.empty_like(start.messages)
    candidate = np.empty(n, dtype=np.int64)
    for k in range(len(rows)):
        for i in range(n):
            region, factor = regions[i], factors[i]
            lowest = np.inf
            for label in range(n_labels):
                cost = unary[i, label] - factor * shifts[k, region, label]
                theta[i, label] = cost
                lowest = min(lowest, cost)
            for label in range(n_labels):
                theta[i, label] -= lowest
        messages[:] = start.messages
        labeling = rows[k]
        labeling[:] = start.labeling
        descend(problem, labeling, 1000, lanes)
        for _ in range(iterations):
            changed = 0
            for forward in (True, False):
                one_pass(problem, messages, candidate, forward, RELAXATION, lanes)
                changed += fuse(problem, labeling, candidate)
            if not changed:
                break
        polish(problem, labeling, lanes)
