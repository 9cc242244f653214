"""Compiled loops over a permutohedral lattice: splatting, slicing, blurring.

All take rows of channels: `values` (N, C) of points, `lattice` (M, C) of lattice points. `indices`
and `weights` (N, d + 1) are those of the corners of each point's simplex; blur weights are (K,), or
(K, C_in, C_out) where channels mix. Unless a function says otherwise it adds to `out`. The compiler
may fuse a product and a sum, and changes nothing else.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from rerank.types import Array, FloatArray, IntArray


class NeighbourLists(NamedTuple):
    """The neighbours of each of M lattice points that exist, one list after the other.

    Attributes
    ----------
    starts : (M + 1,) int64
        The list of point m is entries ``starts[m]`` to ``starts[m + 1]`` of the other two.
    offsets : (E,) int32
        The neighbour's offset, as its row in `neighbour_offsets`.
    targets : (E,) int32
        The neighbour.
    """

    starts: IntArray
    offsets: IntArray
    targets: IntArray


@njit(cache=True, nogil=True, fastmath={"contract"})
def splat(values: FloatArray, indices: Array, weights: FloatArray, out: FloatArray) -> None:
    """Add each point's row, times its weight, to the rows of the corners of its simplex."""
    if values.shape[1] == 1:
        for p in range(values.shape[0]):
            for k in range(indices.shape[1]):
                out[indices[p, k], 0] += weights[p, k] * values[p, 0]
        return
    for p in range(values.shape[0]):
        for k in range(indices.shape[1]):
            m = indices[p, k]
            weight = weights[p, k]
            for c in range(values.shape[1]):
                out[m, c] += weight * values[p, c]


@njit(cache=True, nogil=True, fastmath={"contract"})
def slice_(
    lattice: FloatArray, indices: Array, weights: FloatArray, base: FloatArray, out: FloatArray
) -> None:
    """Interpolate each point's row from those of the corners and add `base`, into `out`.

    The transpose of `splat`. Corners go two at a time, which halves the traffic of `out`.
    """
    n_channels = out.shape[1]
    n_corners = indices.shape[1]
    if n_channels == 1:
        for p in range(out.shape[0]):
            total = base[p, 0]
            for k in range(n_corners):
                total += weights[p, k] * lattice[indices[p, k], 0]
            out[p, 0] = total
        return
    for p in range(out.shape[0]):
        first, second = indices[p, 0], indices[p, 1]
        to_first, to_second = weights[p, 0], weights[p, 1]
        for c in range(n_channels):
            out[p, c] = base[p, c] + to_first * lattice[first, c] + to_second * lattice[second, c]
        for k in range(2, n_corners - 1, 2):
            first, second = indices[p, k], indices[p, k + 1]
            to_first, to_second = weights[p, k], weights[p, k + 1]
            for c in range(n_channels):
                out[p, c] += to_first * lattice[first, c] + to_second * lattice[second, c]
        if n_corners % 2 == 1:
            last = indices[p, n_corners - 1]
            to_last = weights[p, n_corners - 1]
            for c in range(n_channels):
                out[p, c] += to_last * lattice[last, c]


@njit(cache=True, nogil=True, fastmath={"contract"})
def blur_direction(
    lattice: FloatArray,
    ahead: IntArray,
    behind: IntArray,
    centre: float,
    side: float,
    out: FloatArray,
) -> None:
    """Three taps along one direction; a missing neighbour counts as zero."""
    n_vertices = lattice.shape[0]
    for m in range(n_vertices):
        for c in range(lattice.shape[1]):
            out[m, c] = centre * lattice[m, c]
        if ahead[m] < n_vertices:
            for c in range(lattice.shape[1]):
                out[m, c] += side * lattice[ahead[m], c]
        if behind[m] < n_vertices:
            for c in range(lattice.shape[1]):
                out[m, c] += side * lattice[behind[m], c]


@njit(cache=True, nogil=True, fastmath={"contract"})
def blur_shared(
    lattice: FloatArray, weights: FloatArray, lists: NeighbourLists, out: FloatArray
) -> None:
    """Weigh the neighbours of each lattice point, all channels alike."""
    starts, offsets, targets = lists
    for m in range(lattice.shape[0]):
        for e in range(starts[m], starts[m + 1]):
            weight = weights[offsets[e]]
            n = targets[e]
            for c in range(lattice.shape[1]):
                out[m, c] += weight * lattice[n, c]


