"""The temperature that calibrates class probabilities (Guo et al. 2017).

A temperature above 1 flattens probabilities, one below 1 sharpens them. It changes no decision.
scikit-learn's `CalibratedClassifierCV` fits one to classes; here the targets are counts of pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.optimize import minimize_scalar

from rerank.errors import InputError
from rerank.types import Array, FloatArray, IntArray

# temperatures that are searched
_COLDEST, _HOTTEST = 0.2, 10.0
# share of the uniform distribution that is mixed in per class: some networks give exact zeros
_FLOOR = 1e-4


def at_temperature(probabilities: FloatArray, temperature: float) -> FloatArray:
    """Raise probabilities to the power of 1 / temperature and divide by their sum.

    Parameters
    ----------
    probabilities : (n, C) float array
        Rows sum to 1.
    temperature : float
        Above 0.

    Returns
    -------
    (n, C) float64
        Rows sum to 1; no probability is 0.

    Examples
    --------
    >>> at_temperature(np.array([[0.2, 0.8]]), 0.5).round(3)
    array([[0.059, 0.941]])
    """
    mixed = (1 - probabilities.shape[1] * _FLOOR) * probabilities.astype(np.float64) + _FLOOR
    powers = (mixed / mixed.max(axis=1, keepdims=True)) ** (1 / temperature)
    flattened: FloatArray = powers / powers.sum(axis=1, keepdims=True)
    return flattened


def choose_temperature(
    probabilities: Sequence[FloatArray], histograms: Sequence[IntArray]
) -> float:
    """Return the temperature of `at_temperature` with the least cross-entropy on given images.

    Parameters
    ----------
    probabilities : sequence of (n, C) float arrays
        Of the superpixels of each image; images that the model was not trained on.
    histograms : sequence of (n, C) int arrays
        Their labelled pixels by class.

    Returns
    -------
    float
        In 0.2..10.

    Raises
    ------
    InputError
        If no pixel is labelled.
    """
    rows = np.concatenate(probabilities)
    return search_temperature(
        lambda temperature: at_temperature(rows, temperature), np.concatenate(histograms)
    )


def search_temperature(
    probabilities_at: Callable[[float], FloatArray], counts: Array, floor: float = 0.0
) -> float:
    """Return the temperature with the least cross-entropy.

    Parameters
    ----------
    probabilities_at : callable
        From a temperature to probabilities (n, C).
    counts : (n, C) array
        Weight of each class in each row, 0 or greater.
    floor : float
        Probabilities below it count as it.

    Returns
    -------
    float
        In 0.2..10.

    Raises
    ------
    InputError
        If all counts are 0.
    """
    if not counts.any():
        raise InputError("no superpixel has a labelled pixel to calibrate on")

    def cross_entropy(log_temperature: float) -> float:
        p = probabilities_at(float(np.exp(log_temperature)))
        return -float((counts * np.log(np.maximum(p, floor))).sum())

    found = minimize_scalar(
        cross_entropy,
        bounds=(np.log(_COLDEST), np.log(_HOTTEST)),
        method="bounded",
        options={"xatol": 1e-3},
    )
    return float(np.exp(found.x))
