"""Rounding a relaxed labeling without raising the energy (Larsson et al. 2017, Prop. 2.1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from rerank.layers.lattice import PermutohedralLattice, SparseTables
from rerank.layers.lattice_kernels import NeighbourLists
from rerank.types import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class PairwiseKernels:
    """The symmetric kernels of one image's energy; None where a term is absent.

    Attributes
    ----------
    spatial : (L, L, 2s+1, 2s+1) float64, zeros at the centre, or None
    bilateral : (L, L, K) float64 or None
    lattice : the lattice of the valid pixels, or None
    """

    spatial: FloatArray | None
    bilateral: FloatArray | None
    lattice: PermutohedralLattice | None


def round_pixels(
    q: FloatArray, unary: FloatArray, valid: BoolArray, kernels: PairwiseKernels
) -> IntArray:
    """Give each valid pixel in turn the label that costs least, given all others.

    The energy is linear in the q of one pixel, so that the best label costs no more than their
    mean under q: no step raises it. Pixels before the current one hold their labels, those after
    it still their q.

    Parameters
    ----------
    q : (H, W, L) float64
        On the simplex.
    unary : (H, W, L) float64
    valid : (H, W) bool
    kernels : PairwiseKernels

    Returns
    -------
    (H, W) int64
        Zero where not valid. Of labels that cost the same, the lowest.
    """
    n_labels = q.shape[2]
    state = np.where(valid[..., None], q, 0.0)
    unary = np.ascontiguousarray(unary)
    if kernels.spatial is None:
        spatial = np.zeros((1, 1, n_labels, n_labels))
    else:
        spatial = np.ascontiguousarray(kernels.spatial.transpose(2, 3, 1, 0))
    lattice = kernels.lattice
    if lattice is None or kernels.bilateral is None:
        none = np.zeros((int(valid.sum()), 0), np.int32)
        lists = NeighbourLists(np.zeros(1, np.int64), none.ravel(), none.ravel())
        tables = SparseTables(none, none.astype(np.float64), lists)
        splatted = np.zeros((0, n_labels))
        bilateral = np.zeros((1, n_labels, n_labels))
    else:
        tables = lattice.sparse_tables()
        splatted = lattice.splat(state[valid])
        bilateral = np.ascontiguousarray(kernels.bilateral.transpose(2, 1, 0))
    return _round(state, unary, valid, spatial, bilateral, tables, splatted)


@njit(cache=True, nogil=True)
def _round(
    state: FloatArray,
    unary: FloatArray,
    valid: BoolArray,
    spatial: FloatArray,
    bilateral: FloatArray,
    tables: SparseTables,
    splatted: FloatArray,
) -> IntArray:
    """As `round_pixels`; `state` and what it is on the lattice, `splatted`, follow the labels.

    Kernels are (2s+1, 2s+1, m, l) and (K, m, l), the label m being that of the other pixel.
    """
    indices, weights, lists = tables
    starts, offsets, targets = lists
    height, width, n_labels = state.shape
    reach = spatial.shape[0] // 2
    labels = np.zeros((height, width), np.int64)
    cost = np.empty(n_labels)
    p = 0
    for y in range(height):
        for x in range(width):
            if not valid[y, x]:
                continue
            for l in range(n_labels):
                cost[l] = unary[y, x, l]
            for dy in range(max(-reach, -y), min(reach, height - 1 - y) + 1):
                for dx in range(max(-reach, -x), min(reach, width - 1 - x) + 1):
                    for m in range(n_labels):
                        share = state[y + dy, x + dx, m]
                        if share != 0.0:
                            for l in range(n_labels):
                                cost[l] += share * spatial[reach + dy, reach + dx, m, l]
            # The pixel leaves the lattice while its own cost is read there.
            for k in range(indices.shape[1]):
                for m in range(n_labels):
                    splatted[indices[p, k], m] -= weights[p, k] * state[y, x, m]
            for k in range(indices.shape[1]):
                vertex = indices[p, k]
                for e in range(starts[vertex], starts[vertex + 1]):
                    for m in range(n_labels):
                        share = weights[p, k] * splatted[targets[e], m]
                        for l in range(n_labels):
                            cost[l] += share * bilateral[offsets[e], m, l]
            best = 0
            for l in range(1, n_labels):
                if cost[l] < cost[best]:
                    best = l
            labels[y, x] = best
            for l in range(n_labels):
                state[y, x, l] = 1.0 if l == best else 0.0
            for k in range(indices.shape[1]):
                splatted[indices[p, k], best] += weights[p, k]
            p += 1
    return labels
