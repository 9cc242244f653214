"""The neighbours of a point of the permutohedral lattice, and Gaussian weights on them."""

from __future__ import annotations

import itertools
import math

import numpy as np

from rerank.types import FloatArray, IntArray


def neighbour_offsets(n_dims: int, radius: int) -> IntArray:
    """List the (s+1)^(d+1) - s^(d+1) neighbours of a lattice point, itself the first.

    Each is a row c of non-negative step counts along u_0, ..., u_d, at most `radius` of any
    and none of at least one (all d + 1 steps together lead back to the start). The list is
    closed under negation, see `opposite_offsets`.

    Parameters
    ----------
    n_dims : int
        d, the dimensions of the features.
    radius : int
        s, at least 1.

    Returns
    -------
    (K, d + 1) int64, in lexicographic order.
    """
    counts = itertools.product(range(radius + 1), repeat=n_dims + 1)
    return np.array([c for c in counts if min(c) == 0], dtype=np.int64)


def opposite_offsets(offsets: IntArray) -> IntArray:
    """Give, for each row of `neighbour_offsets`, the row that leads the other way."""
    position = {tuple(c): k for k, c in enumerate(offsets.tolist())}
    opposite = offsets.max(axis=1, keepdims=True) - offsets
    return np.array([position[tuple(c)] for c in opposite.tolist()], dtype=np.int64)


def binomial_weights(offsets: IntArray, radius: int) -> FloatArray:
    """Weights of a Gaussian-like blur on `neighbour_offsets`, which sum to one.

    The product over the d + 1 directions of `radius` steps of (1/2 + 1/2 T_j), T_j a shift
    along u_j, folded by sum_j u_j = 0. Its variance is ``(d + 1)^2 * radius / 4`` in every
    dimension; radius 2 is the blur of Adams et al. 2010, (1 2 1)/4 along each direction.

    Parameters
    ----------
    offsets : (K, d + 1) int64
        From `neighbour_offsets`.
    radius : int
        That of the offsets.

    Returns
    -------
    (K,) float64
    """
    share = np.array([math.comb(radius, c) / 2.0**radius for c in range(radius + 1)])
    weights = np.zeros(len(offsets))
    for shift in range(radius + 1):
        fits = offsets.max(axis=1) + shift <= radius
        weights[fits] += share[offsets[fits] + shift].prod(axis=1)
    return weights


def filter_variance(radius: int) -> float:
    """Variance of the whole filter in each dimension, in units of ``(d + 1)^2``.

    Splatting and slicing spread by 1/12 each, the blur of `binomial_weights` by a quarter of its
    radius. The blur along the axes is that of radius 2 (Adams et al. 2010).
    """
    return 1 / 6 + radius / 4


def gaussian_amplitude(n_dims: int, radius: int) -> float:
    """What the blur weights sum to, so that the filter's kernel integrates as the Gaussian's.

    The ratio of ``(2 pi)^(d/2)`` to the volume of a lattice cell, in features of unit variance.

    Parameters
    ----------
    n_dims : int
        d, the dimensions of the features.
    radius : int
        Steps that the blur reaches along each axis.

    Returns
    -------
    float
    """
    spread: float = (2 * math.pi * filter_variance(radius)) ** (n_dims / 2)
    return spread * math.sqrt(n_dims + 1)
