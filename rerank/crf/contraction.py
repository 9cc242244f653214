"""The same energy for labelings that are constant on given regions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from rerank.crf.potts_energy import PottsEnergy
from rerank.errors import InputError
from rerank.types import FloatArray, IntArray


def contract(energy: PottsEnergy, regions: Any) -> PottsEnergy:
    """Join the nodes of each region into one.

    ``contract(energy, regions).evaluate(y) == energy.evaluate(y[regions])`` for every labeling y
    of the regions, up to rounding.

    Parameters
    ----------
    energy : PottsEnergy
    regions : (n,) int
        Region of each node; every number from 0 to the largest occurs. Regions need not be
        connected.

    Returns
    -------
    PottsEnergy
        One node a region. Potts stays Potts, and one symmetric table stays one; other tables
        become a table an edge, of weight 1.

    Raises
    ------
    InputError
        If `regions` has another shape or type, or leaves a number out.

    Examples
    --------
    >>> import numpy as np
    >>> energy = PottsEnergy(np.array([[0.0, 1.0], [0.0, 2.0], [3.0, 0.0]]),
    ...                      np.array([[0, 1], [1, 2], [0, 2]]), np.array([1.0, 0.5, 0.25]))
    >>> joined = contract(energy, np.array([0, 0, 1]))
    >>> joined.unary, joined.weights
    (array([[0., 3.], [3., 0.]]), array([0.75]))
    """
    region = check_regions(regions, energy.n_nodes)
    n_regions, n_labels = int(region.max()) + 1, energy.n_labels
    unary = np.zeros((n_regions, n_labels))
    _add_rows(unary, region, energy.unary)
    ends = region[energy.edges]
    inside = ends[:, 0] == ends[:, 1]
    if energy.compatibility is not None:
        diagonal = np.diagonal(energy.compatibility, axis1=-2, axis2=-1)
        own = energy.weights[:, None] * diagonal
        _add_rows(unary, ends[inside, 0], own[inside])
    kept = np.flatnonzero(~inside)
    edges, which = _joined(ends[kept], n_regions)
    table = energy.compatibility
    if table is None or (table.ndim == 2 and np.array_equal(table, table.T)):
        sums = np.bincount(which, weights=energy.weights[kept], minlength=len(edges))
        return PottsEnergy(unary, edges, sums.astype(np.float64), table)
    flipped = ends[kept, 0] > ends[kept, 1]
    each = np.broadcast_to(table, (len(energy.edges), n_labels, n_labels))[kept]
    each = np.where(flipped[:, None, None], each.transpose(0, 2, 1), each)
    tables = np.zeros((len(edges), n_labels, n_labels))
    np.add.at(tables, which, each * energy.weights[kept, None, None])
    return PottsEnergy(unary, edges, np.ones(len(edges)), tables)


@njit(cache=True)
def _add_rows(sums: FloatArray, places: IntArray, rows: FloatArray) -> None:
    for k in range(len(places)):
        for label in range(sums.shape[1]):
            sums[places[k], label] += rows[k, label]


@njit(cache=True)
def _joined(ends: IntArray, n_regions: int) -> tuple[IntArray, IntArray]:
    """Pairs of regions that edges join, in order, and the pair of each edge."""
    m = len(ends)
    # Sorted by the greater region, then by the lesser one; each sort keeps the order before it.
    order = np.arange(m)
    for greater in (True, False):
        start = np.zeros(n_regions + 1, dtype=np.int64)
        for k in range(m):
            start[(max(ends[k]) if greater else min(ends[k])) + 1] += 1
        start = start.cumsum()
        placed = np.empty(m, dtype=np.int64)
        for e in order:
            region = max(ends[e]) if greater else min(ends[e])
            placed[start[region]] = e
            start[region] += 1
        order = placed
    edges = np.empty((m, 2), dtype=np.int64)
    which = np.empty(m, dtype=np.int64)
    count = 0
    for e in order:
        low, high = min(ends[e]), max(ends[e])
        if count == 0 or edges[count - 1, 0] != low or edges[count - 1, 1] != high:
            edges[count] = low, high
            count += 1
        which[e] = count - 1
    return edges[:count].copy(), which


def check_regions(regions: Any, n_nodes: int) -> IntArray:
    """Return `regions` as int64 if it numbers the regions without a gap.

    Parameters
    ----------
    regions : (n_nodes,) int
    n_nodes : int

    Returns
    -------
    (n_nodes,) int64

    Raises
    ------
    InputError
        If it does not.
    """
    region = np.asarray(regions)
    if region.shape != (n_nodes,) or not np.issubdtype(region.dtype, np.integer):
        raise InputError(
            f"regions must be integers of shape ({n_nodes},), got {region.dtype} {region.shape}"
        )
    present = np.unique(region)
    if present[0] != 0 or present[-1] != len(present) - 1:
        raise InputError(
            f"regions must use every number from 0 to the largest, got {len(present)} numbers "
            f"from {present[0]} to {present[-1]}"
        )
    return region.astype(np.int64)
