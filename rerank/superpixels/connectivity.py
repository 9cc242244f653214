"""The 4-connected pieces of superpixels, and the merging of small ones."""

from __future__ import annotations

import numba
import numpy as np

from rerank.types import FloatArray, IntArray


def merge_fragments(assignment: IntArray, colour: FloatArray, min_area: float) -> IntArray:
    """Split an assignment into 4-connected pieces and merge the small ones away.

    A piece smaller than `min_area` joins the neighbouring piece of the most similar mean colour,
    in rounds from the smallest piece upwards, until none is too small (or one piece is left).
    Unlike the raster-order merging of the original SLIC this never glues a fragment to a
    neighbour of another colour while a similar one is there.

    Parameters
    ----------
    assignment : (H, W) int32
        Cluster of each pixel; clusters may be in several pieces.
    colour : (H, W, D) float32
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
        pieces, np.ascontiguousarray(colour, dtype=np.float32), n_pieces, float(min_area)
    )
    numbered: IntArray = _renumber(pieces, parent)
    return numbered


@numba.njit(cache=True)
def _find(parent: IntArray, i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@numba.njit(cache=True)
def _connected_pieces(assignment: IntArray) -> tuple[IntArray, int]:
    height, width = assignment.shape
    pieces = np.full((height, width), -1, dtype=np.int32)
    stack = np.empty((height * width, 2), dtype=np.int32)
    n_pieces = 0
    for y0 in range(height):
        for x0 in range(width):
            if pieces[y0, x0] >= 0:
                continue
            cluster = assignment[y0, x0]
            pieces[y0, x0] = n_pieces
            stack[0, 0] = y0
            stack[0, 1] = x0
            top = 1
            while top > 0:
                top -= 1
                y = stack[top, 0]
                x = stack[top, 1]
                for dy, dx in ((-1, 0), (1, 0), (0, -1), (0, 1)):
                    v = y + dy
                    u = x + dx
                    if v < 0 or u < 0 or v >= height or u >= width:
                        continue
                    if pieces[v, u] < 0 and assignment[v, u] == cluster:
                        pieces[v, u] = n_pieces
                        stack[top, 0] = v
                        stack[top, 1] = u
                        top += 1
            n_pieces += 1
    return pieces, n_pieces


@numba.njit(cache=True)
def _merge_small(pieces: IntArray, colour: FloatArray, n_pieces: int, min_area: float) -> IntArray:
    height, width = pieces.shape
    depth = colour.shape[2]
    area = np.zeros(n_pieces)
    total = np.zeros((n_pieces, depth))
    for y in range(height):
        for x in range(width):
            i = pieces[y, x]
            area[i] += 1.0
            for d in range(depth):
                total[i, d] += colour[y, x, d]
    parent = np.arange(n_pieces)
    best = np.empty(n_pieces, dtype=np.int64)
    distance = np.empty(n_pieces)
    while True:
        best[:] = -1
        distance[:] = np.inf
        for y in range(height):
            for x in range(width):
                for step in range(2):
                    v = y + step
                    u = x + 1 - step
                    if v >= height or u >= width or pieces[y, x] == pieces[v, u]:
                        continue
                    i = _find(parent, pieces[y, x])
                    j = _find(parent, pieces[v, u])
                    if i == j or (area[i] >= min_area and area[j] >= min_area):
                        continue
                    between = 0.0
                    for d in range(depth):
                        difference = total[i, d] / area[i] - total[j, d] / area[j]
                        between += difference * difference
                    if area[i] < min_area and (
                        between < distance[i] or (between == distance[i] and j < best[i])
                    ):
                        distance[i] = between
                        best[i] = j
                    if area[j] < min_area and (
                        between < distance[j] or (between == distance[j] and i < best[j])
                    ):
                        distance[j] = between
                        best[j] = i
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
            for d in range(depth):
                total[other, d] += total[i, d]


@numba.njit(cache=True)
def _renumber(pieces: IntArray, parent: IntArray) -> IntArray:
    height, width = pieces.shape
    number = np.full(parent.size, -1, dtype=np.int32)
    numbered = np.empty((height, width), dtype=np.int32)
    n_used = 0
    for y in range(height):
        for x in range(width):
            root = _find(parent, pieces[y, x])
            if number[root] < 0:
                number[root] = n_used
                n_used += 1
            numbered[y, x] = number[root]
    return numbered
