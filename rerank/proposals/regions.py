"""Regions of superpixels: components of a labeling, and a hierarchy by merging like neighbours."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
from numba import njit

from rerank.errors import InputError
from rerank.types import FloatArray, IntArray


def label_components(labeling: IntArray, edges: IntArray) -> IntArray:
    """Connected components of equal label.

    Parameters
    ----------
    labeling : (n,) int
    edges : (m, 2) int

    Returns
    -------
    (n,) int64
        Component of each node, numbered from 0.

    Examples
    --------
    >>> import numpy as np
    >>> label_components(np.array([3, 3, 5, 3]), np.array([[0, 1], [1, 2], [2, 3]]))
    array([0, 0, 1, 2])
    """
    same = edges[labeling[edges[:, 0]] == labeling[edges[:, 1]]]
    return _parts(len(labeling), same)


@dataclass(frozen=True, eq=False)
class MergeHierarchy:
    """Regions of any number, each set of regions a coarsening of all larger sets.

    Attributes
    ----------
    n_nodes : int
    merges : (k, 2) int64
        Nodes whose regions are joined, in order.
    """

    n_nodes: int
    merges: IntArray

    def regions(self, n_regions: int) -> IntArray:
        """Region of each node (n,), numbered from 0 in the order of their first nodes.

        There are `n_regions` of them, or as many as there are nodes or connected parts of the
        graph where that is fewer or more.

        Raises
        ------
        InputError
            If `n_regions` is less than 1.
        """
        if n_regions < 1:
            raise InputError(f"n_regions must be at least 1, got {n_regions}")
        used = self.merges[: max(0, self.n_nodes - n_regions)]
        return _parts(self.n_nodes, used)


@njit(cache=True)
def _parts(n_nodes: int, pairs: IntArray) -> IntArray:
    """Connected part of each node, numbered in the order of their first nodes."""
    root = np.arange(n_nodes)
    for k in range(len(pairs)):
        i, j = pairs[k]
        while root[i] != i:
            root[i] = root[root[i]]
            i = root[i]
        while root[j] != j:
            root[j] = root[root[j]]
            j = root[j]
        # The least node of a part is its root.
        if i < j:
            root[j] = i
        else:
            root[i] = j
    found = np.empty(n_nodes, dtype=np.int64)
    count = 0
    for i in range(n_nodes):
        if root[i] == i:
            found[i] = count
            count += 1
        else:
            found[i] = found[root[i]]
    return found


def merge_hierarchy(features: FloatArray, areas: FloatArray, edges: IntArray) -> MergeHierarchy:
    """Join neighbouring regions, those first whose joining costs least (Ward 1963).

    The cost is the rise of the area-weighted squared distance of the features to their region's
    mean, ``a b / (a + b) * |f_a - f_b|^2``.

    Parameters
    ----------
    features : (n, D) float
    areas : (n,) float, positive
    edges : (m, 2) int
        Only neighbours are joined.

    Returns
    -------
    MergeHierarchy
        Down to one region for each connected part of the graph.
    """
    merges = _merge(
        np.array(features, dtype=np.float64, order="C"),
        np.array(areas, dtype=np.float64),
        np.asarray(edges, dtype=np.int64),
    )
    return MergeHierarchy(len(features), merges)


@njit(cache=True)
def _merge(mean: FloatArray, area: FloatArray, edges: IntArray) -> IntArray:
    """Merges (k, 2) in order; `mean` (n, D) and `area` (n,) become those of the last regions."""
    n, depth = mean.shape
    # Each node stands for its region until that is joined to another; age tells stale entries.
    age = np.zeros(n, dtype=np.int64)
    parent = np.arange(n)
    # The neighbours of a region are a linked list of nodes, of which some may have been joined.
    node = np.empty(2 * len(edges), dtype=np.int64)
    after = np.full(2 * len(edges), -1)
    head, tail = np.full(n, -1), np.full(n, -1)
    heap = [(0.0, 0, 0, 0, 0)]
    heap.pop()
    for k in range(len(edges)):
        i, j = edges[k]
        _append(2 * k, i, after, head, tail)
        _append(2 * k + 1, j, after, head, tail)
        node[2 * k], node[2 * k + 1] = j, i
        heapq.heappush(heap, (_rise(mean, area, i, j), i, j, 0, 0))
    merges = np.empty((max(0, n - 1), 2), dtype=np.int64)
    n_merges = 0
    seen = np.full(n, -1)
    while heap:
        _, i, j, age_i, age_j = heapq.heappop(heap)
        if age[i] != age_i or age[j] != age_j:
            continue
        merges[n_merges] = i, j
        total = area[i] + area[j]
        for d in range(depth):
            mean[i, d] = (area[i] * mean[i, d] + area[j] * mean[j, d]) / total
        area[i] = total
        age[i] += 1
        age[j] = -1
        parent[j] = i
        after[tail[i]] = head[j]
        entry = head[i]
        head[i] = tail[i] = -1
        while entry >= 0:
            following = after[entry]
            other = node[entry]
            while parent[other] != other:
                parent[other] = parent[parent[other]]
                other = parent[other]
            if other != i and seen[other] != n_merges:
                seen[other] = n_merges
                node[entry] = other
                _append(entry, i, after, head, tail)
                heapq.heappush(heap, (_rise(mean, area, i, other), i, other, age[i], age[other]))
            entry = following
        n_merges += 1
    return merges[:n_merges]


@njit(cache=True)
def _append(entry: int, i: int, after: IntArray, head: IntArray, tail: IntArray) -> None:
    """Put an entry at the end of the neighbours of i."""
    after[entry] = -1
    if head[i] < 0:
        head[i] = entry
    else:
        after[tail[i]] = entry
    tail[i] = entry


@njit(cache=True)
def _rise(mean: FloatArray, area: FloatArray, i: int, j: int) -> float:
    """What joining two regions costs."""
    square = 0.0
    for d in range(mean.shape[1]):
        square += (mean[i, d] - mean[j, d]) ** 2
    rise: float = area[i] * area[j] / (area[i] + area[j]) * square
    return rise
