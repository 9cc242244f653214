"""Exchange moves between two labelings, for `joint_mbest`.

Where two labelings trade their labels at some nodes, all differences between labelings stay as
they are, and so do all unary costs; only pairwise costs change. Which nodes should trade is a
problem of two labels on the same graph, with a table an edge that is not submodular, and TRW-S
with ICM finds a good answer. It mends what expansions of one labeling at a time cannot: objects
that ended up half in one labeling and half in the other.
"""

from __future__ import annotations

import numpy as np

from rerank.crf import PottsEnergy, trws
from rerank.types import FloatArray, IntArray


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
    if energy.compatibility is None:
        return energy.weights * (a != b)
    if energy.compatibility.ndim == 2:
        return energy.weights * energy.compatibility[a, b]
    return energy.weights * energy.compatibility[np.arange(len(a)), a, b]
