"""A pass of TRW-S for pairwise tables, O(L^2) a message."""

from __future__ import annotations

import numpy as np
from numba import njit

from rerank.crf.energy_arrays import EnergyArrays
from rerank.types import FloatArray, IntArray


@njit(cache=True)
def table_pass(
    problem: EnergyArrays,
    messages: FloatArray,
    labeling: IntArray,
    forward: bool,
    relaxation: float,
) -> float:
    """Do what `potts_pass` does, for one table or one table per edge; no labels are added."""
    theta = problem.theta
    start, split, head, edge, _, first = problem.graph
    weights, tables = problem.pairwise
    n, n_labels = theta.shape
    belief = np.empty(n_labels)
    choice = np.empty(n_labels)
    sent = np.empty(n_labels)
    bound = 0.0
    for step in range(n):
        i = step if forward else n - 1 - step
        ahead0 = split[i] if forward else start[i]
        ahead1 = start[i + 1] if forward else split[i]
        behind0 = start[i] if forward else split[i]
        behind1 = split[i] if forward else start[i + 1]
        belief[:] = theta[i]
        for arc in range(ahead0, ahead1):
            belief += messages[edge[arc]]
        choice[:] = belief
        for arc in range(behind0, behind1):
            e = edge[arc]
            belief += messages[e]
            table = tables[e if tables.shape[0] > 1 else 0]
            other = labeling[head[arc]]
            for label in range(n_labels):
                entry = table[label, other] if first[arc] else table[other, label]
                choice[label] += weights[e] * entry
        labeling[i] = choice.argmin()
        lowest = belief.min()
        bound += lowest
        if ahead1 == ahead0:
            continue
        share = relaxation / max(ahead1 - ahead0, behind1 - behind0)
        for arc in range(ahead0, ahead1):
            e = edge[arc]
            table = tables[e if tables.shape[0] > 1 else 0]
            for label in range(n_labels):
                sent[label] = share * (belief[label] - lowest) - messages[e, label]
            least = np.inf
            for to in range(n_labels):
                cheapest = np.inf
                for label in range(n_labels):
                    entry = table[label, to] if first[arc] else table[to, label]
                    cheapest = min(cheapest, sent[label] + weights[e] * entry)
                messages[e, to] = cheapest
                least = min(least, cheapest)
            bound += least
            for to in range(n_labels):
                messages[e, to] -= least
    return bound
