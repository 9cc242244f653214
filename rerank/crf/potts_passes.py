"""A pass of TRW-S for Potts costs, O(L) a message.

The message of `trws` becomes ``min(h(b), min_a h(a) + weight)`` less ``min_a h(a)``.
"""

from __future__ import annotations

import numpy as np
from numba import njit


# All values are finite, and no result depends on the sign of a zero: with that said, minima are
# taken several at a time. Sums keep their order.
@njit(cache=True, fastmath={"nnan", "nsz"}, error_model="numpy")
def potts_pass(theta, start, split, head, edge, weights, messages, labeling, forward):
    """Visit all nodes in one direction, reading a labeling off on the way.

    Parameters
    ----------
    theta : (n, L) float64
    start, split, head, edge : arrays of `Adjacency`
    weights : (m,) float64
    messages : (m, L) float64
        On each edge the message against the direction of the pass; that along it afterwards.
    labeling : (n,) int64, written
        Each node takes the best label given those that nodes before it took and the messages of
        those after it (Kolmogorov 2006).
    forward : bool
        From the first node to the last, or from the last to the first.

    Returns
    -------
    float
        A lower bound on the energy of every labeling.
    """
    n, n_labels = theta.shape
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
            e = edge[arc]
            for label in range(n_labels):
                belief[label] += messages[e, label]
        for label in range(n_labels):
            choice[label] = belief[label]
        for arc in range(behind0, behind1):
            e = edge[arc]
            choice[labeling[head[arc]]] -= weights[e]
            for label in range(n_labels):
                belief[label] += messages[e, label]
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
        share = 1.0 / max(ahead1 - ahead0, behind1 - behind0)
        for label in range(n_labels):
            belief[label] = share * (belief[label] - lowest)
        for arc in range(ahead0, ahead1):
            e = edge[arc]
            weight = weights[e]
            for label in range(n_labels):
                messages[e, label] = belief[label] - messages[e, label]
            low0 = low1 = low2 = low3 = np.inf
            for label in range(0, whole, 4):
                low0 = min(low0, messages[e, label])
                low1 = min(low1, messages[e, label + 1])
                low2 = min(low2, messages[e, label + 2])
                low3 = min(low3, messages[e, label + 3])
            for label in range(whole, n_labels):
                low0 = min(low0, messages[e, label])
            lowest = min(min(low0, low1), min(low2, low3))
            bound += lowest
            for label in range(n_labels):
                messages[e, label] = min(messages[e, label] - lowest, weight)
    return bound