@njit(cache=True, nogil=True, fastmath={"contract"})
def blur_shared_weight_grad(
    grad: FloatArray, lattice: FloatArray, lists: NeighbourLists, out: FloatArray
) -> None:
    """The gradient of ``(grad * blur_shared(lattice, weights)).sum()`` to the weights."""
    starts, offsets, targets = lists
    for m in range(lattice.shape[0]):
        for e in range(starts[m], starts[m + 1]):
            n = targets[e]
            total = 0.0
            for c in range(lattice.shape[1]):
                total += grad[m, c] * lattice[n, c]
            out[offsets[e]] += total


@njit(cache=True, nogil=True, fastmath={"contract"})
def blur_mixing(
    lattice: FloatArray, weights: FloatArray, lists: NeighbourLists, out: FloatArray
) -> None:
    """Weigh the neighbours of each lattice point by a matrix (C_in, C_out) for each offset."""
    starts, offsets, targets = lists
    for m in range(lattice.shape[0]):
        for e in range(starts[m], starts[m + 1]):
            k = offsets[e]
            n = targets[e]
            for i in range(0, weights.shape[1] - 1, 2):
                first, second = lattice[n, i], lattice[n, i + 1]
                for o in range(weights.shape[2]):
                    out[m, o] += first * weights[k, i, o] + second * weights[k, i + 1, o]
            if weights.shape[1] % 2 == 1:
                i = weights.shape[1] - 1
                value = lattice[n, i]
                for o in range(weights.shape[2]):
                    out[m, o] += value * weights[k, i, o]


@njit(cache=True, nogil=True, fastmath={"contract"})
def blur_mixing_weight_grad(
    grad: FloatArray, lattice: FloatArray, lists: NeighbourLists, out: FloatArray
) -> None:
    """The gradient of ``(grad * blur_mixing(lattice, weights)).sum()`` to the weights."""
    starts, offsets, targets = lists
    for m in range(lattice.shape[0]):
        for e in range(starts[m], starts[m + 1]):
            k = offsets[e]
            n = targets[e]
            for i in range(out.shape[1]):
                value = lattice[n, i]
                for o in range(out.shape[2]):
                    out[k, i, o] += value * grad[m, o]


@njit(cache=True, nogil=True, fastmath={"contract"})
def group_by_row(neighbours: IntArray) -> NeighbourLists:
    """Turn a table (K, M) of neighbours, M where absent, into lists for each lattice point."""
    n_offsets, n_vertices = neighbours.shape
    starts = np.zeros(n_vertices + 1, np.int64)
    for k in range(n_offsets):
        for m in range(n_vertices):
            if neighbours[k, m] < n_vertices:
                starts[m + 1] += 1
    for m in range(n_vertices):
        starts[m + 1] += starts[m]
    offsets = np.empty(starts[n_vertices], np.int32)
    targets = np.empty(starts[n_vertices], np.int32)
    filled = starts[:n_vertices].copy()
    for k in range(n_offsets):
        for m in range(n_vertices):
            if neighbours[k, m] < n_vertices:
                offsets[filled[m]] = k
                targets[filled[m]] = neighbours[k, m]
                filled[m] += 1
    return NeighbourLists(starts, offsets, targets)


@njit(cache=True, nogil=True, fastmath={"contract"})
def pair_offsets(directions: IntArray, subsets: IntArray, out: Array) -> None:
    """The offset from corner k to corner m > k of each point's simplex, as `pair_weights`."""
    n_steps = directions.shape[1]
    for p in range(directions.shape[0]):
        pair = 0
        for k in range(n_steps):
            subset = np.int64(0)
            for m in range(k, n_steps):
                subset |= np.int64(1) << np.int64(directions[p, m])
                out[p, pair] = subsets[subset]
                pair += 1


@njit(cache=True, nogil=True, fastmath={"contract"})
def pair_weights(corners: FloatArray, out: FloatArray) -> None:
    """The products of two corners' weights; the first entry, of each corner with itself."""
    n_corners = corners.shape[0]
    squares = corners[0] * corners[0]
    pair = 1
    for k in range(n_corners):
        if k > 0:
            squares += corners[k] * corners[k]
        for m in range(k + 1, n_corners):
            out[pair] = corners[k] * corners[m]
            pair += 1
    out[0] = squares


