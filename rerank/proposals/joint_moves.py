"""Moves that change several labelings at once, for `joint_mbest`.

**Joint expansion.** Kirillov et al. (2015) write the joint problem as one over M copies of the
graph, the diversity as a clique over the copies of each node, and minimise it by expansion moves.
A reward for differences is not submodular by itself. In a fixed order of the copies, though,
where one may switch to the label only if all before it switch (or have it already), the reward
depends on how many switch alone. It is then a sum of one cost for each copy, and the best move of
that kind is a minimum cut of the M copies, joined by arcs that nothing can cut.

**Exchange.** Where two labelings trade their labels at some nodes, all differences between
labelings stay as they are, and so do all unary costs; only pairwise costs change. Which nodes
should trade is a problem of two labels on the same graph, with a table an edge that is not
submodular. TRW-S with ICM finds a good answer. Exchange joins objects that ended up half in one
labeling and half in the other, which expansions of one labeling at a time cannot do.
"""

from __future__ import annotations

import numpy as np

from rerank.crf import PottsEnergy, trws
from rerank.crf.adjacency import Adjacency
from rerank.crf.expansion import move_terms
from rerank.crf.maxflow import FlowNetwork, minimum_cut
from rerank.types import Array, FloatArray, IntArray


class JointMoves:
    """Expansion moves of `n_copies` labelings of one energy.

    Parameters
    ----------
    energy : PottsEnergy
        As `alpha_expansion` takes it.
    n_copies : int
    weights : (n,) float64
        Reward for each pair of labelings that differ at a node.
    """

    def __init__(self, energy: PottsEnergy, n_copies: int, weights: FloatArray) -> None:
        self._problem, self._weights = energy.arrays(), weights
        n, m = energy.n_nodes, len(energy.edges)
        places = np.arange(n_copies)[:, None] * n
        inner = (energy.edges + places[:, :, None]).reshape(-1, 2)
        chains = np.stack(
            [(np.arange(n) + places[:-1]).ravel(), (np.arange(n) + places[1:]).ravel()], axis=1
        )
        self._graph = Adjacency.from_edges(n_copies * n, np.concatenate([inner, chains]))
        forth = np.empty(len(inner) + len(chains), dtype=np.int64)
        forth[self._graph.edge[self._graph.first]] = np.flatnonzero(self._graph.first)
        self._inner = forth[: len(inner)].reshape(n_copies, m)
        self._chains = forth[len(inner) :]
        single = energy.adjacency
        self._single = np.empty(m, dtype=np.int64)
        self._single[single.edge[single.first]] = np.flatnonzero(single.first)

    def expand(self, rows: IntArray, alpha: int, order: IntArray) -> IntArray:
        """Make the move to `alpha` that lowers the joint cost most.

        Parameters
        ----------
        rows : (M, n) int64
        alpha : int
            Label that nodes may switch to.
        order : (M,) int
            At each node a labeling switches only if those before it in this order do.

        Returns
        -------
        (M, n) int64
        """
        single = self._problem.graph
        n_copies, n = rows.shape
        residual = np.zeros(len(self._graph.head))
        excess = np.empty((n_copies, n))
        capacity = np.empty(len(single.head))
        has = rows == alpha
        alike = has.sum(axis=0)
        for place, row in enumerate(order):
            move_terms(
                self._problem, rows[row], alpha, FlowNetwork.on(single, capacity, excess[place])
            )
            arcs = self._inner[place]
            residual[arcs] = residual[self._graph.sister[arcs]] = capacity[self._single]
            # Switching, it no longer differs from those that have the label by then, and comes
            # to differ from those after it that have its old one.
            left = (rows[order[place + 1 :]] == rows[row]).sum(axis=0)
            excess[place] += np.where(has[row], 0.0, self._weights * (alike - left))
            alike = alike + ~has[row]
        residual[self._chains] = np.inf
        switches = np.empty(n_copies * n, dtype=np.bool_)
        network = FlowNetwork.on(self._graph, residual, excess.ravel())
        minimum_cut(network, switches, 1000 + 50 * len(residual))
        moved = rows.copy()
        moved[order] = np.where(switches.reshape(n_copies, n), alpha, rows[order])
        return moved


