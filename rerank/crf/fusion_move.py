"""The fusion move: the better regions of two labelings, joined in one.

Where two labelings differ, the nodes fall into connected components. No edge joins two of them, so
that each component can take its labels from the labeling that is cheaper there, whatever the
others take: of all such mixtures the cheapest is found in one visit to each node that differs.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from rerank.crf.energy_arrays import EnergyArrays, pair_cost
from rerank.types import IntArray


@njit(cache=True)
def fuse(problem: EnergyArrays, labeling: IntArray, other: IntArray) -> int:
    """Lower the cost of `labeling` in place by what is better in `other`.

    Parameters
    ----------
    problem : EnergyArrays
    labeling : (n,) int64, overwritten
    other : (n,) int64, overwritten
        Equal to `labeling` afterwards.

    Returns
    -------
    int
        Number of components that changed.
    """
    theta, graph, pairwise = problem
    start, _, head, edge, _, first = graph
    weights, tables = pairwise
    n = len(labeling)
    members = np.empty(n, dtype=np.int64)
    seen = np.zeros(n, dtype=np.bool_)
    changed = 0
    for root in range(n):
        if seen[root] or labeling[root] == other[root]:
            continue
        seen[root] = True
        members[0] = root
        size = 1
        place = 0
        gain = 0.0
        while place < size:
            i = members[place]
            place += 1
            old, new = labeling[i], other[i]
            gain += theta[i, old] - theta[i, new]
            for arc in range(start[i], start[i + 1]):
                j = head[arc]
                here, there = labeling[j], other[j]
                if here != there:
                    if not seen[j]:
                        seen[j] = True
                        members[size] = j
                        size += 1
                    if j < i:
                        continue
                e = edge[arc]
                if tables.shape[0] == 0:
                    gain += weights[e] * ((old != here) - (new != there))
                elif first[arc]:
                    gain += pair_cost(pairwise, e, old, here) - pair_cost(pairwise, e, new, there)
                else:
                    gain += pair_cost(pairwise, e, here, old) - pair_cost(pairwise, e, there, new)
        changed += gain > 0.0
        # Set equal one way or the other, so that the component is not met again.
        for place in range(size):
            i = members[place]
            if gain > 0.0:
                labeling[i] = other[i]
            else:
                other[i] = labeling[i]
    return changed
