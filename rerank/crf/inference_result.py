"""What a MAP solver returns: a labeling and the proof of how good it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rerank.crf.energy_arrays import evaluate_rows
from rerank.crf.potts_energy import PottsEnergy
from rerank.types import FloatArray, IntArray

_EPSILON = 2.0**-52


@dataclass(frozen=True, eq=False)
class InferenceResult:
    """A labeling, its energy, and a lower bound on the energy of every labeling.

    Attributes
    ----------
    labeling : (n,) int64
    energy : float
        ``energy.evaluate(labeling)``.
    lower_bound : float
        No labeling has a lower energy (up to float64 rounding); at most `energy`.
    optimal : bool
        True only where the method is exact on this problem or the gap is zero to float64.
    method : str
    iterations : int
        Sweeps, or expansion cycles, that were run.
    messages : (m, L) float64 or None
        TRW-S messages, to start a related problem from.
    bounds : (iterations,) float64 or None
        Lower bound after each TRW-S iteration.
    """

    labeling: IntArray
    energy: float
    lower_bound: float
    optimal: bool
    method: str
    iterations: int
    messages: FloatArray | None = None
    bounds: FloatArray | None = None

    @property
    def gap(self) -> float:
        """``energy - lower_bound``, at least 0."""
        return self.energy - self.lower_bound


def certify(
    energy: PottsEnergy,
    labeling: IntArray,
    lower_bound: float,
    method: str,
    iterations: int,
    exact: bool = False,
    messages: FloatArray | None = None,
    bounds: FloatArray | None = None,
) -> InferenceResult:
    """Evaluate `labeling` and state how good it is.

    A gap within the rounding error of the sums that make up the energy is zero to float64; the
    labeling is then called optimal and the bound is its energy.

    Parameters
    ----------
    energy : PottsEnergy
    labeling : (n,) int64
    lower_bound : float
    method, iterations
        Attributes of the result.
    exact : bool
        Whether the method guarantees that the labeling is optimal.
    messages, bounds
        Attributes of the result.

    Returns
    -------
    InferenceResult
    """
    total = np.empty(1)
    # A solver's labeling needs no check.
    evaluate_rows(energy.unary, energy.edges, energy.pairwise, labeling[None], total)
    value = float(total[0])
    optimal = exact or value - lower_bound <= rounding_error(energy)
    return InferenceResult(
        labeling=labeling,
        energy=value,
        lower_bound=value if optimal else lower_bound,
        optimal=optimal,
        method=method,
        iterations=iterations,
        messages=messages,
        bounds=bounds,
    )


def rounding_error(energy: PottsEnergy) -> float:
    """How far apart two float64 sums of the terms of an energy may be when they are equal."""
    per_node = abs(energy.lowest).sum()
    reach = 1.0 if energy.compatibility is None else abs(energy.compatibility).max(initial=0.0)
    return float(8 * _EPSILON * (per_node + 2 * reach * energy.weights.sum()))
