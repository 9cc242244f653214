"""Placing points in a permutohedral lattice: enclosing simplices, hashing, neighbours.

The lattice A*_d lives in the hyperplane of R^(d+1) whose coordinates sum to zero. Its points
have integer coordinates that agree modulo d + 1, and from each the d + 1 directions
u_j = (1, ..., 1) - (d + 1) e_j lead to its nearest neighbours (Adams et al. 2010, section 3).

A lattice point is known by one 64-bit key that is linear in its coordinates, so that walking
along u_j adds a constant to the key. Where the coordinates fit, the key is their mixed-radix
number and two points never share one. Otherwise its digits are random odd numbers, the
coordinates are kept too, and every match is compared by coordinates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit

from rerank.errors import InputError
from rerank.types import Array, FloatArray, IntArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_ONE = np.uint64(1)
_LARGEST_COORDINATE = 2.0**40

#: Points that are located together.
_LANES = 32


class LatticeTable(NamedTuple):
    """The lattice points that some simplex touches, and the hash table that finds them by key.

    Attributes
    ----------
    keys : (M,) uint64
        One key for each lattice point, in the order in which the points were first met.
    coordinates : (M, d) int64 or (0, d)
        The first d coordinates of each lattice point, kept only where keys may collide.
    slot_keys, slot_ids : uint64, int32
        The hash table: open addressing, -1 where a slot is free.
    """

    keys: Array
    coordinates: IntArray
    slot_keys: Array
    slot_ids: IntArray


class KeyRule(NamedTuple):
    """How the key of a lattice point follows from its coordinates.

    Attributes
    ----------
    strides : (d + 1,) uint64
        What one unit of each coordinate adds to a key; 0 for the last.
    steps : (d + 1,) uint64
        What a step along u_j adds to a key.
    may_collide : bool
        Whether coordinates are kept and compared.
    """

    strides: Array
    steps: Array
    may_collide: bool


class Corners(NamedTuple):
    """The simplex around each of N points.

    Attributes
    ----------
    indices : (N, d + 1) int32
        The lattice points at the corners of the simplex that holds each point.
    weights : (N, d + 1) float64
        Barycentric coordinates: not negative, each row sums to one.
    directions : (N, d) uint8
        Column k holds the j for which corner k + 1 is corner k plus u_j.
    """

    indices: IntArray
    weights: FloatArray
    directions: IntArray


class _Located(NamedTuple):
    """Some points in the hyperplane, one a column, as floating point (d + 1, _LANES).

    `multiple` times d + 1 is the corner nearest below each simplex, `residual` what remains, and
    `rank` the remainders' ranks, largest first.
    """

    residual: FloatArray
    multiple: FloatArray
    rank: FloatArray


@dataclass(frozen=True)
class Simplices:
    """Where N points of R^d lie in the lattice.

    Attributes
    ----------
    corners : Corners
    table : LatticeTable
    steps : (d + 1,) uint64
        What a step along u_j adds to a key.
    """

    corners: Corners
    table: LatticeTable
    steps: Array


def place(
    features: FloatArray, variance: float, radius: int, exact_keys: bool | None = None
) -> Simplices:
    """Find the enclosing simplex of each point.

    Parameters
    ----------
    features : (N, d) float64
        Finite, in either memory order, scaled so that the kernel has unit variance.
    variance : float
        The variance of the whole filter in units of ``(d + 1)^2`` of the lattice: this sets
        how coarse the lattice is.
    radius : int
        How many steps along one direction will be looked up by `neighbours`.
    exact_keys : bool, optional
        For tests: use mixed-radix keys or random ones. None decides by the range.

    Returns
    -------
    Simplices

    Raises
    ------
    InputError
        If a coordinate in the lattice would be beyond 2^40.
    """
    n_dims = features.shape[1]
    order = np.arange(1, n_dims + 1)
    scale = (n_dims + 1) * np.sqrt(variance / (order * (order + 1.0)))
    columns = np.ascontiguousarray(features.T)
    low, high = _elevated_range(columns, scale)
    largest = max(np.abs(low).max(), np.abs(high).max())
    if largest > _LARGEST_COORDINATE:
        raise InputError(
            f"features must stay within {_LARGEST_COORDINATE:.0e} lattice cells of the origin, "
            f"one lies {largest:.1e} away; subtract their mean or scale them"
        )
    width = np.ceil(high - low) + 2 * (n_dims + 1) * (radius + 2)
    if exact_keys is None:
        exact_keys = bool(np.log2(width).sum() < 62)
    seed = 0
    while True:
        strides = np.zeros(n_dims + 1, dtype=np.uint64)
        if exact_keys:
            strides[:-1] = [math.prod(int(w) for w in width[:i]) for i in range(n_dims)]
        else:
            random = np.random.default_rng(seed)
            strides[:-1] = random.integers(0, 2**63, n_dims, dtype=np.uint64) * 2 + 1
        steps = strides.sum(dtype=np.uint64) - np.uint64(n_dims + 1) * strides
        rule = KeyRule(strides, steps, not exact_keys)
        collided, corners, table = _place(columns, scale, rule)
        if not collided:
            return Simplices(corners, table, steps)
        seed += 1


def neighbours(simplices: Simplices, offsets: IntArray) -> IntArray:
    """Look up the lattice point at each offset from each lattice point.

    Parameters
    ----------
    simplices : Simplices
    offsets : (K, d + 1) int64
        Step counts along u_0, ..., u_d, of either sign.

    Returns
    -------
    (K, M) int32
        M, one past the last lattice point, where there is no such point.
    """
    n_dims = offsets.shape[1] - 1
    jumps = (offsets.astype(np.uint64) * simplices.steps).sum(axis=1, dtype=np.uint64)
    shifts = offsets.sum(axis=1, keepdims=True) - (n_dims + 1) * offsets[:, :n_dims]
    return _neighbours(simplices.table, jumps, shifts)


def _elevated_range(columns: FloatArray, scale: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Bounds of the first d coordinates of all points in the hyperplane."""
    least, most = columns.min(axis=1) * scale, columns.max(axis=1) * scale
    # Coordinate i is the sum of the scaled features from i on, less i times the one before.
    low, high = least[::-1].cumsum()[::-1].copy(), most[::-1].cumsum()[::-1].copy()
    before = np.arange(1, len(scale))
    low[1:] -= before * most[:-1]
    high[1:] -= before * least[:-1]
    return low, high


