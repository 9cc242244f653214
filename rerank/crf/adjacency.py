"""The neighbours of each node as flat arrays, shared by all solvers on one graph."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from rerank.types import BoolArray, IntArray


class Adjacency(NamedTuple):
    """Both directions of every edge ("arcs"), grouped by the node they leave.

    Arcs of node i are ``start[i]`` to ``start[i + 1] - 1``, ordered by the node they lead to, so
    that those to earlier nodes come before ``split[i]`` and those to later nodes from there on.
    The compiled solvers take it as it is.

    Attributes
    ----------
    start : (n + 1,) int32
    split : (n,) int32
        First arc of each node that leads to a later node.
    head : (2m,) int32
        Node an arc leads to.
    edge : (2m,) int32
        Row of ``edges`` an arc stands for.
    sister : (2m,) int32
        The same edge's arc the other way.
    first : (2m,) bool
        True where the arc leaves ``edges[edge, 0]``.
    """

    start: IntArray
    split: IntArray
    head: IntArray
    edge: IntArray
    sister: IntArray
    first: BoolArray

    @classmethod
    def from_edges(cls, n_nodes: int, edges: IntArray) -> Adjacency:
        """Group the arcs of checked edges by the node they leave.

        Parameters
        ----------
        n_nodes : int
        edges : (m, 2) int64
            Must pass `first_fault`.

        Returns
        -------
        Adjacency
        """
        n_arcs = 2 * len(edges)
        made = cls(
            start=np.zeros(n_nodes + 1, dtype=np.int32),
            split=np.empty(n_nodes, dtype=np.int32),
            head=np.empty(n_arcs, dtype=np.int32),
            edge=np.empty(n_arcs, dtype=np.int32),
            sister=np.empty(n_arcs, dtype=np.int32),
            first=np.empty(n_arcs, dtype=np.bool_),
        )
        _group(edges, made)
        return made


@njit(cache=True)
def _group(edges: IntArray, graph: Adjacency) -> None:
    """Write the arrays of `graph`, whose `start` is zero."""
    start, split, head, edge, sister, first = graph
    n, m = len(split), len(edges)
    for e in range(m):
        start[edges[e, 0] + 1] += 1
        start[edges[e, 1] + 1] += 1
    for i in range(n):
        start[i + 1] += start[i]
    # Sorted by the node they lead to, then by the node they leave; both sorts keep the order.
    place = start.copy()
    by_head = np.empty(2 * m, dtype=np.int64)
    for side in range(2):
        for e in range(m):
            to = edges[e, 1 - side]
            by_head[place[to]] = side * m + e
            place[to] += 1
    place[:] = start
    where = np.empty(2 * m, dtype=np.int32)
    for i in range(n):
        split[i] = start[i]
    for k in range(2 * m):
        arc = by_head[k]
        side = 0 if arc < m else 1
        e = arc - side * m
        tail = edges[e, side]
        to = edges[e, 1 - side]
        here = place[tail]
        place[tail] += 1
        where[arc] = here
        head[here] = to
        edge[here] = e
        first[here] = arc < m
        split[tail] += to < tail
    for e in range(m):
        sister[where[e]] = where[e + m]
        sister[where[e + m]] = where[e]


@njit(cache=True)
def first_fault(edges: IntArray, n_nodes: int) -> tuple[int, int]:
    """What breaks the rules for edges, and the row of the first edge that does.

    Parameters
    ----------
    edges : (m, 2) int64
    n_nodes : int

    Returns
    -------
    int, int
        0 and -1 if nothing does; 1 for an edge that leaves the graph, 2 for one from a node to
        itself, 3 for one that occurred before. The first rule that is broken anywhere counts.
    """
    m = len(edges)
    for e in range(m):
        if min(edges[e, 0], edges[e, 1]) < 0 or max(edges[e, 0], edges[e, 1]) >= n_nodes:
            return 1, e
    for e in range(m):
        if edges[e, 0] == edges[e, 1]:
            return 2, e
    start = np.zeros(n_nodes + 1, dtype=np.int64)
    for e in range(m):
        start[min(edges[e, 0], edges[e, 1]) + 1] += 1
    for i in range(n_nodes):
        start[i + 1] += start[i]
    place = start[:-1].copy()
    by_earlier = np.empty(m, dtype=np.int64)
    for e in range(m):
        i = min(edges[e, 0], edges[e, 1])
        by_earlier[place[i]] = e
        place[i] += 1
    met = np.full(n_nodes, -1, dtype=np.int64)
    again = m
    for i in range(n_nodes):
        for k in range(start[i], start[i + 1]):
            e = by_earlier[k]
            later = max(edges[e, 0], edges[e, 1])
            if met[later] == i:
                again = min(again, e)
            met[later] = i
    return (3, again) if again < m else (0, -1)
