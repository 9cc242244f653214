"""The two passes of TRW-S for pairwise tables, O(L^2) a message."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def forward_pass(theta, start, split, head, edge, first, weights, tables, messages, labeling):
    """Do what `potts_passes.forward_pass` does with tables (T, L, L), T of 1 or m.

    `first` is the array of `Adjacency`: whether an arc leaves the node whose label is the first
    index of the table.
    """
    n, n_labels = theta.shape
    belief = np.empty(n_labels)
    choice = np.empty(n_labels)
    sent = np.empty(n_labels)
    for i in range(n):
        belief[:] = theta[i]
        for arc in range(split[i], start[i + 1]):
            message = messages[edge[arc]]
            for label in range(n_labels):
                belief[label] += message[label]
        # With earlier nodes the labels they took count instead of their messages.
        choice[:] = belief
        for arc in range(start[i], split[i]):
            e = edge[arc]
            message = messages[e]
            for label in range(n_labels):
                belief[label] += message[label]
            other = labeling[head[arc]]
            table = tables[e if tables.shape[0] > 1 else 0]
            for label in range(n_labels):
                entry = table[label, other] if first[arc] else table[other, label]
                choice[label] += weights[e] * entry
        labeling[i] = choice.argmin()
        n_later = start[i + 1] - split[i]
        if n_later:
            _subtract_minimum(belief)
            share = 1.0 / max(n_later, split[i] - start[i])
            for arc in range(split[i], start[i + 1]):
                e = edge[arc]
                _send(belief, share, messages[e], weights[e], tables, e, first[arc], sent)


@njit(cache=True)
def backward_pass(theta, start, split, edge, first, weights, tables, messages):
    """Do what `potts_passes.backward_pass` does with tables (T, L, L)."""
    n, n_labels = theta.shape
    belief = np.empty(n_labels)
    sent = np.empty(n_labels)
    bound = 0.0
    for i in range(n - 1, -1, -1):
        belief[:] = theta[i]
        for arc in range(start[i], start[i + 1]):
            message = messages[edge[arc]]
            for label in range(n_labels):
                belief[label] += message[label]
        bound += _subtract_minimum(belief)
        n_earlier = split[i] - start[i]
        if n_earlier:
            share = 1.0 / max(n_earlier, start[i + 1] - split[i])
            for arc in range(start[i], split[i]):
                e = edge[arc]
                bound += _send(belief, share, messages[e], weights[e], tables, e, first[arc], sent)
    return bound


@njit(cache=True)
def _subtract_minimum(values):
    lowest = values[0]
    for k in range(1, len(values)):
        lowest = min(lowest, values[k])
    for k in range(len(values)):
        values[k] -= lowest
    return lowest


@njit(cache=True)
def _send(belief, share, message, weight, tables, e, first, sent):
    """Replace the message that came along an edge by the one that goes back along it."""
    n_labels = len(belief)
    table = tables[e if tables.shape[0] > 1 else 0]
    for label in range(n_labels):
        sent[label] = share * belief[label] - message[label]
    for to in range(n_labels):
        cheapest = np.inf
        for label in range(n_labels):
            entry = table[label, to] if first else table[to, label]
            cheapest = min(cheapest, sent[label] + weight * entry)
        message[to] = cheapest
    return _subtract_minimum(message)