@njit(cache=True, nogil=True)
def _find(key: np.uint64, slot_keys: Array, slot_ids: IntArray) -> tuple[int, np.uint64]:
    """The lattice point of `key`, -1 where there is none, and its slot or a free one for it."""
    mask = np.uint64(slot_ids.shape[0] - 1)
    folded = key * _GOLDEN
    slot = (folded ^ (folded >> np.uint64(32))) & mask
    while slot_ids[slot] >= 0 and slot_keys[slot] != key:
        slot = (slot + _ONE) & mask
    return slot_ids[slot], slot


@njit(cache=True, nogil=True)
def _rehashed(keys: Array, n_keys: int, size: int) -> tuple[Array, IntArray]:
    slot_keys = np.empty(size, np.uint64)
    slot_ids = np.full(size, -1, np.int32)
    for m in range(n_keys):
        _, slot = _find(keys[m], slot_keys, slot_ids)
        slot_keys[slot] = keys[m]
        slot_ids[slot] = m
    return slot_keys, slot_ids


@njit(cache=True, nogil=True)
def _longer(values: Array) -> Array:
    longer = np.empty((2 * values.shape[0],) + values.shape[1:], values.dtype)
    longer[: values.shape[0]] = values
    return longer


@njit(cache=True, nogil=True)
def _locate(columns: FloatArray, scale: FloatArray, start: int, located: _Located) -> None:
    """Fill `located` for points `start` on.

    All is floating point and every loop is over columns, so that the loops become vector code.
    """
    residual, multiple, rank = located
    d, n_points = columns.shape
    corners = d + 1
    cell = 1.0 / corners
    partial = np.zeros(_LANES)
    excess = np.zeros(_LANES)
    feature = np.empty(_LANES)
    for j in range(d, 0, -1):
        for p in range(_LANES):
            feature[p] = columns[j - 1, min(start + p, n_points - 1)]
        for p in range(_LANES):
            scaled = feature[p] * scale[j - 1]
            residual[j, p] = partial[p] - j * scaled
            partial[p] += scaled
    residual[0] = partial
    # The nearest point whose coordinates are multiples of d + 1, by rounding each. They may then
    # sum to a multiple of d + 1 other than zero, which the ranks mend.
    for i in range(corners):
        for p in range(_LANES):
            rounded = np.floor(residual[i, p] * cell + 0.5)
            residual[i, p] -= rounded * corners
            multiple[i, p] = rounded
            excess[p] += rounded
            rank[i, p] = 0.0
    # Equal remainders rank by position, so that the ranks are a permutation whatever ties.
    for i in range(d):
        for j in range(i + 1, corners):
            for p in range(_LANES):
                less = 1.0 if residual[i, p] < residual[j, p] else 0.0
                rank[i, p] += less
                rank[j, p] += 1.0 - less
    for i in range(corners):
        for p in range(_LANES):
            shifted = rank[i, p] + excess[p]
            turn = (1.0 if shifted < 0.0 else 0.0) - (1.0 if shifted > d else 0.0)
            rank[i, p] = shifted + turn * corners
            residual[i, p] -= turn * corners
            multiple[i, p] += turn