@njit(cache=True, nogil=True, fastmath={"contract"})
def self_shared(kernel: FloatArray, weights: FloatArray, pairs: Array, out: FloatArray) -> None:
    """What each point sends to itself; `kernel` holds, off zero, the sum of both ways."""
    shares = np.empty(pairs.shape[1] + 1, weights.dtype)
    for p in range(weights.shape[0]):
        pair_weights(weights[p], shares)
        total = shares[0] * kernel[0]
        for pair in range(pairs.shape[1]):
            total += shares[pair + 1] * kernel[pairs[p, pair]]
        out[p] = total


@njit(cache=True, nogil=True, fastmath={"contract"})
def self_mixing(
    values: FloatArray,
    kernel: FloatArray,
    weights: FloatArray,
    pairs: Array,
    base: FloatArray,
    out: FloatArray,
) -> None:
    """As `self_shared`, with a matrix (C_in, C_out), flattened, for each offset.

    Writes the sum with `base`. Values on the simplex are mostly zeros, so that points with few
    others read only those rows of the matrices.
    """
    n_in, n_out = values.shape[1], out.shape[1]
    # Four matrices are added at a time, the last four padded by some of no weight.
    n_padded = (pairs.shape[1] + 4) // 4 * 4
    rows = np.zeros(n_padded, np.int64)
    shares = np.zeros(n_padded, values.dtype)
    matrix = np.empty(n_in * n_out, values.dtype)
    for p in range(weights.shape[0]):
        pair_weights(weights[p], shares)
        for pair in range(pairs.shape[1]):
            rows[pair + 1] = pairs[p, pair]
        n_nonzero = 0
        for i in range(n_in):
            n_nonzero += values[p, i] != 0
        for o in range(n_out):
            out[p, o] = base[p, o]
        if 4 * n_nonzero <= n_in:
            for i in range(n_in):
                value = values[p, i]
                if value != 0:
                    at = i * n_out
                    for pair in range(0, n_padded, 4):
                        a, b, c, d = rows[pair], rows[pair + 1], rows[pair + 2], rows[pair + 3]
                        of_a, of_b = value * shares[pair], value * shares[pair + 1]
                        of_c, of_d = value * shares[pair + 2], value * shares[pair + 3]
                        for o in range(n_out):
                            out[p, o] += (
                                of_a * kernel[a, at + o]
                                + of_b * kernel[b, at + o]
                                + of_c * kernel[c, at + o]
                                + of_d * kernel[d, at + o]
                            )
            continue
        matrix[:] = 0
        for pair in range(0, n_padded, 4):
            a, b, c, d = rows[pair], rows[pair + 1], rows[pair + 2], rows[pair + 3]
            of_a, of_b = shares[pair], shares[pair + 1]
            of_c, of_d = shares[pair + 2], shares[pair + 3]
            for i in range(matrix.shape[0]):
                matrix[i] += (
                    of_a * kernel[a, i]
                    + of_b * kernel[b, i]
                    + of_c * kernel[c, i]
                    + of_d * kernel[d, i]
                )
        for i in range(n_in):
            value = values[p, i]
            for o in range(n_out):
                out[p, o] += value * matrix[i * n_out + o]


@njit(cache=True, nogil=True, fastmath={"contract"})
def self_mixing_weight_grad(
    grad: FloatArray, values: FloatArray, weights: FloatArray, pairs: Array, out: FloatArray
) -> None:
    """The gradient of ``(grad * self_mixing(values, kernel)).sum()`` to the kernel."""
    n_in, n_out = values.shape[1], grad.shape[1]
    shares = np.empty(pairs.shape[1] + 1, values.dtype)
    matrix = np.empty(n_in * n_out, values.dtype)
    for p in range(weights.shape[0]):
        pair_weights(weights[p], shares)
        for i in range(n_in):
            value = values[p, i]
            for o in range(n_out):
                matrix[i * n_out + o] = value * grad[p, o]
        for i in range(matrix.shape[0]):
            out[0, i] += shares[0] * matrix[i]
        for pair in range(pairs.shape[1]):
            row = pairs[p, pair]
            share = shares[pair + 1]
            for i in range(matrix.shape[0]):
                out[row, i] += share * matrix[i]
