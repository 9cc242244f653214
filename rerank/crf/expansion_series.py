"""Alpha-expansion of one energy under several sets of weights, in one compiled loop."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from rerank.crf.energy_arrays import EnergyArrays, PairwiseCosts
from rerank.crf.expansion import Limits, check_expandable, expand
from rerank.crf.graph_cut import augmentation_budget, graph_cut
from rerank.crf.label_rows import Lanes
from rerank.crf.potts_energy import PottsEnergy, check_labeling
from rerank.types import Array, FloatArray, IntArray


def expand_each(energy: PottsEnergy, weights: Array, init: Any | None = None) -> IntArray:
    """The labelings of `alpha_expansion` under each of several sets of weights.

    Parameters
    ----------
    energy : PottsEnergy
        As `alpha_expansion` takes it.
    weights : (K, m) float
        At least 0, in place of the energy's own.
    init : (n,) int, optional
        Where each descent starts; each node's cheapest label by default.

    Returns
    -------
    (K, n) int64

    Raises
    ------
    InputError
        As in `alpha_expansion`, or if the weights are none.
    """
    each = [energy.with_weights(row) for row in np.atleast_2d(weights)]
    if not each:
        return np.empty((0, energy.n_nodes), dtype=np.int64)
    if energy.n_labels <= 2:
        return np.array([graph_cut(other, init).labeling for other in each])
    for other in each[:1] if energy.compatibility is None else each:
        check_expandable(other)
    start = energy.unary.argmin(axis=1) if init is None else init
    labeling = check_labeling(start, energy.n_nodes, energy.n_labels, name="init")
    problem, lanes = energy.rows()
    limits = Limits(energy.n_labels, 100, augmentation_budget(energy))
    labelings = np.tile(labeling, (len(each), 1))
    _expand_each(problem, np.array([other.weights for other in each]), labelings, limits, lanes)
    return labelings


@njit(cache=True)
def _expand_each(
    problem: EnergyArrays, weights: FloatArray, labelings: IntArray, limits: Limits, lanes: Lanes
) -> None:
    theta, graph, pairwise = problem
    for k in range(len(weights)):
        other = EnergyArrays(theta, graph, PairwiseCosts(weights[k], pairwise.tables))
        expand(other, labelings[k], limits, lanes)
