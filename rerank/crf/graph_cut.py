"""Exact minimisation over two labels by one minimum cut (Greig, Porteous and Seheult 1989)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from rerank.crf.adjacency import Adjacency
from rerank.crf.energy_arrays import PairwiseCosts, pair_cost
from rerank.crf.inference_result import InferenceResult, certify
from rerank.crf.maxflow import FlowNetwork, minimum_cut
from rerank.crf.potts_energy import PottsEnergy, check_labeling
from rerank.errors import InputError
from rerank.types import Array, BoolArray, FloatArray, IntArray


class GraphCutSolver:
    """Solves two-label problems that differ in their unaries only, each from the flow of the last.

    The residual capacities of the last cut stay a valid flow when terminal capacities change
    (Kohli and Torr 2005), so that a small change of the unaries costs a few augmentations.

    Parameters
    ----------
    energy : PottsEnergy
        Two labels, and on every edge of positive weight a table C with
        ``C[0, 0] + C[1, 1] <= C[0, 1] + C[1, 0]`` (true of Potts).

    Raises
    ------
    InputError
        If there are not two labels, or a table is not submodular.
    """

    def __init__(self, energy: PottsEnergy) -> None:
        if energy.n_labels != 2:
            raise InputError(f"graph_cut needs 2 labels, got {energy.n_labels}")
        if not is_submodular(energy):
            raise InputError(
                "graph_cut needs C[0, 0] + C[1, 1] <= C[0, 1] + C[1, 0] in every compatibility "
                "table; use method 'trws' or 'icm'"
            )
        self._energy = energy
        graph = energy.adjacency
        self._pairwise_capacity = np.empty(len(graph.head))
        self._pairwise_excess = np.zeros(energy.n_nodes)
        _pair_terms(graph, energy.pairwise, self._pairwise_capacity, self._pairwise_excess)
        self._network = FlowNetwork.on(
            graph, self._pairwise_capacity.copy(), np.empty(energy.n_nodes)
        )
        self._in_sink = np.empty(energy.n_nodes, dtype=np.bool_)

    def solve(self, unary: Array | None = None) -> InferenceResult:
        """Minimise under `unary` (n, 2), or under the energy's own.

        Returns
        -------
        InferenceResult
            Always optimal. Among equally good labelings it is the one with the most zeros, up to
            rounding.

        Raises
        ------
        InputError
            If `unary` has another shape than the energy's, or is not finite.
        """
        energy = self._energy if unary is None else self._energy.with_unary(unary)
        labeling = self.cut(energy.unary[:, 1] - energy.unary[:, 0])
        return certify(energy, labeling, -np.inf, "graph_cut", 1, exact=True)

    def cut(self, difference: FloatArray) -> IntArray:
        """Labels (n,) under unaries whose column 1 exceeds column 0 by `difference` (n,)."""
        _cut_again(
            self._network,
            self._pairwise_capacity,
            self._pairwise_excess,
            difference,
            self._in_sink,
            augmentation_budget(self._energy),
        )
        return self._in_sink.astype(np.int64)


def graph_cut(energy: PottsEnergy, init: Any | None = None) -> InferenceResult:
    """Minimise a two-label submodular energy exactly.

    Parameters
    ----------
    energy : PottsEnergy
        As `GraphCutSolver` needs it; one label is allowed too.
    init : (n,) int, optional
        Returned if it is as good as the cut.

    Returns
    -------
    InferenceResult
        Always optimal.

    Raises
    ------
    InputError
        If there are more than two labels, a table is not submodular, or `init` is not a labeling
        of this energy.
    """
    if energy.n_labels == 1:
        result = certify(
            energy, np.zeros(energy.n_nodes, dtype=np.int64), -np.inf, "graph_cut", 0, exact=True
        )
    else:
        result = GraphCutSolver(energy).solve()
    if init is not None:
        given = check_labeling(init, energy.n_nodes, energy.n_labels, name="init")
        if energy.evaluate(given) <= result.energy:
            return certify(energy, given, -np.inf, "graph_cut", 1, exact=True)
    return result


def is_submodular(energy: PottsEnergy) -> bool:
    """Whether every edge of positive weight of a two-label energy has a submodular table."""
    if energy.compatibility is None:
        return True
    table = energy.compatibility
    different = table[..., 0, 1] + table[..., 1, 0]
    equal = table[..., 0, 0] + table[..., 1, 1]
    # A table of distances computed in floating point may miss by its rounding.
    enough = equal <= different + 1e-12 * abs(different)
    return bool((enough | (energy.weights == 0)).all())


def augmentation_budget(energy: PottsEnergy) -> int:
    """Augmentations that a cut of this graph may take before the guaranteed method takes over.

    Cuts of superpixel graphs take about one augmentation a node.
    """
    return 1000 + 50 * (energy.n_nodes + len(energy.edges))


@njit(cache=True)
def _pair_terms(
    graph: Adjacency, pairwise: PairwiseCosts, capacity: FloatArray, excess: FloatArray
) -> None:
    # A + (C - A - q) x_i + (D - C + q) x_j + (K - q) (1 - x_i) x_j + q x_i (1 - x_j), with
    # K = B + C - A - D split evenly, is the table [[A, B], [C, D]].
    start, _, head, edge, sister, first = graph
    weights, tables = pairwise
    if tables.shape[0] == 0:
        for arc in range(len(edge)):
            capacity[arc] = weights[edge[arc]]
        return
    for i in range(len(excess)):
        for arc in range(start[i], start[i + 1]):
            if not first[arc]:
                continue
            e = edge[arc]
            a = pair_cost(pairwise, e, 0, 0)
            b = pair_cost(pairwise, e, 0, 1)
            c = pair_cost(pairwise, e, 1, 0)
            d = pair_cost(pairwise, e, 1, 1)
            half = max(0.0, 0.5 * (b + c - a - d))
            capacity[arc] = half
            capacity[sister[arc]] = half
            excess[i] += c - a - half
            excess[head[arc]] += d - c + half


@njit(cache=True)
def _cut_again(
    network: FlowNetwork,
    pairwise_capacity: FloatArray,
    pairwise_excess: FloatArray,
    difference: FloatArray,
    in_sink: BoolArray,
    budget: int,
) -> int:
    # The flow is read off the residuals and all else is computed afresh, so that rounding does
    # not add up over many cuts.
    start, head, sister, residual, excess = network
    capacity = pairwise_capacity
    for i in range(len(excess)):
        excess[i] = difference[i] + pairwise_excess[i]
    for i in range(len(excess)):
        for arc in range(start[i], start[i + 1]):
            j = head[arc]
            if i < j:
                back = sister[arc]
                flow = 0.5 * (capacity[arc] - residual[arc] + residual[back] - capacity[back])
                flow = min(max(flow, -capacity[back]), capacity[arc])
                residual[arc] = capacity[arc] - flow
                residual[back] = capacity[back] + flow
                excess[i] -= flow
                excess[j] += flow
    return minimum_cut(network, in_sink, budget)
