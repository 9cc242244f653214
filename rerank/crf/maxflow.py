"""Minimum cut of a graph with float64 capacities.

The search trees of Boykov and Kolmogorov (2004, "An experimental comparison of min-cut/max-flow
algorithms for energy minimization in vision") grow from both terminals and are repaired, not
rebuilt, after each augmentation. Their number of augmentations has no strongly polynomial bound,
so that rounding might in theory keep them going for ever. After a budget of augmentations the
rest is done along shortest paths (Edmonds and Karp 1972), whose bound of n * m augmentations
depends only on which residual capacities are zero: each augmentation makes one exactly zero.

A node's two terminal arcs are held as one number, its excess: capacity from the source less
capacity to the sink. Only the difference decides the cut, and a residual excess may change its
sign between two related problems without harm (Kohli and Torr 2005).

It is our own because the peers are GPL (PyMaxflow) or for research only (gco-wrapper).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from rerank.crf.adjacency import Adjacency
from rerank.types import BoolArray, FloatArray, IntArray

_NONE = -1
_TERMINAL = -2
_ORPHAN = -3
_FREE = 0
_SOURCE = 1
_SINK = 2
_FAR = 1 << 30
# Both trees grow where at least one node in so many leads to the sink.
_MANY = 8


class FlowNetwork(NamedTuple):
    """A graph with capacities; a minimum cut reduces them by the flow.

    Attributes
    ----------
    start, head, sister : arrays of `Adjacency`
    residual : (2m,) float64
        Residual capacity of each arc, at least 0.
    excess : (n,) float64
        Capacity of each node from the source less its capacity to the sink.
    """

    start: IntArray
    head: IntArray
    sister: IntArray
    residual: FloatArray
    excess: FloatArray

    @classmethod
    def on(cls, graph: Adjacency, residual: FloatArray, excess: FloatArray) -> FlowNetwork:
        """Join arrays of capacities, which are not copied, to their graph.

        Parameters
        ----------
        graph : Adjacency
        residual : (2m,) float64
        excess : (n,) float64

        Returns
        -------
        FlowNetwork
        """
        return cls(graph.start, graph.head, graph.sister, residual, excess)


class _SearchTrees(NamedTuple):
    """The trees that grow from the source and from the sink, as arrays (n,).

    Attributes
    ----------
    tree : int8
        `_SOURCE`, `_SINK` or `_FREE`.
    parent : int32
        Arc from a node to its parent in its tree.
    stamp : int64
        When the distance to the terminal was last known.
    depth : int32
        That distance.
    """

    tree: IntArray
    parent: IntArray
    stamp: IntArray
    depth: IntArray


@njit(cache=True)
def minimum_cut(network: FlowNetwork, in_sink: BoolArray, budget: int) -> int:
    """Find the minimum cut with the fewest nodes on the sink's side.

    Parameters
    ----------
    network : FlowNetwork, overwritten
        Holds what is left of the capacities afterwards.
    in_sink : (n,) bool, written
        True for the nodes on the sink's side.
    budget : int
        Augmentations along the search trees before the shortest paths take over.

    Returns
    -------
    int
        Number of augmentations.
    """
    n_sinks = 0
    for i in range(len(network.excess)):
        n_sinks += network.excess[i] < 0.0
    # Where few nodes lead to the sink, its tree finds all paths alone: the others wait for it.
    both = _MANY * n_sinks > len(network.excess)
    _push_to_neighbours(network, both)
    n_augmentations, done = _grow_trees(network, in_sink, budget, both)
    if not done:
        n_augmentations += shortest_path_cut(network, in_sink)
    return n_augmentations


@njit(cache=True)
def _push_to_neighbours(network: FlowNetwork, both: bool) -> None:
    # Most augmenting paths of a superpixel graph are one arc long, and need no search.
    start, head, sister, residual, excess = network
    for i in range(len(excess)):
        if excess[i] > 0.0 and not both:
            continue
        for arc in range(start[i], start[i + 1]):
            j = head[arc]
            if excess[i] == 0.0:
                break
            if excess[i] > 0.0 and excess[j] < 0.0:
                forth = arc
            elif excess[i] < 0.0 and excess[j] > 0.0:
                forth = sister[arc]
            else:
                continue
            amount = min(min(abs(excess[i]), abs(excess[j])), residual[forth])
            residual[forth] -= amount
            residual[sister[forth]] += amount
            excess[i] -= amount if forth == arc else -amount
            excess[j] += amount if forth == arc else -amount


@njit(cache=True)
def shortest_path_cut(network: FlowNetwork, in_sink: BoolArray) -> int:
    """Do what `minimum_cut` does along shortest augmenting paths (Edmonds and Karp 1972).

    Parameters
    ----------
    network : FlowNetwork, overwritten
    in_sink : (n,) bool, written

    Returns
    -------
    int
        Number of augmentations.
    """
    start, head, sister, residual, excess = network
    n = len(start) - 1
    via = np.empty(n, dtype=np.int32)
    queue = np.empty(n, dtype=np.int32)
    n_augmentations = 0
    while True:
        # Backwards from the sink, so that the last search leaves the nodes that reach it.
        size = 0
        for i in range(n):
            in_sink[i] = excess[i] < 0.0
            if in_sink[i]:
                via[i] = _TERMINAL
                queue[size] = i
                size += 1
        origin = -1
        place = 0
        while place < size and origin < 0:
            j = queue[place]
            place += 1
            for arc in range(start[j], start[j + 1]):
                i = head[arc]
                if not in_sink[i] and residual[sister[arc]] > 0.0:
                    in_sink[i] = True
                    via[i] = sister[arc]
                    if excess[i] > 0.0:
                        origin = i
                        break
                    queue[size] = i
                    size += 1
        if origin < 0:
            return n_augmentations
        amount = excess[origin]
        i = origin
        while via[i] != _TERMINAL:
            amount = min(amount, residual[via[i]])
            i = head[via[i]]
        amount = min(amount, -excess[i])
        excess[i] += amount
        excess[origin] -= amount
        i = origin
        while via[i] != _TERMINAL:
            arc = via[i]
            residual[arc] -= amount
            residual[sister[arc]] += amount
            i = head[arc]
        n_augmentations += 1


@njit(cache=True)
def _grow_trees(
    network: FlowNetwork, in_sink: BoolArray, budget: int, both: bool
) -> tuple[int, bool]:
    start, head, sister, residual, excess = network
    n = len(start) - 1
    parent = np.full(n, _NONE, dtype=np.int32)
    tree = np.zeros(n, dtype=np.int8)
    stamp = np.zeros(n, dtype=np.int64)
    depth = np.zeros(n, dtype=np.int32)
    trees = _SearchTrees(tree, parent, stamp, depth)
    active = np.empty(n + 1, dtype=np.int32)
    waiting = np.zeros(n, dtype=np.bool_)
    orphans = np.empty(n + 1, dtype=np.int32)
    first = 0
    last = 0
    for i in range(n):
        if excess[i] != 0.0:
            tree[i] = _SOURCE if excess[i] > 0.0 else _SINK
            parent[i] = _TERMINAL
            depth[i] = 1
            if both or excess[i] < 0.0:
                active[last] = i
                waiting[i] = True
                last += 1
    clock = 0
    current = -1
    n_augmentations = 0
    while n_augmentations < budget:
        if current < 0 or parent[current] == _NONE:
            current = -1
            while first != last:
                i = active[first]
                first = first + 1 if first < n else 0
                waiting[i] = False
                if parent[i] != _NONE:
                    current = i
                    break
            if current < 0:
                for i in range(n):
                    in_sink[i] = tree[i] == _SINK
                return n_augmentations, True
        bridge = -1
        side = tree[current]
        for arc in range(start[current], start[current + 1]):
            if (residual[arc] if side == _SOURCE else residual[sister[arc]]) <= 0.0:
                continue
            j = head[arc]
            if tree[j] == _FREE:
                tree[j] = side
                parent[j] = sister[arc]
                stamp[j] = stamp[current]
                depth[j] = depth[current] + 1
                if not waiting[j]:
                    active[last] = j
                    waiting[j] = True
                    last = last + 1 if last < n else 0
            elif tree[j] != side:
                bridge = arc if side == _SOURCE else sister[arc]
                break
            elif stamp[j] <= stamp[current] and depth[j] > depth[current] + 1:
                parent[j] = sister[arc]
                stamp[j] = stamp[current]
                depth[j] = depth[current] + 1
        clock += 1
        if bridge < 0:
            current = -1
            continue
        n_orphans = _augment(bridge, network, parent, orphans)
        n_augmentations += 1
        place = 0
        while place != n_orphans:
            i = orphans[place]
            place = place + 1 if place < n else 0
            if _adopt(i, clock, network, trees):
                continue
            # No parent is left: the node goes free, its children become orphans, and the
            # neighbours that could reach it again are put back to work.
            for arc in range(start[i], start[i + 1]):
                j = head[arc]
                if tree[j] != tree[i] or parent[j] == _NONE:
                    continue
                enters = residual[sister[arc]] if tree[i] == _SOURCE else residual[arc]
                if enters > 0.0 and not waiting[j]:
                    active[last] = j
                    waiting[j] = True
                    last = last + 1 if last < n else 0
                if parent[j] >= 0 and head[parent[j]] == i:
                    parent[j] = _ORPHAN
                    orphans[n_orphans] = j
                    n_orphans = n_orphans + 1 if n_orphans < n else 0
            tree[i] = _FREE
            parent[i] = _NONE
    return n_augmentations, False


@njit(cache=True)
def _augment(bridge: int, network: FlowNetwork, parent: IntArray, orphans: IntArray) -> int:
    _, head, sister, residual, excess = network
    amount = residual[bridge]
    i = head[sister[bridge]]
    while parent[i] != _TERMINAL:
        amount = min(amount, residual[sister[parent[i]]])
        i = head[parent[i]]
    amount = min(amount, excess[i])
    i = head[bridge]
    while parent[i] != _TERMINAL:
        amount = min(amount, residual[parent[i]])
        i = head[parent[i]]
    amount = min(amount, -excess[i])

    residual[bridge] -= amount
    residual[sister[bridge]] += amount
    n_orphans = 0
    for side in range(2):
        i = head[sister[bridge]] if side == 0 else head[bridge]
        while True:
            arc = parent[i]
            if arc == _TERMINAL:
                excess[i] += -amount if side == 0 else amount
                if excess[i] == 0.0:
                    parent[i] = _ORPHAN
                    orphans[n_orphans] = i
                    n_orphans += 1
                break
            forth = sister[arc] if side == 0 else arc
            residual[forth] -= amount
            residual[sister[forth]] += amount
            if residual[forth] == 0.0:
                parent[i] = _ORPHAN
                orphans[n_orphans] = i
                n_orphans += 1
            i = head[arc]
    return n_orphans


@njit(cache=True)
def _adopt(i: int, clock: int, network: FlowNetwork, trees: _SearchTrees) -> bool:
    start, head, sister, residual, _ = network
    tree, parent, stamp, depth = trees
    best = _NONE
    nearest = _FAR
    for arc in range(start[i], start[i + 1]):
        if (residual[sister[arc]] if tree[i] == _SOURCE else residual[arc]) <= 0.0:
            continue
        j = head[arc]
        if tree[j] != tree[i] or parent[j] == _NONE:
            continue
        distance = 0
        while True:
            if stamp[j] == clock:
                distance += depth[j]
                break
            up = parent[j]
            distance += 1
            if up == _TERMINAL:
                stamp[j] = clock
                depth[j] = 1
                break
            if up == _ORPHAN:
                distance = _FAR
                break
            j = head[up]
        if distance >= _FAR:
            continue
        if distance < nearest:
            nearest = distance
            best = arc
        j = head[arc]
        while stamp[j] != clock:
            stamp[j] = clock
            depth[j] = distance
            distance -= 1
            j = head[parent[j]]
    if best == _NONE:
        return False
    parent[i] = best
    stamp[i] = clock
    depth[i] = nearest + 1
    return True
