"""Many correlated features as few inputs of a network: their principal components."""

from __future__ import annotations

import numpy as np

from rerank.potentials.perceptron import Perceptron
from rerank.potentials.standardised_rows import StandardisedRows
from rerank.types import FloatArray

#: Rows that the components are found on, and columns that are drawn beside those wanted.
SAMPLE, FURTHER = 4096, 16
#: Rounds of the power iteration, each of which sharpens the components.
ROUNDS = 2
#: Exponent of the variance that is evened out, and factor on the inputs, which gives the early
#: components of deep features the rate that suits them.
EVEN, GAIN = 0.25, 2.0
_BLOCK = 4096


def principal_inputs(
    data: StandardisedRows, n_components: int, rng: np.random.Generator
) -> FloatArray:
    """Find the directions of most variance by a randomised power iteration.

    Halko, Martinsson and Tropp (2011), on a sample of the rows.

    Parameters
    ----------
    data : StandardisedRows
        Of r rows and D features.
    n_components : int
        K, at least 1 and at most D.
    rng : numpy.random.Generator

    Returns
    -------
    (D, K) float32
        Directions, most variance first, scaled to leave the mean square of all K inputs at
        ``GAIN ** 2``. Each keeps its variance to the power of ``1 - EVEN``.
    """
    sample = data.take(rng.choice(data.rows.size, min(SAMPLE, data.rows.size), replace=False))
    n_features = sample.shape[1]
    width = min(n_components + FURTHER, n_features)
    found = rng.standard_normal((n_features, width), dtype=np.float32)
    for _ in range(ROUNDS):
        found = np.linalg.qr(sample.T @ (sample @ found))[0]
    inner = (sample @ found).astype(np.float64)
    variance, turn = np.linalg.eigh(inner.T @ inner / len(sample))
    kept = slice(None, -n_components - 1, -1)
    variance = np.maximum(variance[kept], 1e-12 * variance[-1])
    scale = variance ** (-EVEN / 2)
    scale *= GAIN / np.sqrt(np.mean(variance * scale**2))
    directions: FloatArray = found @ (turn[:, kept] * scale).astype(np.float32)
    return directions


def project(data: StandardisedRows, directions: FloatArray) -> StandardisedRows:
    """Make the inputs of all rows.

    Parameters
    ----------
    data : StandardisedRows
        Of r rows and D features.
    directions : (D, K) float32

    Returns
    -------
    StandardisedRows
        Of r rows and K features, which need no further scaling.
    """
    count, size = data.rows.size, directions.shape[1]
    inputs = np.empty((count, size), np.float32)
    for start in range(0, count, _BLOCK):
        places = np.arange(start, min(start + _BLOCK, count))
        inputs[places] = data.take(places) @ directions
    return StandardisedRows(
        inputs, np.arange(count), np.zeros(size, np.float32), np.ones(size, np.float32)
    )


def on_features(model: Perceptron, directions: FloatArray) -> Perceptron:
    """Write a network of the inputs as one of the standardised features.

    Parameters
    ----------
    model : Perceptron
        On K inputs.
    directions : (D, K) float32

    Returns
    -------
    Perceptron
        On D features, of the same outputs.
    """
    return Perceptron((model.weights[0] @ directions.T, *model.weights[1:]), model.biases)
