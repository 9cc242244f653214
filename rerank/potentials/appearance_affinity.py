"""The affinity of superpixels of one image by their appearance, wherever they lie."""

from __future__ import annotations

import numpy as np
from numba import njit

from rerank.errors import InputError
from rerank.types import Array, FloatArray
from rerank.validation import check_finite

_LEAST_EXPONENT = -70.0


def affinity_weights(values: Array, areas: Array, bandwidth: float = 0.1) -> FloatArray:
    """Weights with which each superpixel averages over those that look like it.

    ``K_ij`` is proportional to ``a_j exp(-|z_i - z_j|^2 / (2 h^2 D))``, with areas a, values z
    standardised within the image and bandwidth h; ``K_ii = 0``, so that an average is over the
    others alone. It is the appearance kernel of a fully connected CRF (Krähenbühl and Koltun 2011)
    between superpixels, without the places.

    Parameters
    ----------
    values : (n, D) float array
        What superpixels are compared by, such as mean colours.
    areas : (n,) float array
        Greater than 0.
    bandwidth : float
        Above 0; in standard deviations of the values.

    Returns
    -------
    (n, n) float64
        Rows sum to 1. That of a superpixel unlike all others is uniform over the others; a single
        superpixel has weight 1 on itself.

    Raises
    ------
    InputError
        If shapes disagree, values are not finite, an area is not above 0, or the bandwidth is not.

    Examples
    --------
    >>> affinity_weights(np.array([[0.0], [0.0], [9.0]]), np.ones(3)).round(2)
    array([[0. , 1. , 0. ],
           [1. , 0. , 0. ],
           [0.5, 0.5, 0. ]])
    """
    values, areas = np.asarray(values, dtype=np.float64), np.asarray(areas, dtype=np.float64)
    if values.ndim != 2 or values.size == 0 or areas.shape != (len(values),):
        raise InputError(
            f"values must be (n, D) and areas (n,), got {values.shape} and {areas.shape}"
        )
    check_finite(values, "values")
    if not (areas > 0).all() or not bandwidth > 0:
        raise InputError(
            f"areas and bandwidth must be above 0, got areas from {areas.min()} and "
            f"a bandwidth of {bandwidth}"
        )
    n, depth = values.shape
    if n == 1:
        return np.ones((1, 1))
    spread = values.std(axis=0)
    z = (values - values.mean(axis=0)) / np.where(spread > 1e-9, spread, 1.0)
    weights = np.empty((n, n))
    _kernel(z, -0.5 / (bandwidth**2 * depth), weights)
    weights *= areas
    total = weights.sum(axis=1)
    # Beyond about 8 bandwidths from everything the kernel is mere rounding.
    alone = total <= 1e-12 * areas.mean()
    weights[alone] = areas
    weights[alone, np.flatnonzero(alone)] = 0.0
    weights /= weights.sum(axis=1, keepdims=True)
    return weights


@njit(cache=True)
def _kernel(z: FloatArray, factor: float, kernel: FloatArray) -> None:
    """Write ``exp(factor * |z_i - z_j|^2)``, and 0 on the diagonal and for exponents below -70.

    Those are lost in the sums of rows that are kept, and most pairs of an image are so unlike.
    """
    for i in range(len(z)):
        kernel[i, i] = 0.0
        for j in range(i):
            distance = 0.0
            for column in range(z.shape[1]):
                difference = z[i, column] - z[j, column]
                distance += difference * difference
            exponent = factor * distance
            value = np.exp(exponent) if exponent > _LEAST_EXPONENT else 0.0
            kernel[i, j] = value
            kernel[j, i] = value
