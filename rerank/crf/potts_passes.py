"""A pass of TRW-S for Potts costs, O(L) a message.

The message of `trws` becomes ``min(h(b), min_a h(a) + weight)`` less ``min_a h(a)``.

A relaxation r above 1 passes on r times the share of a node's costs, a step from TRW-S towards
max-product belief propagation, which passes on all of them (Wiegerinck and Heskes 2003 study what
lies between). A few such passes bring labelings closer to the best, but they bound nothing.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from rerank.crf.energy_arrays import EnergyArrays
from rerank.types import FloatArray, IntArray


# All values are finite, and no result depends on the sign of a zero: with that said, minima are
# taken several at a time. Sums keep their order.
@njit(cache=True, fastmath={"nnan", "nsz"}, error_model="numpy")
def potts_pass(
    problem: EnergyArrays,
    messages: FloatArray,
    labeling: IntArray,
    forward: bool,
    relaxation: float = 1.0,
) -> float:
    """Visit all nodes in one direction, reading a labeling off on the way.

    Parameters
    ----------
    problem : EnergyArrays
        Its tables are not read.
    messages : (m, L) float64
        On each edge the message against the direction of the pass; that along it afterwards.
    labeling : (n,) int64, written
        Each node takes the best label given those that nodes before it took and the messages of
        those after it (Kolmogorov 2006).
    forward : bool
        From the first node to the last, or from the last to the first.
    relaxation : float

    Returns
    -------
    float
        A lower bound on the energy of every labeling, if `relaxation` is 1.
    """
    theta = problem.theta
    start, split, head, edge, _, _ = problem.graph
    weights = problem.pairwise.weights
    n, n_labels = theta.shape
    # Unsigned places in one long row are found fastest: none is tested for being negative.
    flat = messages.reshape(-1)
    width = np.uint64(n_labels)
    whole = n_labels - n_labels % 4
    belief = np.empty(n_labels)
    choice = np.empty(n_labels)
    bound = 0.0
    for step in range(n):
        i = step if forward else n - 1 - step
        # Arcs to nodes that come later in this pass, and to those that were visited.
        ahead0 = split[i] if forward else start[i]
        ahead1 = start[i + 1] if forward else split[i]
        behind0 = start[i] if forward else split[i]
        behind1 = split[i] if forward else start[i + 1]
        for label in range(n_labels):
            belief[label] = theta[i, label]
        for arc in range(ahead0, ahead1):
            row = np.uint64(edge[arc]) * width
            for label in range(width):
                belief[label] += flat[row + label]
        for label in range(n_labels):
            choice[label] = belief[label]
        for arc in range(behind0, behind1):
            row = np.uint64(edge[arc]) * width
            choice[labeling[head[arc]]] -= weights[edge[arc]]
            for label in range(width):
                belief[label] += flat[row + label]
        # Four minima side by side, since one alone waits for each comparison.
        pick0 = pick1 = pick2 = pick3 = np.inf
        low0 = low1 = low2 = low3 = np.inf
        for label in range(0, whole, 4):
            pick0 = min(pick0, choice[label])
            pick1 = min(pick1, choice[label + 1])
            pick2 = min(pick2, choice[label + 2])
            pick3 = min(pick3, choice[label + 3])
            low0 = min(low0, belief[label])
            low1 = min(low1, belief[label + 1])
            low2 = min(low2, belief[label + 2])
            low3 = min(low3, belief[label + 3])
        for label in range(whole, n_labels):
            pick0 = min(pick0, choice[label])
            low0 = min(low0, belief[label])
        lowest = min(min(pick0, pick1), min(pick2, pick3))
        best = 0
        while choice[best] > lowest:
            best += 1
        labeling[i] = best
        lowest = min(min(low0, low1), min(low2, low3))
        bound += lowest
        if ahead1 == ahead0:
            continue
        share = relaxation / max(ahead1 - ahead0, behind1 - behind0)
        for label in range(n_labels):
            belief[label] = share * (belief[label] - lowest)
        for arc in range(ahead0, ahead1):
            row = np.uint64(edge[arc]) * width
            weight = weights[edge[arc]]
            for label in range(width):
                flat[row + label] = belief[label] - flat[row + label]
            low0 = low1 = low2 = low3 = np.inf
            for label in range(0, whole, 4):
                place = row + np.uint64(label)
                low0 = min(low0, flat[place])
                low1 = min(low1, flat[place + np.uint64(1)])
                low2 = min(low2, flat[place + np.uint64(2)])
                low3 = min(low3, flat[place + np.uint64(3)])
            for label in range(whole, n_labels):
                low0 = min(low0, flat[row + np.uint64(label)])
            lowest = min(min(low0, low1), min(low2, low3))
            bound += lowest
            for label in range(width):
                flat[row + label] = min(flat[row + label] - lowest, weight)
    return bound
