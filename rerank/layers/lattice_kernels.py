"""Compiled loops over a permutohedral lattice: splatting, slicing, blurring.

All take rows of channels, values (N, C) of points or (M, C) of lattice points. Where nothing else
is said they add to `out`.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from rerank.types import Array, FloatArray, IntArray


@njit(cache=True, nogil=True)
def splat(values: FloatArray, indices: Array, weights: FloatArray, out: FloatArray) -> None:
    """Add each point's row, times its weight, to the rows of the corners of its simplex."""
    for p in range(values.shape[0]):
        for k in range(indices.shape[1]):
            m = indices[p, k]
            weight = weights[p, k]
            for c in range(values.shape[1]):
                out[m, c] += weight * values[p, c]


@njit(cache=True, nogil=True)
def slice_(lattice: FloatArray, indices: Array, weights: FloatArray, base: FloatArray,
           out: FloatArray) -> None:
    """Interpolate each point's row from those of the corners and add `base`, into `out`.

    The transpose of `splat`. Corners go two at a time, which halves the traffic of `out`.
    """
    n_channels = out.shape[1]
    n_corners = indices.shape[1]
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


@njit(cache=True, nogil=True)
def blur_direction(lattice: FloatArray, ahead: IntArray, behind: IntArray, centre: float,
                   side: float, out: FloatArray) -> None:
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


@njit(cache=True, nogil=True)
def blur_shared(lattice: FloatArray, weights: FloatArray, starts: IntArray, offsets: IntArray,
                targets: IntArray, out: FloatArray) -> None:
    """Weigh the neighbours of each lattice point, all channels alike."""
    for m in range(lattice.shape[0]):
        for e in range(starts[m], starts[m + 1]):
            weight = weights[offsets[e]]
            n = targets[e]
            for c in range(lattice.shape[1]):
                out[m, c] += weight * lattice[n, c]


@njit(cache=True, nogil=True)
def blur_shared_weight_grad(grad: FloatArray, lattice: FloatArray, starts: IntArray,
                            offsets: IntArray, targets: IntArray, out: FloatArray) -> None:
    for m in range(lattice.shape[0]):
        for e in range(starts[m], starts[m + 1]):
            n = targets[e]
            total = 0.0
            for c in range(lattice.shape[1]):
                total += grad[m, c] * lattice[n, c]
            out[offsets[e]] += total


@njit(cache=True, nogil=True)
def blur_mixing(lattice: FloatArray, weights: FloatArray, starts: IntArray, offsets: IntArray,
                targets: IntArray, out: FloatArray) -> None:
    """Weigh the neighbours of each lattice point by a matrix (C_in, C_out) for each offset."""
    for m in range(lattice.shape[0]):
        for e in range(starts[m], starts[m + 1]):
            k = offsets[e]
            n = targets[e]
            for i in range(weights.shape[1]):
                value = lattice[n, i]
                for o in range(weights.shape[2]):
                    out[m, o] += value * weights[k, i, o]


@njit(cache=True, nogil=True)
def blur_mixing_weight_grad(grad: FloatArray, lattice: FloatArray, starts: IntArray,
                            offsets: IntArray, targets: IntArray, out: FloatArray) -> None:
    for m in range(lattice.shape[0]):
        for e in range(starts[m], starts[m + 1]):
            k = offsets[e]
            n = targets[e]
            for i in range(out.shape[1]):
                value = lattice[n, i]
                for o in range(out.shape[2]):
                    out[k, i, o] += value * grad[m, o]


@njit(cache=True, nogil=True)
def group_by_row(neighbours: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Turn a table (K, M) of neighbours, M where absent, into lists for each lattice point.

    Returns starts (M + 1,), and for the entries of point m, ``starts[m]`` to
    ``starts[m + 1]``, the offset and the neighbour.
    """
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
    return starts, offsets, targets


@njit(cache=True, nogil=True)
def self_shared(kernel: FloatArray, weights: FloatArray, directions: IntArray,
                subsets: IntArray, out: FloatArray) -> None:
    """What each point sends to itself; `kernel` holds, off zero, the sum of both ways."""
    for p in range(weights.shape[0]):
        total = 0.0
        for k in range(weights.shape[1]):
            total += weights[p, k] * weights[p, k] * kernel[0]
            subset = np.int64(0)
            for m in range(k + 1, weights.shape[1]):
                subset |= np.int64(1) << np.int64(directions[p, m - 1])
                total += weights[p, k] * weights[p, m] * kernel[subsets[subset]]
        out[p] = total


@njit(cache=True, nogil=True)
def self_mixing(values: FloatArray, kernel: FloatArray, weights: FloatArray,
                directions: IntArray, subsets: IntArray, out: FloatArray) -> None:
    """As `self_shared`, with a matrix (C_in, C_out), flattened, for each offset."""
    n_in, n_out = values.shape[1], out.shape[1]
    matrix = np.empty(n_in * n_out, values.dtype)
    for p in range(weights.shape[0]):
        squares = weights[p, 0] * weights[p, 0]
        for k in range(1, weights.shape[1]):
            squares += weights[p, k] * weights[p, k]
        for i in range(matrix.shape[0]):
            matrix[i] = squares * kernel[0, i]
        for k in range(weights.shape[1]):
            subset = np.int64(0)
            for m in range(k + 1, weights.shape[1]):
                subset |= np.int64(1) << np.int64(directions[p, m - 1])
                row = subsets[subset]
                share = weights[p, k] * weights[p, m]
                for i in range(matrix.shape[0]):
                    matrix[i] += share * kernel[row, i]
        for i in range(n_in):
            value = values[p, i]
            for o in range(n_out):
                out[p, o] += value * matrix[i * n_out + o]


@njit(cache=True, nogil=True)
def self_mixing_weight_grad(grad: FloatArray, values: FloatArray, weights: FloatArray,
                            directions: IntArray, subsets: IntArray, out: FloatArray) -> None:
    n_in, n_out = values.shape[1], grad.shape[1]
    matrix = np.empty(n_in * n_out, values.dtype)
    for p in range(weights.shape[0]):
        for i in range(n_in):
            value = values[p, i]
            for o in range(n_out):
                matrix[i * n_out + o] = value * grad[p, o]
        squares = weights[p, 0] * weights[p, 0]
        for k in range(1, weights.shape[1]):
            squares += weights[p, k] * weights[p, k]
        for i in range(matrix.shape[0]):
            out[0, i] += squares * matrix[i]
        for k in range(weights.shape[1]):
            subset = np.int64(0)
            for m in range(k + 1, weights.shape[1]):
                subset |= np.int64(1) << np.int64(directions[p, m - 1])
                row = subsets[subset]
                share = weights[p, k] * weights[p, m]
                for i in range(matrix.shape[0]):
                    out[row, i] += share * matrix[i]
