"""Iterated conditional modes (Besag 1986): each node takes its best label given the others."""

from __future__ import annotations

from typing import Any

from rerank.crf.bounds import bound_of
from rerank.crf.descent import descend
from rerank.crf.inference_result import InferenceResult, certify
from rerank.crf.potts_energy import PottsEnergy, check_labeling
from rerank.errors import InputError


def icm(
    energy: PottsEnergy,
    init: Any | None = None,
    *,
    max_sweeps: int = 1000,
    bound_iterations: int = 0,
) -> InferenceResult:
    """Descend from a labeling by changing one node at a time.

    Parameters
    ----------
    energy : PottsEnergy
        Any pairwise costs.
    init : (n,) int, optional
        Where to start; each node's cheapest label by default.
    max_sweeps : int
        At most this many passes over the nodes.
    bound_iterations : int
        TRW-S iterations spent on the lower bound; with 0 it is the sum of the smallest unary and
        pairwise costs.

    Returns
    -------
    InferenceResult
        A labeling that no change of a single node improves, unless `max_sweeps` ran out. Its
        energy is at most that of `init`.

    Raises
    ------
    InputError
        If `init` is not a labeling of this energy, or a count is out of range.
    """
    if max_sweeps < 1:
        raise InputError(f"max_sweeps must be at least 1, got {max_sweeps}")
    if init is None:
        labeling = energy.unary.argmin(axis=1)
    else:
        labeling = check_labeling(init, energy.n_nodes, energy.n_labels, name="init")
    problem, lanes = energy.rows()
    sweeps = descend(problem, labeling, max_sweeps, lanes)
    return certify(energy, labeling, bound_of(energy, bound_iterations), "icm", sweeps)
