"""The two passes of TRW-S for Potts costs, O(L) a message.

The message of `trws` becomes ``min(h(b), min_a h(a) + weight)`` less ``min_a h(a)``.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def forward_pass(theta, start, split, head, edge, weights, messages, labeling):
    """Send messages to later nodes, and read `labeling` off on the way.

    Parameters
    ----------
    theta : (n, L) float64
    start, split, head, edge : arrays of `Adjacency`
    weights : (m,) float64
    messages : (m, L) float64
        On each edge, the message to its earlier node; that to its later node afterwards.
    labeling : (n,) int64, written
    """
    n, n_labels = theta.shape
    belief = np.empty(n_labels)
    choice = np.empty(n_labels)
    for i in range(n):
        for label in range(n_labels):
            belief[label] = theta[i, label]
        for arc in range(split[i], start[i + 1]):
            e = edge[arc]
            for label in range(n_labels):
                belief[label] += messages[e, label]
        # With earlier nodes the labels they took count instead of their messages.
        for label in range(n_labels):
            choice[label] = belief[label]
        for arc in range(start[i], split[i]):
            e = edge[arc]
            choice[labeling[head[arc]]] -= weights[e]
            for label in range(n_labels):
                belief[label] += messages[e, label]
        best = 0
        for label in range(1, n_labels):
            if choice[label] < choice[best]:
                best = label
        labeling[i] = best
        n_later = start[i + 1] - split[i]
        if n_later:
            share = 1.0 / max(n_later, split[i] - start[i])
            lowest = np.inf
            for label in range(n_labels):
                lowest = min(lowest, belief[label])
            for label in range(n_labels):
                belief[label] = share * (belief[label] - lowest)
            for arc in range(split[i], start[i + 1]):
                e = edge[arc]
                weight = weights[e]
                lowest = np.inf
                for label in range(n_labels):
                    reply = belief[label] - messages[e, label]
                    messages[e, label] = reply
                    lowest = min(lowest, reply)
                for label in range(n_labels):
                    messages[e, label] = min(messages[e, label] - lowest, weight)


@njit(cache=True)
def backward_pass(theta, start, split, edge, weights, messages):
    """Send messages to earlier nodes and return the lower bound.

    `messages` holds those to the later nodes, and those to the earlier ones afterwards; the other
    parameters are those of `forward_pass`.
    """
    n, n_labels = theta.shape
    belief = np.empty(n_labels)
    bound = 0.0
    for i in range(n - 1, -1, -1):
        for label in range(n_labels):
            belief[label] = theta[i, label]
        for arc in range(start[i], start[i + 1]):
            e = edge[arc]
            for label in range(n_labels):
                belief[label] += messages[e, label]
        lowest = np.inf
        for label in range(n_labels):
            lowest = min(lowest, belief[label])
        bound += lowest
        n_earlier = split[i] - start[i]
        if n_earlier:
            share = 1.0 / max(n_earlier, start[i + 1] - split[i])
            for label in range(n_labels):
                belief[label] = share * (belief[label] - lowest)
            for arc in range(start[i], split[i]):
                e = edge[arc]
                weight = weights[e]
                lowest = np.inf
                for label in range(n_labels):
                    reply = belief[label] - messages[e, label]
                    messages[e, label] = reply
                    lowest = min(lowest, reply)
                bound += lowest
                for label in range(n_labels):
                    messages[e, label] = min(messages[e, label] - lowest, weight)
    return bound
