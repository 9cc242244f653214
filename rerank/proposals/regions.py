"""Regions of superpixels: components of a labeling, and a hierarchy by merging like neighbours."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

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
    n = len(labeling)
    same = edges[labeling[edges[:, 0]] == labeling[edges[:, 1]]]
    graph = csr_array((np.ones(len(same)), (same[:, 0], same[:, 1])), shape=(n, n))
    return connected_components(graph, directed=False)[1].astype(np.int64)


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
        used = self.merges[:max(0, self.n_nodes - n_regions)]
        graph = csr_array((np.ones(len(used)), (used[:, 0], used[:, 1])),
                          shape=(self.n_nodes, self.n_nodes))
        return connected_components(graph, directed=False)[1].astype(np.int64)


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
    n = len(features)
    mean = [row for row in np.asarray(features, dtype=np.float64)]
    area = [float(value) for value in areas]
    neighbours: list[set[int]] = [set() for _ in range(n)]
    for i, j in edges.tolist():
        neighbours[i].add(j)
        neighbours[j].add(i)
    difference = features[edges[:, 0]] - features[edges[:, 1]]
    weight = areas[edges[:, 0]] * areas[edges[:, 1]] / areas[edges].sum(axis=1)
    costs = weight * np.einsum("ij,ij->i", difference, difference)
    # Each node stands for its region until that is joined to another; age tells stale entries.
    age = [0] * n
    heap = [(cost, i, j, 0, 0) for cost, (i, j) in zip(costs.tolist(), edges.tolist())]
    heapq.heapify(heap)
    merges = []
    while heap:
        _, i, j, age_i, age_j = heapq.heappop(heap)
        if age[i] != age_i or age[j] != age_j:
            continue
        merges.append((i, j))
        total = area[i] + area[j]
        mean[i] = (area[i] * mean[i] + area[j] * mean[j]) / total
        area[i] = total
        age[i] += 1
        age[j] = -1
        neighbours[i] |= neighbours[j]
        neighbours[i] -= {i, j}
        around = sorted(neighbours[i])
        for k in around:
            neighbours[k].discard(j)
            neighbours[k].add(i)
        if around:
            gap = np.stack([mean[k] for k in around]) - mean[i]
            other = np.array([area[k] for k in around])
            rises = other * total / (other + total) * np.einsum("ij,ij->i", gap, gap)
            for k, rise in zip(around, rises.tolist()):
                heapq.heappush(heap, (rise, i, k, age[i], age[k]))
    return MergeHierarchy(n, np.array(merges, dtype=np.int64).reshape(-1, 2))
