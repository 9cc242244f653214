"""The neighbours of each node as flat arrays, shared by all solvers on one graph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rerank.types import Array, BoolArray, IntArray


@dataclass(frozen=True, eq=False)
class Adjacency:
    """Both directions of every edge ("arcs"), grouped by the node they leave.

    Arcs of node i are ``start[i]`` to ``start[i + 1] - 1``, ordered by the node they lead to, so
    that those to earlier nodes come before ``split[i]`` and those to later nodes from there on.

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
    def from_edges(cls, n_nodes: int, edges: IntArray) -> "Adjacency":
        """Group the arcs of ``edges`` (m, 2), which must be checked already."""
        n_edges = len(edges)
        tail = np.concatenate([edges[:, 0], edges[:, 1]])
        head = np.concatenate([edges[:, 1], edges[:, 0]])
        order = np.lexsort((head, tail))
        place = np.empty(2 * n_edges, dtype=np.int32)
        place[order] = np.arange(2 * n_edges, dtype=np.int32)
        opposite = (order + n_edges) % max(2 * n_edges, 1)
        start = np.zeros(n_nodes + 1, dtype=np.int32)
        np.cumsum(np.bincount(tail, minlength=n_nodes), out=start[1:])
        earlier = np.bincount(tail[head < tail], minlength=n_nodes)
        return cls(
            start=start,
            split=(start[:-1] + earlier).astype(np.int32),
            head=head[order].astype(np.int32),
            edge=(order % max(n_edges, 1)).astype(np.int32),
            sister=place[opposite],
            first=order < n_edges,
        )

    def arrays(self) -> tuple[Array, Array, Array, Array, Array]:
        """All but `sister`, in the order in which the compiled routines take them."""
        return self.start, self.split, self.head, self.edge, self.first
