"""Pairwise costs as the compiled solvers read them: Potts, one table, or a table an edge."""

from __future__ import annotations

from numba import njit


@njit(cache=True)
def pair_cost(tables, edge, weight, left, right):
    """Cost of labels (left, right) at the two ends of an edge, in the order of its row."""
    if tables.shape[0] == 0:
        return 0.0 if left == right else weight
    if tables.shape[0] == 1:
        return weight * tables[0, left, right]
    return weight * tables[edge, left, right]


@njit(cache=True)
def evaluate_rows(unary, edges, weights, tables, rows, totals):
    """Energies of labelings (M, n), written to `totals` (M,).

    The sums are compensated (Neumaier 1974), so that they are right to the last digits whatever
    the order of nodes and edges, and the same whether one labeling is asked about or many.
    """
    for k in range(len(rows)):
        total = 0.0
        lost = 0.0
        for term in range(unary.shape[0] + len(edges)):
            if term < unary.shape[0]:
                value = unary[term, rows[k, term]]
            else:
                e = term - unary.shape[0]
                value = pair_cost(tables, e, weights[e], rows[k, edges[e, 0]], rows[k, edges[e, 1]])
            raised = total + value
            if abs(total) >= abs(value):
                lost += (total - raised) + value
            else:
                lost += (value - raised) + total
            total = raised
        totals[k] = total + lost


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
