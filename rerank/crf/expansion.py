"""Alpha-expansion (Boykov, Veksler and Zabih 2001) over float64 minimum cuts."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from rerank.crf.bounds import bound_of
from rerank.crf.energy_arrays import EnergyArrays, PairwiseCosts, labeling_cost, pair_cost
from rerank.crf.graph_cut import augmentation_budget, graph_cut
from rerank.crf.inference_result import InferenceResult, certify
from rerank.crf.label_rows import Lanes, lower_of, row_at, row_of, sum_of, write_row
from rerank.crf.maxflow import FlowNetwork, minimum_cut
from rerank.crf.potts_energy import PottsEnergy, check_labeling
from rerank.errors import InputError
from rerank.types import BoolArray, IntArray


def alpha_expansion(
    energy: PottsEnergy,
    init: Any | None = None,
    *,
    max_cycles: int = 100,
    bound_iterations: int = 0,
) -> InferenceResult:
    """Descend by moves in which any set of nodes may switch to one label, each move optimal.

    For Potts the energy at convergence is at most twice the minimum (for non-negative unaries);
    with two labels it is the minimum, found by one cut.

    Parameters
    ----------
    energy : PottsEnergy
        Potts, or compatibility tables C that meet
        ``C[a, b] + C[c, c] <= C[a, c] + C[c, b]`` for all labels (a metric does).
    init : (n,) int, optional
        Where to start; each node's cheapest label by default.
    max_cycles : int
        At most this many rounds over all labels.
    bound_iterations : int
        TRW-S iterations spent on the lower bound; with 0 it is the sum of the smallest unary and
        pairwise costs. Two labels need none.

    Returns
    -------
    InferenceResult
        Its energy is at most that of `init`.

    Raises
    ------
    InputError
        If a table breaks the inequality, `init` is not a labeling of this energy, or a count is
        out of range.
    """
    if max_cycles < 1:
        raise InputError(f"max_cycles must be at least 1, got {max_cycles}")
    check_expandable(energy)
    if init is None:
        labeling = energy.unary.argmin(axis=1)
    else:
        labeling = check_labeling(init, energy.n_nodes, energy.n_labels, name="init")
    if energy.n_labels <= 2:
        exact = graph_cut(energy, init)
        return certify(energy, exact.labeling, -np.inf, "alpha_expansion", 1, exact=True)
    problem, lanes = energy.rows()
    limits = Limits(energy.n_labels, max_cycles, augmentation_budget(energy))
    cycles = expand(problem, labeling, limits, lanes)
    return certify(energy, labeling, bound_of(energy, bound_iterations), "alpha_expansion", cycles)


def check_expandable(energy: PottsEnergy) -> None:
    """Raise `InputError` where a table breaks the inequality that expansion moves need."""
    if energy.compatibility is None or not energy.weights.any():
        return
    found = _violation(energy.pairwise)
    if found[0] >= 0:
        a, b, c = found
        raise InputError(
            f"alpha_expansion needs C[a, b] + C[c, c] <= C[a, c] + C[c, b] in every "
            f"compatibility table, broken at a={a}, b={b}, c={c}; use method 'trws' or 'icm'"
        )


@njit(cache=True)
def _violation(pairwise: PairwiseCosts) -> tuple[int, int, int]:
    weights, tables = pairwise
    for t in range(len(tables)):
        if len(tables) > 1 and weights[t] == 0.0:
            continue
        table = tables[t]
        for c in range(len(table)):
            for a in range(len(table)):
                for b in range(len(table)):
                    right = table[a, c] + table[c, b]
                    # A table of distances computed in floating point may miss by its rounding.
                    if table[a, b] + table[c, c] > right + 1e-12 * abs(right):
                        return a, b, c
    return -1, -1, -1


class Limits(NamedTuple):
    """How far expansion moves go.

    Attributes
    ----------
    n_labels : int
        Labels that are tried.
    max_cycles : int
        Rounds over them.
    budget : int
        Augmentations of a cut, as `minimum_cut` takes it.
    """

    n_labels: int
    max_cycles: int
    budget: int


@njit(cache=True)
def expand(problem: EnergyArrays, labeling: IntArray, limits: Limits, lanes: Lanes) -> int:
    """Descend by expansion moves, in place.

    Parameters
    ----------
    problem : EnergyArrays
        As `PottsEnergy.rows` returns it.
    labeling : (n,) int64, overwritten
    limits : Limits
    lanes : tuple

    Returns
    -------
    int
        Number of rounds.
    """
    graph = problem.graph
    n, n_labels = len(labeling), limits.n_labels
    capacity, excess = np.empty(len(graph.head)), np.empty(n)
    network = FlowNetwork(graph.start, graph.head, graph.sister, capacity, excess)
    potts = problem.pairwise.tables.shape[0] == 0
    new_label = FlowNetwork(
        graph.start, graph.head, graph.sister, np.empty(len(capacity)), np.empty(n)
    )
    switches = np.empty(n, dtype=np.bool_)
    tempting = np.empty(problem.theta.shape[1], dtype=np.bool_)
    moved = labeling.copy()
    best = labeling_cost(problem, labeling)
    if potts:
        _new_label_terms(problem, labeling, new_label)
        _find_tempting(problem, labeling, new_label, tempting, lanes)
    unchanged = 0
    for cycle in range(limits.max_cycles):
        for alpha in range(n_labels):
            unchanged += 1
            if potts:
                gains = tempting[alpha] and _potts_move_terms(
                    problem, labeling, alpha, new_label, network
                )
            else:
                move_terms(problem, labeling, alpha, network)
                gains = True
            if gains:
                minimum_cut(network, switches, limits.budget)
                gains = False
                for i in range(n):
                    gains |= switches[i]
                    moved[i] = alpha if switches[i] else labeling[i]
            if gains:
                cost = labeling_cost(problem, moved)
                if cost < best:
                    best = cost
                    labeling[:] = moved
                    unchanged = 0
                    if potts:
                        _new_label_terms(problem, labeling, new_label)
                        _find_tempting(problem, labeling, new_label, tempting, lanes)
                    continue
            if unchanged >= n_labels:
                return cycle + 1
    return limits.max_cycles


@njit(cache=True)
def _find_tempting(
    problem: EnergyArrays, labeling: IntArray, terms: FlowNetwork, tempting: BoolArray, lanes: Lanes
) -> None:
    """Mark the labels that some node has, or might gain by (Potts): only these need a move."""
    costs = problem.theta.reshape(-1)
    width = problem.theta.shape[1]
    gain = row_of(0.0, lanes)
    for i in range(len(labeling)):
        given = row_of(terms.excess[i] - costs[i * width + labeling[i]], lanes)
        gain = lower_of(gain, sum_of(row_at(costs, i * width, lanes), given))
    lowest = np.empty(width)
    write_row(lowest, 0, gain)
    for label in range(width):
        tempting[label] = lowest[label] < 0.0
    for i in range(len(labeling)):
        tempting[labeling[i]] = True


@njit(cache=True)
def _new_label_terms(problem: EnergyArrays, labeling: IntArray, terms: FlowNetwork) -> None:
    """Write what the cuts of all labels that no node has yet share, for Potts costs.

    Its excess lacks the unary costs: half of an edge between two labels is freed by each end that
    switches, and the other half is its capacity.
    """
    _, graph, pairwise = problem
    for i in range(len(labeling)):
        freed = 0.0
        for arc in range(graph.start[i], graph.start[i + 1]):
            weight = pairwise.weights[graph.edge[arc]]
            if labeling[graph.head[arc]] != labeling[i]:
                weight *= 0.5
                freed += weight
            terms.residual[arc] = weight
        terms.excess[i] = -freed


@njit(cache=True)
def _potts_move_terms(
    problem: EnergyArrays,
    labeling: IntArray,
    alpha: int,
    new_label: FlowNetwork,
    network: FlowNetwork,
) -> bool:
    """Do what `move_terms` does, for Potts costs; say whether any node gains by a switch.

    Where none does there is nothing to cut, which is so of most labels of an image.
    """
    theta, graph, _ = problem
    capacity, excess = network.residual, network.excess
    held = False
    gains = False
    for i in range(len(labeling)):
        own = labeling[i]
        held |= own == alpha
        excess[i] = new_label.excess[i] + (theta[i, alpha] - theta[i, own])
        gains |= excess[i] < 0.0
    if not (gains or held):
        return False
    capacity[:] = new_label.residual
    if not held:
        return True
    for i in range(len(labeling)):
        if labeling[i] != alpha:
            continue
        excess[i] = 0.0
        for arc in range(graph.start[i], graph.start[i + 1]):
            j = graph.head[arc]
            if labeling[j] != alpha:
                # A node that joins its neighbour's label frees the whole edge.
                excess[j] -= new_label.residual[arc]
            capacity[arc] = 0.0
            capacity[graph.sister[arc]] = 0.0
    return bool((excess < 0.0).any())


@njit(cache=True)
def move_terms(problem: EnergyArrays, labeling: IntArray, alpha: int, network: FlowNetwork) -> None:
    """Write the cut problem of one expansion: 1 is "switch to alpha", 0 is "stay".

    Nodes that have the label already take no part.

    Parameters
    ----------
    problem : EnergyArrays
    labeling : (n,) int64
    alpha : int
    network : FlowNetwork, written
        Its capacities are the same both ways along an edge; its excess is the cost of switching
        less that of staying.
    """
    theta, graph, pairwise = problem
    start, _, head, edge, sister, first = graph
    capacity, excess = network.residual, network.excess
    for i in range(len(labeling)):
        excess[i] = 0.0 if labeling[i] == alpha else theta[i, alpha] - theta[i, labeling[i]]
    for i in range(len(labeling)):
        for arc in range(start[i], start[i + 1]):
            if not first[arc]:
                continue
            e = edge[arc]
            j = head[arc]
            half = 0.0
            left = labeling[i]
            right = labeling[j]
            d = pair_cost(pairwise, e, alpha, alpha)
            if left == alpha and right != alpha:
                excess[j] += d - pair_cost(pairwise, e, alpha, right)
            elif right == alpha and left != alpha:
                excess[i] += d - pair_cost(pairwise, e, left, alpha)
            elif left != alpha:
                a = pair_cost(pairwise, e, left, right)
                b = pair_cost(pairwise, e, left, alpha)
                c = pair_cost(pairwise, e, alpha, right)
                half = max(0.0, 0.5 * (b + c - a - d))
                excess[i] += c - a - half
                excess[j] += d - c + half
            capacity[arc] = half
            capacity[sister[arc]] = half
