"""The 4-connected pieces of superpixels, and the merging of small ones."""

from __future__ import annotations

import numba
import numpy as np

from rerank.superpixels.local_kmeans import sums_over_regions
from rerank.types import FloatArray, IntArray


def merge_fragments(assignment: IntArray, planes: FloatArray, min_area: float) -> IntArray:
    """Split an assignment into 4-connected pieces and merge the small ones away.

    A piece smaller than `min_area` joins the neighbouring piece of the most similar mean colour,
    in rounds from the smallest piece upwards, until none is too small (or one piece is left).
    Unlike the raster-order merging of the original SLIC this never glues a fragment to a
    neighbour of another colour while a similar one is there.

    Parameters
    ----------
    assignment : (H, W) int32
        Cluster of each pixel; clusters may be in several pieces.
    planes : (3, H, W) float32
        Colour by which neighbours are compared.
    min_area : float
        Least area of a superpixel in pixels.

    Returns
    -------
    (H, W) int32
        Pieces numbered from 0 in raster order of their first pixel.
    """
    # scikit-image's own merging (`enforce_connectivity`) ignores colour.
    pieces, n_pieces = _connected_pieces(np.ascontiguousarray(assignment, dtype=np.int32))
    parent = _merge_small(
        pieces, np.ascontiguousarray(planes, dtype=np.float32), n_pieces, float(min_area)
    )
    _renumber(pieces, parent)
    return pieces


@numba.njit(cache=True)
def _find(parent: IntArray, i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@numba.njit(cache=True)
def _connected_pieces(assignment: IntArray) -> tuple[IntArray, int]:
    """Number the pieces in raster order, by union-find over one sweep of the pixels."""
    height, width = assignment.shape
    pieces = np.empty((height, width), dtype=np.int32)
    parent = np.empty(height * width, dtype=np.int32)
    n_labels = 0
    for y in range(height):
        for x in range(width):
            cluster = assignment[y, x]
            left = x > 0 and assignment[y, x - 1] == cluster
            above = y > 0 and assignment[y - 1, x] == cluster
            if left:
                pieces[y, x] = pieces[y, x - 1]
                if above and assignment[y - 1, x - 1] != cluster:
                    i = _find(parent, pieces[y, x - 1])
                    j = _find(parent, pieces[y - 1, x])
                    parent[max(i, j)] = min(i, j)
            elif above:
                pieces[y, x] = pieces[y - 1, x]
            else:
                pieces[y, x] = n_labels
                parent[n_labels] = n_labels
                n_labels += 1
    n_pieces = 0
    number = np.empty(n_labels, dtype=np.int32)
    for i in range(n_labels):
        # the root of a piece is the label of its first pixel, hence the lowest
        root = _find(parent, i)
        if root == i:
            number[i] = n_pieces
            n_pieces += 1
        else:
            number[i] = number[root]
    for y in range(height):
        for x in range(width):
            pieces[y, x] = number[pieces[y, x]]
    return pieces, n_pieces


@numba.njit(cache=True)
def _small_pairs(pieces: IntArray, area: FloatArray, min_area: float) -> IntArray:
    """Pairs (i, j) of touching pieces of which one is too small, some more than once: (m, 2)."""
    height, width = pieces.shape
    pairs = np.empty((2 * pieces.size, 2), dtype=np.int32)
    m = 0
    for y in range(height):
        for x in range(width):
            i = pieces[y, x]
            for step in range(2):
                v = y + step
                u = x + 1 - step
                if v == height or u == width or pieces[v, u] == i:
                    continue
                j = pieces[v, u]
                if area[i] < min_area or area[j] < min_area:
                    pairs[m, 0] = i
                    pairs[m, 1] = j
                    m += 1
    return pairs[:m]


@numba.njit(cache=True)
def _merge_small(pieces: IntArray, planes: FloatArray, n_pieces: int, min_area: float) -> IntArray:
    area, sums = sums_over_regions(planes, pieces, n_pieces)
    total = sums[:, 2:]
    pairs = _small_pairs(pieces, area, min_area)
    parent = np.arange(n_pieces)
    best = np.empty(n_pieces, dtype=np.int64)
    distance = np.empty(n_pieces)
    while True:
        best[:] = -1
        distance[:] = np.inf
        left = 0
        for m in range(pairs.shape[0]):
            i = _find(parent, pairs[m, 0])
            j = _find(parent, pairs[m, 1])
            if i == j or (area[i] >= min_area and area[j] >= min_area):
                continue
            # no other pair matters in a later round: pieces only grow
            pairs[left, 0] = i
            pairs[left, 1] = j
            left += 1
            between = 0.0
            for d in range(3):
                difference = total[i, d] / area[i] - total[j, d] / area[j]
                between += difference * difference
            for small, other in ((i, j), (j, i)):
                if area[small] < min_area and (
                    between < distance[small]
                    or (between == distance[small] and other < best[small])
                ):
                    distance[small] = between
                    best[small] = other
        pairs = pairs[:left]
        waiting = np.flatnonzero(best >= 0)
        if waiting.size == 0:
            return parent
        for i in waiting[np.argsort(area[waiting], kind="mergesort")]:
            root = _find(parent, i)
            if root != i or area[i] >= min_area:
                continue
            other = _find(parent, best[i])
            if other == i:
                continue
            parent[i] = other
            area[other] += area[i]
            for d in range(3):
                total[other, d] += total[i, d]


@numba.njit(cache=True)
def _renumber(pieces: IntArray, parent: IntArray) -> None:
    height, width = pieces.shape
    number = np.full(parent.size, -1, dtype=np.int32)
    n_used = 0
    for y in range(height):
        for x in range(width):
            i = pieces[y, x]
            if number[i] < 0:
                root = _find(parent, i)
                if number[root] < 0:
                    number[root] = n_used
                    n_used += 1
                number[i] = number[root]
            pieces[y, x] = number[i]
