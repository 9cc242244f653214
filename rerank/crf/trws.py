"""Sequential tree-reweighted message passing (Kolmogorov 2006), with a certified lower bound.

Nodes are visited in their numbering, forth and back. With ``D_i`` the unary plus all incoming
messages and ``g_i = 1 / max(earlier neighbours, later neighbours)``, a message is

    M_ij(b) = min_a [ g_i D_i(a) - M_ji(a) + theta_ij(a, b) ]

less its own minimum; for Potts the minimum over a costs O(L), since it is either ``a = b`` or the
cheapest a plus the weight. In a pass the minima that are subtracted from ``D_i`` and from the
messages add up to a lower bound on every energy, whatever the messages were at the start: so
those of a related problem can be kept. A minimum is subtracted from each ``D_i`` before its
messages are sent, so that the others are not lost in the rounding of a single huge cost. Each
pass reads a labeling off, and the better parts of all of them are kept (`fuse`).

It is our own because the peers are for research only (Kolmogorov's TRW-S) or no longer maintained
(OpenGM).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from rerank.crf.descent import descend, polish
from rerank.crf.energy_arrays import EnergyArrays, labeling_cost
from rerank.crf.fusion_move import fuse
from rerank.crf.inference_result import InferenceResult, certify, rounding_error
from rerank.crf.label_rows import Lanes
from rerank.crf.potts_energy import PottsEnergy, check_labeling
from rerank.crf.potts_passes import potts_pass
from rerank.crf.table_passes import table_pass
from rerank.errors import InputError
from rerank.types import FloatArray, IntArray
from rerank.validation import check_finite


def trws(
    energy: PottsEnergy,
    init: Any | None = None,
    *,
    max_iterations: int = 200,
    tolerance: float = 1e-3,
    init_messages: FloatArray | None = None,
    relaxation: float = 1.0,
) -> InferenceResult:
    """Raise a lower bound by TRW-S and read labelings off it, their best parts improved by ICM.

    Parameters
    ----------
    energy : PottsEnergy
        Any pairwise costs.
    init : (n,) int, optional
        A labeling to improve by ICM and return unless a better one is found.
    max_iterations : int
        Forward and backward passes, at least 1.
    tolerance : float
        Stop once ten iterations raise the bound by less than this share of the gap. Iteration
        stops in any case when the gap is zero to float64.
    init_messages : (m, L) float64, optional
        `InferenceResult.messages` of a problem on the same graph; zeros by default.
    relaxation : float
        How far forward passes move from TRW-S towards max-product belief propagation, at least 1;
        backward ones are plain and give the bounds. 1.25 finds good labelings in fewer
        iterations; more, or many iterations, may leave the bound below what plain passes reach.

    Returns
    -------
    InferenceResult
        With `messages`, and with the bound after each iteration in `bounds`, which never falls.

    Raises
    ------
    InputError
        If `init` is not a labeling of this energy, `init_messages` has another shape or is not
        finite, or a number is out of range.
    """
    if max_iterations < 1:
        raise InputError(f"max_iterations must be at least 1, got {max_iterations}")
    if not tolerance >= 0:
        raise InputError(f"tolerance must be at least 0, got {tolerance}")
    check_relaxation(relaxation)
    shape = (len(energy.edges), energy.n_labels)
    if init_messages is None:
        messages = np.zeros(shape)
    else:
        messages = np.array(init_messages, dtype=np.float64, order="C")
        if messages.shape != shape:
            raise InputError(f"init_messages must have shape {shape}, got {messages.shape}")
        check_finite(messages, "init_messages")
    if init is None:
        labeling = energy.unary.argmin(axis=1)
    else:
        labeling = check_labeling(init, energy.n_nodes, energy.n_labels, name="init")
    problem, lanes = energy.rows()
    wide = np.zeros((len(messages), problem.theta.shape[1]))
    wide[:, : energy.n_labels] = messages
    descend(problem, labeling, 1000, lanes)
    bounds = np.empty(max_iterations)
    stop = Stop(tolerance, rounding_error(energy))
    iterations = iterate(problem, wide, labeling, bounds, stop, relaxation, lanes)
    messages = np.ascontiguousarray(wide[:, : energy.n_labels])
    bounds = np.maximum.accumulate(bounds[:iterations] + energy.lowest.sum())
    return certify(
        energy, labeling, float(bounds[-1]), "trws", iterations, messages=messages, bounds=bounds
    )


def check_relaxation(relaxation: float) -> None:
    """Raise `InputError` unless `relaxation` is finite and at least 1."""
    if not (np.isfinite(relaxation) and relaxation >= 1):
        raise InputError(f"relaxation must be finite and at least 1, got {relaxation}")


class Stop(NamedTuple):
    """When TRW-S stops.

    Attributes
    ----------
    tolerance : float
        Once ten iterations gain less than this share of the gap.
    rounding : float
        At a gap of this much.
    """

    tolerance: float
    rounding: float


@njit(cache=True)
def iterate(
    problem: EnergyArrays,
    messages: FloatArray,
    labeling: IntArray,
    bounds: FloatArray,
    stop: Stop,
    relaxation: float,
    lanes: Lanes,
) -> int:
    """Run TRW-S, improving `labeling` and `messages` in place.

    Parameters
    ----------
    problem : EnergyArrays
        As `PottsEnergy.rows` returns it.
    messages : (m, W) float64, overwritten
    labeling : (n,) int64, overwritten where parts of another are better
    bounds : (max_iterations,) float64, written
    stop : Stop
    relaxation : float
        Of the forward passes.
    lanes : tuple
        As `PottsEnergy.rows` returns it.

    Returns
    -------
    int
        Number of iterations.
    """
    candidate = np.empty(len(labeling), dtype=np.int64)
    cost = np.inf
    for iteration in range(len(bounds)):
        changed = iteration == 0
        for forward in (True, False):
            relaxed = relaxation if forward else 1.0
            bound = one_pass(problem, messages, candidate, forward, relaxed, lanes)
            changed |= fuse(problem, labeling, candidate) > 0
        bounds[iteration] = bound
        if changed:
            cost = labeling_cost(problem, labeling)
        gap = cost - bound
        if gap <= stop.rounding:
            return iteration + 1
        if iteration >= 10 and bound - bounds[iteration - 10] < stop.tolerance * gap:
            break
    polish(problem, labeling, lanes)
    return iteration + 1


@njit(cache=True)
def one_pass(
    problem: EnergyArrays,
    messages: FloatArray,
    labeling: IntArray,
    forward: bool,
    relaxation: float,
    lanes: Lanes,
) -> float:
    """Call `potts_pass` or `table_pass`; parameters and return value are theirs."""
    if problem.pairwise.tables.shape[0] == 0:
        return potts_pass(problem, messages, labeling, forward, relaxation, lanes)
    return table_pass(problem, messages, labeling, forward, relaxation)
