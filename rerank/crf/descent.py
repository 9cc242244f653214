"""The compiled sweeps of iterated conditional modes, used alone and to finish other methods."""

from __future__ import annotations

import numpy as np
from numba import njit

from rerank.crf.energy_arrays import EnergyArrays
from rerank.crf.label_rows import Lanes, first_at_most, least, row_at, sum_of, write_row
from rerank.types import BoolArray, FloatArray, IntArray


@njit(cache=True)
def descend(problem: EnergyArrays, labeling: IntArray, max_sweeps: int, lanes: Lanes) -> int:
    """Run ICM on a labeling in place.

    Parameters
    ----------
    problem : EnergyArrays
    labeling : (n,) int64, overwritten
    max_sweeps : int
    lanes : tuple
        As `PottsEnergy.rows` returns it with the problem.

    Returns
    -------
    int
        Number of sweeps.
    """
    n = len(labeling)
    stale = np.ones(n, dtype=np.bool_)
    touched = np.empty(n, dtype=np.bool_)
    return _descend_stale(problem, labeling, max_sweeps, stale, touched, lanes)


@njit(cache=True)
def _descend_stale(
    problem: EnergyArrays,
    labeling: IntArray,
    max_sweeps: int,
    stale: BoolArray,
    touched: BoolArray,
    lanes: Lanes,
) -> int:
    # Nodes that may have a better label are stale; those that changed, and their neighbours, are
    # touched.
    start, _, head, edge, _, _ = problem.graph
    weights = problem.pairwise.weights
    n, n_labels = problem.theta.shape
    potts = problem.pairwise.tables.shape[0] == 0
    costs = problem.theta.reshape(-1)
    cost = np.empty(n_labels)
    sweep = 0
    changed = True
    while changed and sweep < max_sweeps:
        changed = False
        sweep += 1
        for i in range(n):
            if not stale[i]:
                continue
            stale[i] = False
            best = own = labeling[i]
            if potts:
                row = row_at(costs, i * n_labels, lanes)
                with_own = others = 0.0
                for arc in range(start[i], start[i + 1]):
                    weight = weights[edge[arc]]
                    same = labeling[head[arc]] == own
                    with_own += weight if same else 0.0
                    others += 0.0 if same else weight
                # Most nodes would keep their label if all others around them were one and the same.
                if costs[i * n_labels + own] - with_own <= least(row) - others:
                    continue
                write_row(cost, 0, row)
                for arc in range(start[i], start[i + 1]):
                    cost[labeling[head[arc]]] -= weights[edge[arc]]
                row = row_at(cost, 0, lanes)
                lowest = least(row)
                if lowest < cost[own]:
                    best = first_at_most(row, lowest)
            else:
                best = _best_of_tables(problem, labeling, i, cost)
            if best != own:
                labeling[i] = best
                changed = True
                touched[i] = True
                for arc in range(start[i], start[i + 1]):
                    stale[head[arc]] = True
                    touched[head[arc]] = True
    return sweep


@njit(cache=True)
def _best_of_tables(problem: EnergyArrays, labeling: IntArray, i: int, cost: FloatArray) -> int:
    """The cheapest label of a node given its neighbours', its own where no other is cheaper."""
    start, _, head, edge, _, first = problem.graph
    weights, tables = problem.pairwise
    cost[:] = problem.theta[i]
    for arc in range(start[i], start[i + 1]):
        weight = weights[edge[arc]]
        other = labeling[head[arc]]
        table = tables[edge[arc] if tables.shape[0] > 1 else 0]
        for label in range(len(cost)):
            if first[arc]:
                cost[label] += weight * table[label, other]
            else:
                cost[label] += weight * table[other, label]
    best: int = labeling[i]
    for label in range(len(cost)):
        if cost[label] < cost[best]:
            best = label
    return best


@njit(cache=True)
def polish(problem: EnergyArrays, labeling: IntArray, lanes: Lanes) -> None:
    """Change single nodes and, for Potts, whole components of equal label in turn, in place.

    Parameters
    ----------
    problem : EnergyArrays
    labeling : (n,) int64, overwritten
    lanes : tuple
    """
    n = len(labeling)
    stale = np.ones(n, dtype=np.bool_)
    touched = np.ones(n, dtype=np.bool_)
    for _ in range(20):
        _descend_stale(problem, labeling, 1000, stale, touched, lanes)
        if problem.pairwise.tables.shape[0] or not descend_components(
            problem, labeling, stale, touched, lanes
        ):
            break


@njit(cache=True)
def descend_components(
    problem: EnergyArrays, labeling: IntArray, stale: BoolArray, touched: BoolArray, lanes: Lanes
) -> bool:
    """Give connected components of equal label their best label given the others (Potts).

    Parameters
    ----------
    problem : EnergyArrays
    labeling : (n,) int64, overwritten
    stale : (n,) bool, written
        True for nodes that may have a better label afterwards.
    touched : (n,) bool, overwritten
        Only components that hold a touched node are tried: nothing in or around the others
        changed. Afterwards true for the nodes to try again.
    lanes : tuple

    Returns
    -------
    bool
        Whether a component changed.
    """
    n, n_labels = problem.theta.shape
    costs = problem.theta.reshape(-1)
    start, _, head, edge, _, _ = problem.graph
    weights = problem.pairwise.weights
    component = np.full(n, -1, dtype=np.int64)
    members = np.empty(n, dtype=np.int64)
    cost = np.empty(n_labels)
    changed = False
    for root in range(n):
        if component[root] >= 0 or not touched[root]:
            continue
        old = labeling[root]
        component[root] = root
        members[0] = root
        size = 1
        place = 0
        cost[:] = 0.0
        while place < size:
            i = members[place]
            place += 1
            touched[i] = False
            own = row_at(costs, i * n_labels, lanes)
            write_row(cost, 0, sum_of(row_at(cost, 0, lanes), own))
            for arc in range(start[i], start[i + 1]):
                j = head[arc]
                if labeling[j] == old and component[j] < 0:
                    component[j] = root
                    members[size] = j
                    size += 1
                if component[j] != root:
                    # Also where the neighbour took this label a moment ago.
                    cost[labeling[j]] -= weights[edge[arc]]
        total = row_at(cost, 0, lanes)
        lowest = least(total)
        if lowest < cost[old]:
            best = first_at_most(total, lowest)
            changed = True
            for place in range(size):
                i = members[place]
                labeling[i] = best
                stale[i] = True
                touched[i] = True
                for arc in range(start[i], start[i + 1]):
                    stale[head[arc]] = True
                    touched[head[arc]] = True
    return changed


@njit(cache=True)
def flip_costs(problem: EnergyArrays, labeling: IntArray) -> FloatArray:
    """How much the energy rises when one node alone takes another label.

    Parameters
    ----------
    problem : EnergyArrays
    labeling : (n,) int64

    Returns
    -------
    (n, L) float64
    """
    theta = problem.theta
    start, _, head, edge, _, first = problem.graph
    weights, tables = problem.pairwise
    n, n_labels = theta.shape
    cost = theta.copy()
    for i in range(n):
        for arc in range(start[i], start[i + 1]):
            weight = weights[edge[arc]]
            other = labeling[head[arc]]
            if tables.shape[0] == 0:
                cost[i, other] -= weight
                continue
            table = tables[edge[arc] if tables.shape[0] > 1 else 0]
            for label in range(n_labels):
                cost[i, label] += weight * (
                    table[label, other] if first[arc] else table[other, label]
                )
        cost[i] -= cost[i, labeling[i]]
    return cost