@njit(cache=True, nogil=True)
def _insert(
    start: int, located: _Located, rule: KeyRule, n_keys: int, table: LatticeTable, out: Corners
) -> int:
    """Enter the corners of the located points, `start` on, in `out` and in the table.

    The table has room for all of them and holds `n_keys` lattice points. Returns how many it
    holds then, or -1 if two lattice points share a key.
    """
    residual, multiple, rank = located
    strides, steps, compare = rule
    keys, coordinates, slot_keys, slot_ids = table
    indices, weights, directions = out
    n_points, corners = indices.shape
    d = corners - 1
    cell = 1.0 / corners
    descending = np.empty(corners, np.float64)
    at_rank = np.empty(corners, np.int64)
    corner = np.empty(d, np.int64)
    # Neighbouring points often share corners, and then need no look-up.
    last_keys = np.zeros(corners, np.uint64)
    last_ids = np.full(corners, -1, np.int32)
    for p in range(start, min(start + _LANES, n_points)):
        lane = p - start
        key = np.uint64(0)
        for i in range(corners):
            r = int(rank[i, lane])
            at_rank[r] = i
            descending[r] = residual[i, lane]
            base = int(multiple[i, lane]) * corners
            key += np.uint64(base) * strides[i]
            if compare and i < d:
                corner[i] = base
        for k in range(corners):
            if k == 0:
                weight = 1.0 - (descending[0] - descending[d]) * cell
            else:
                weight = (descending[d - k] - descending[corners - k]) * cell
            weights[p, k] = max(weight, 0.0)
            if last_ids[k] < 0 or last_keys[k] != key:
                m, slot = _find(key, slot_keys, slot_ids)
                if m < 0:
                    m = n_keys
                    slot_keys[slot] = key
                    slot_ids[slot] = m
                    keys[m] = key
                    n_keys += 1
                    if compare:
                        for i in range(d):
                            coordinates[m, i] = corner[i]
                last_keys[k] = key
                last_ids[k] = m
            indices[p, k] = last_ids[k]
            if compare:
                for i in range(d):
                    if coordinates[last_ids[k], i] != corner[i]:
                        return -1
            if k < d:
                j = at_rank[d - k]
                directions[p, k] = j
                key += steps[j]
                if compare:
                    for i in range(d):
                        corner[i] += 1
                    if j < d:
                        corner[j] -= corners
    return n_keys


@njit(cache=True, nogil=True)
def _place(
    columns: FloatArray, scale: FloatArray, rule: KeyRule
) -> tuple[bool, Corners, LatticeTable]:
    """Whether two lattice points share a key; if none do, the simplices and the table."""
    d, n_points = columns.shape
    n_corners = d + 1
    corners = Corners(
        np.empty((n_points, n_corners), np.int32),
        np.empty((n_points, n_corners), np.float64),
        np.empty((n_points, d), np.uint8),
    )
    keys = np.empty(1 << 12, np.uint64)
    coordinates = np.empty((1 << 12 if rule.may_collide else 0, d), np.int64)
    slot_keys, slot_ids = _rehashed(keys, 0, 1 << 13)
    located = _Located(
        np.empty((n_corners, _LANES), np.float64),
        np.empty((n_corners, _LANES), np.float64),
        np.empty((n_corners, _LANES), np.float64),
    )
    n_keys = 0
    for start in range(0, n_points, _LANES):
        most = n_keys + n_corners * _LANES
        while most > keys.shape[0]:
            keys = _longer(keys)
            coordinates = _longer(coordinates)
        while 2 * most > slot_ids.shape[0]:
            slot_keys, slot_ids = _rehashed(keys, n_keys, 4 * slot_ids.shape[0])
        _locate(columns, scale, start, located)
        table = LatticeTable(keys, coordinates, slot_keys, slot_ids)
        n_keys = _insert(start, located, rule, n_keys, table, corners)
        if n_keys < 0:
            break
    kept = max(n_keys, 0)
    table = LatticeTable(keys[:kept].copy(), coordinates[:kept].copy(), slot_keys, slot_ids)
    return n_keys < 0, corners, table


@njit(cache=True, nogil=True)
def _neighbours(table: LatticeTable, jumps: Array, shifts: IntArray) -> IntArray:
    """As `neighbours`, by what each offset adds to a key and to the first d coordinates."""
    keys, coordinates, slot_keys, slot_ids = table
    n_keys = keys.shape[0]
    compare = coordinates.shape[0] > 0
    found = np.empty((jumps.shape[0], n_keys), np.int32)
    for k in range(jumps.shape[0]):
        for m in range(n_keys):
            neighbour, _ = _find(keys[m] + jumps[k], slot_keys, slot_ids)
            if neighbour >= 0 and compare:
                for i in range(shifts.shape[1]):
                    if coordinates[neighbour, i] != coordinates[m, i] + shifts[k, i]:
                        neighbour = -1
                        break
            found[k, m] = neighbour if neighbour >= 0 else n_keys
    return found
