"""The compiled sweeps of iterated conditional modes, used alone and to finish other methods."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def descend(theta, start, split, head, edge, first, weights, tables, labeling, max_sweeps):
    """Run ICM on `labeling` in place and return the number of sweeps."""
    n, n_labels = theta.shape
    cost = np.empty(n_labels)
    stale = np.ones(n, dtype=np.bool_)
    sweep = 0
    changed = True
    while changed and sweep < max_sweeps:
        changed = False
        sweep += 1
        for i in range(n):
            if not stale[i]:
                continue
            stale[i] = False
            cost[:] = theta[i]
            for arc in range(start[i], start[i + 1]):
                weight = weights[edge[arc]]
                other = labeling[head[arc]]
                if tables.shape[0] == 0:
                    cost[other] -= weight
                    continue
                table = tables[edge[arc] if tables.shape[0] > 1 else 0]
                for label in range(n_labels):
                    if first[arc]:
                        cost[label] += weight * table[label, other]
                    else:
                        cost[label] += weight * table[other, label]
            best = labeling[i]
            for label in range(n_labels):
                if cost[label] < cost[best]:
                    best = label
            if best != labeling[i]:
                labeling[i] = best
                changed = True
                for arc in range(start[i], start[i + 1]):
                    stale[head[arc]] = True
    return sweep


@njit(cache=True)
def flip_costs(theta, start, split, head, edge, first, weights, tables, labeling):
    """What the energy gains when one node alone takes another label, (n, L)."""
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
                cost[i, label] += weight * (table[label, other] if first[arc]
                                            else table[other, label])
        cost[i] -= cost[i, labeling[i]]
    return cost