def expand_together(
    energy: PottsEnergy, rows: IntArray, weights: FloatArray, max_cycles: int = 20
) -> IntArray:
    """Lower the joint cost by the moves of `JointMoves` until none does.

    A cycle moves to each label in turn; the order of the copies turns from move to move. Two
    cycles without a gain end it.

    Parameters
    ----------
    energy : PottsEnergy
        As `alpha_expansion` takes it.
    rows : (M, n) int64
        The labelings to start from.
    weights : (n,) float64
        Reward for each pair of labelings that differ at a node.
    max_cycles : int

    Returns
    -------
    (M, n) int64
        Labelings whose joint cost is at most that of `rows`.
    """
    moves, n_copies = JointMoves(energy, len(rows), weights), len(rows)
    rows = rows.copy()
    best = together(energy, rows, weights)
    order, idle = np.arange(n_copies), 0
    for cycle in range(max_cycles):
        changed = False
        for alpha in range(energy.n_labels):
            # Backwards every other cycle.
            order = np.roll(order, 1)
            moved = moves.expand(rows, alpha, order if cycle % 2 == 0 else order[::-1])
            cost = together(energy, moved, weights)
            # A difference within rounding would let labels go round in circles.
            if cost < best - 1e-12 * (1 + abs(best)):
                rows, best, changed = moved, cost, True
        idle = 0 if changed else idle + 1
        if idle == 2:
            break
    return rows


def together(energy: PottsEnergy, rows: IntArray, weights: FloatArray) -> float:
    """The energies less the reward for each pair's differences, as in `joint_cost`.

    Parameters
    ----------
    energy : PottsEnergy
    rows : (M, n) int64
    weights : (n,) float64
        Reward for each pair of labelings that differ at a node.

    Returns
    -------
    float
    """
    total = float(np.sum(energy.evaluate(rows)))
    for m in range(1, len(rows)):
        total -= float(((rows[:m] != rows[m]) @ weights).sum())
    return total


def exchange(energy: PottsEnergy, rows: IntArray, iterations: int = 20) -> bool:
    """Try every pair of rows once, in place.

    Parameters
    ----------
    energy : PottsEnergy
    rows : (M, n) int64
        The labelings, overwritten where a trade lowers the sum of their energies.
    iterations : int
        TRW-S iterations a pair.

    Returns
    -------
    bool
        Whether two rows traded labels.
    """
    changed = False
    nobody = np.zeros(energy.n_nodes, dtype=np.int64)
    tables = np.empty((len(energy.edges), 2, 2))
    for right in range(1, len(rows)):
        for left in range(right):
            one, two = rows[left], rows[right]
            together = _edge_costs(energy, one, one) + _edge_costs(energy, two, two)
            apart = _edge_costs(energy, one, two) + _edge_costs(energy, two, one)
            tables[:, [0, 1], [0, 1]] = together[:, None]
            tables[:, [0, 1], [1, 0]] = apart[:, None]
            trade = PottsEnergy(
                np.zeros((energy.n_nodes, 2)), energy.edges, np.ones(len(energy.edges)), tables
            )
            result = trws(trade, nobody, max_iterations=iterations)
            now = trade.evaluate(nobody)
            # A difference within rounding would let labels go round in circles.
            if result.energy < now - 1e-12 * (1 + abs(now)):
                traders = result.labeling == 1
                one[traders], two[traders] = two[traders], one[traders]
                changed = True
    return changed


def _edge_costs(energy: PottsEnergy, left: IntArray, right: IntArray) -> FloatArray:
    """Cost of each edge (m,) if its first end is labeled as in `left`, its second as in `right`."""
    a, b = left[energy.edges[:, 0]], right[energy.edges[:, 1]]
    factor: Array
    if energy.compatibility is None:
        factor = a != b
    elif energy.compatibility.ndim == 2:
        factor = energy.compatibility[a, b]
    else:
        factor = energy.compatibility[np.arange(len(a)), a, b]
    costs: FloatArray = energy.weights * factor
    return costs
