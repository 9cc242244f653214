"""Pairwise costs as the compiled solvers read them: Potts, one table, or a table an edge."""

from __future__ import annotations

from numba import njit


@njit(cache=True, inline="always")
def pair_cost(tables, edge, weight, left, right):
    """Cost of labels (left, right) at the two ends of an edge, in the order of its row."""
    if tables.shape[0] == 0:
        return 0.0 if left == right else weight
    if tables.shape[0] == 1:
        return weight * tables[0, left, right]
    return weight * tables[edge, left, right]


@njit(cache=True)
def labeling_cost(theta, start, split, head, edge, first, weights, tables, labeling):
    """Sum of the unary and pairwise costs of a labeling."""
    total = 0.0
    for i in range(len(labeling)):
        total += theta[i, labeling[i]]
        for arc in range(split[i], start[i + 1]):
            e = edge[arc]
            j = head[arc]
            if first[arc]:
                total += pair_cost(tables, e, weights[e], labeling[i], labeling[j])
            else:
                total += pair_cost(tables, e, weights[e], labeling[j], labeling[i])
    return total
