"""The arrays of an energy as the compiled solvers take them, and the costs they add up to."""

from __future__ import annotations

from typing import NamedTuple

from numba import njit

from rerank.crf.adjacency import Adjacency
from rerank.types import FloatArray, IntArray


class PairwiseCosts(NamedTuple):
    """Costs of the edges.

    Attributes
    ----------
    weights : (m,) float64
    tables : (T, L, L) float64
        Cost of each pair of labels in units of the edge's weight: T is 0 for Potts, 1 for one
        table, m for one table per edge.
    """

    weights: FloatArray
    tables: FloatArray


class EnergyArrays(NamedTuple):
    """An energy with unary costs of the solver's own, made by `PottsEnergy.arrays`.

    Attributes
    ----------
    theta : (n, L) float64
        Unary costs, most often less the lowest of each node.
    graph : Adjacency
    pairwise : PairwiseCosts
    """

    theta: FloatArray
    graph: Adjacency
    pairwise: PairwiseCosts


@njit(cache=True)
def pair_cost(pairwise: PairwiseCosts, edge: int, left: int, right: int) -> float:
    """Cost of the labels at the two ends of an edge.

    Parameters
    ----------
    pairwise : PairwiseCosts
    edge : int
    left, right : int
        Labels of the first and of the second end, in the order of the edge's row.

    Returns
    -------
    float
    """
    weight: float = pairwise.weights[edge]
    tables = pairwise.tables
    if tables.shape[0] == 0:
        return 0.0 if left == right else weight
    if tables.shape[0] == 1:
        edge = 0
    cost: float = weight * tables[edge, left, right]
    return cost


@njit(cache=True)
def evaluate_rows(
    unary: FloatArray, edges: IntArray, pairwise: PairwiseCosts, rows: IntArray, totals: FloatArray
) -> None:
    """Energies of labelings, each a compensated sum.

    The sums are compensated (Neumaier 1974), so that they are right to the last digits whatever
    the order of nodes and edges, and the same whether one labeling is asked about or many.

    Parameters
    ----------
    unary : (n, L) float64
    edges : (m, 2) int64
    pairwise : PairwiseCosts
    rows : (M, n) int64
        The labelings.
    totals : (M,) float64, written
    """
    for k in range(len(rows)):
        total = 0.0
        lost = 0.0
        for term in range(unary.shape[0] + len(edges)):
            if term < unary.shape[0]:
                value = unary[term, rows[k, term]]
            else:
                e = term - unary.shape[0]
                value = pair_cost(pairwise, e, rows[k, edges[e, 0]], rows[k, edges[e, 1]])
            raised = total + value
            if abs(total) >= abs(value):
                lost += (total - raised) + value
            else:
                lost += (value - raised) + total
            total = raised
        totals[k] = total + lost


@njit(cache=True)
def labeling_cost(problem: EnergyArrays, labeling: IntArray) -> float:
    """Sum of the unary and pairwise costs of a labeling.

    Parameters
    ----------
    problem : EnergyArrays
    labeling : (n,) int64

    Returns
    -------
    float
    """
    theta, graph, pairwise = problem
    total = 0.0
    for i in range(len(labeling)):
        total += theta[i, labeling[i]]
        for arc in range(graph.split[i], graph.start[i + 1]):
            e = graph.edge[arc]
            j = graph.head[arc]
            if graph.first[arc]:
                total += pair_cost(pairwise, e, labeling[i], labeling[j])
            else:
                total += pair_cost(pairwise, e, labeling[j], labeling[i])
    return total
