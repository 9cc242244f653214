"""Lower bounds for the methods that find a labeling without one."""

from __future__ import annotations

from rerank.crf.potts_energy import PottsEnergy
from rerank.crf.trws import trws
from rerank.errors import InputError


def trivial_bound(energy: PottsEnergy) -> float:
    """Sum of the smallest cost of each node and of each edge."""
    bound = float(energy.lowest.sum())
    if energy.compatibility is not None and len(energy.edges):
        bound += float((energy.compatibility.min(axis=(-2, -1)) * energy.weights).sum())
    return bound


def bound_of(energy: PottsEnergy, iterations: int) -> float:
    """The trivial bound, or the better one that some TRW-S iterations reach.

    Parameters
    ----------
    energy : PottsEnergy
    iterations : int
        At least 0.

    Returns
    -------
    float

    Raises
    ------
    InputError
        If `iterations` is negative.
    """
    if iterations < 0:
        raise InputError(f"bound_iterations must be at least 0, got {iterations}")
    bound = trivial_bound(energy)
    if iterations:
        bound = max(bound, trws(energy, max_iterations=iterations, tolerance=0.0).lower_bound)
    return bound
