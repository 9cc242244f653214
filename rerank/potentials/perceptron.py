"""Perceptrons of at most one hidden layer, as plain arrays, and their training."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit
from threadpoolctl import threadpool_limits

from rerank.errors import InputError
from rerank.potentials.standardised_rows import StandardisedRows
from rerank.types import FloatArray

# share of the steps in which the learning rate rises
_WARM_UP = 0.1
# frequency that an absent class is taken to have at first
_RAREST = 1e-6
# of Adam
_DECAY_MEAN, _DECAY_SQUARE, _EPSILON = 0.9, 0.999, 1e-8


@dataclass(frozen=True, eq=False)
class Perceptron:
    """Layers as arrays: ``x -> W_1 relu(W_0 x + b_0) + b_1``, or ``W_0 x + b_0``.

    Attributes
    ----------
    weights : tuple of (outputs, inputs) float32
    biases : tuple of (outputs,) float32
    """

    weights: tuple[FloatArray, ...]
    biases: tuple[FloatArray, ...]

    def logits(self, x: FloatArray) -> FloatArray:
        """Outputs of the last layer, (n, C) for inputs (n, D)."""
        for place, (weight, bias) in enumerate(zip(self.weights, self.biases)):
            x = x @ weight.T + bias
            if place < len(self.weights) - 1:
                x = np.maximum(x, 0)
        return x


@dataclass(frozen=True)
class PerceptronTraining:
    """Settings of the training of a `Perceptron` that seldom change.

    Attributes
    ----------
    dropout : float
        Share of hidden units dropped in training, in 0..1 (1 excluded).
    input_dropout : float
        Share of features dropped in training, in 0..1 (1 excluded).
    batch_size : int
        Rows in a step, drawn at random; at least 1.
    learning_rate : float
        The highest, above 0.
    n_components : int, optional
        A `SuperpixelClassifier` is trained on so many principal components of its standardised
        features, which is quicker where these are many and correlated; None, or as many as there
        are features, for the features themselves. What is fitted is a network of the features.

    Raises
    ------
    InputError
        If a setting is out of its range.
    """

    dropout: float = 0.5
    input_dropout: float = 0.0
    batch_size: int = 256
    learning_rate: float = 2e-3
    n_components: int | None = None

    def __post_init__(self) -> None:
        for name in ("dropout", "input_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name} must be in 0..1, 1 excluded, got {getattr(self, name)}")
        if self.batch_size < 1:
            raise InputError(f"batch_size must be at least 1, got {self.batch_size}")
        if self.n_components is not None and self.n_components < 1:
            raise InputError(f"n_components must be at least 1, got {self.n_components}")
        if not self.learning_rate > 0:
            raise InputError(f"learning_rate must be above 0, got {self.learning_rate}")


def train_perceptron(
    data: StandardisedRows,
    target: FloatArray,
    *,
    hidden: int,
    n_steps: int,
    weight_decay: float,
    training: PerceptronTraining,
    rng: np.random.Generator,
) -> Perceptron:
    """Minimise ``-sum_c target[k, c] * log softmax_c`` over rows of features with AdamW.

    Runs in one thread, so that equal seeds give equal weights whatever the number of cores.
    It stays our own: torch's AdamW takes 1.03 to 1.26 times as long (`benchmarks/perceptron.py`).

    Parameters
    ----------
    data : StandardisedRows
        Of r rows and D features.
    target : (r, C) float32
        Weight of each class in each of the rows, 0 or greater.
    hidden : int
        Units of the hidden layer; 0 for none.
    n_steps : int
        The rate rises over a tenth of them and then falls as a cosine.
    weight_decay : float
        Of the weights, not of the biases.
    training : PerceptronTraining
    rng : numpy.random.Generator
        Of batches, weights and dropout.

    Returns
    -------
    Perceptron
    """
    n_rows = data.rows.size
    model = initial_perceptron(data.features.shape[1], hidden, target, rng)
    parameters = list(model.weights + model.biases)
    decays = [weight_decay] * len(model.weights) + [0.0] * len(model.biases)
    means = [np.zeros_like(values) for values in parameters]
    squares = [np.zeros_like(values) for values in parameters]
    with threadpool_limits(limits=1, user_api="blas"):
        for step in range(n_steps):
            batch = rng.integers(n_rows, size=min(training.batch_size, n_rows))
            x = data.take(batch)
            dropped = dropout_factors(x.shape, training.input_dropout, rng)
            if dropped is not None:
                x *= dropped
            mask = dropout_factors((x.shape[0], hidden), training.dropout, rng) if hidden else None
            rate = training.learning_rate * rate_factor(step, n_steps)
            gradients = loss_gradients(model, x, target[batch], mask)
            for values, gradient, first, second, decay in zip(
                parameters, gradients, means, squares, decays
            ):
                _adamw_step(
                    values.reshape(-1),
                    gradient.reshape(-1),
                    first.reshape(-1),
                    second.reshape(-1),
                    _AdamW.at(step, rate, decay),
                )
    return model


def initial_perceptron(
    n_features: int, hidden: int, target: FloatArray, rng: np.random.Generator
) -> Perceptron:
    """Draw weights (He et al. 2015) and set the biases to predict the classes' frequencies.

    An absent class is improbable from the start.

    Parameters
    ----------
    n_features : int
    hidden : int
        Units of the hidden layer; 0 for none.
    target : (r, C) float32
        Weight of each class in each row.
    rng : numpy.random.Generator

    Returns
    -------
    Perceptron
    """
    sizes = [n_features, hidden, target.shape[1]] if hidden else [n_features, target.shape[1]]
    weights = [
        rng.standard_normal((outputs, inputs), dtype=np.float32)
        * np.float32(math.sqrt(2 / inputs) if place == 0 and hidden else math.sqrt(1 / inputs))
        for place, (inputs, outputs) in enumerate(itertools.pairwise(sizes))
    ]
    total = target.sum(axis=0, dtype=np.float64)
    prior = np.log(np.maximum(total / total.sum(), _RAREST)).astype(np.float32)
    biases = [np.zeros(size, dtype=np.float32) for size in sizes[1:-1]] + [prior]
    return Perceptron(tuple(weights), tuple(biases))


def loss_gradients(
    model: Perceptron, x: FloatArray, target: FloatArray, mask: FloatArray | None = None
) -> list[FloatArray]:
    """Gradients of the batch's mean ``-sum_c target_c * log softmax_c``.

    Parameters
    ----------
    model : Perceptron
    x : (b, D) float32
    target : (b, C) float32
    mask : (b, hidden) float32, optional
        Factors on the hidden units, from dropout.

    Returns
    -------
    list of arrays
        Those of the weights, then those of the biases.
    """
    if len(model.weights) == 2:
        hidden = np.maximum(x @ model.weights[0].T + model.biases[0], 0)
        if mask is not None:
            hidden *= mask
    else:
        hidden = x
    logits = hidden @ model.weights[-1].T + model.biases[-1]
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    by_logit = (p * target.sum(axis=1, keepdims=True) - target) / np.float32(x.shape[0])
    of_last = [by_logit.T @ hidden, by_logit.sum(axis=0)]
    if len(model.weights) == 1:
        return of_last
    by_hidden = (by_logit @ model.weights[1]) * (hidden > 0)
    if mask is not None:
        by_hidden *= mask
    return [by_hidden.T @ x, of_last[0], by_hidden.sum(axis=0), of_last[1]]


class _AdamW(NamedTuple):
    """Float32 factors of a step of AdamW.

    Attributes
    ----------
    of_mean, of_square : float
        Shares of the gradient and its square that enter their running means.
    unbias : float
        Makes the root of the mean square right in the first steps.
    rate : float
        Learning rate, unbiased as the mean.
    keep : float
        What decay leaves of the values.
    """

    of_mean: np.float32
    of_square: np.float32
    unbias: np.float32
    rate: np.float32
    keep: np.float32

    @classmethod
    def at(cls, step: int, rate: float, decay: float) -> _AdamW:
        return cls(
            np.float32(1 - _DECAY_MEAN),
            np.float32(1 - _DECAY_SQUARE),
            np.float32(1 / math.sqrt(1 - _DECAY_SQUARE ** (step + 1))),
            np.float32(rate / (1 - _DECAY_MEAN ** (step + 1))),
            np.float32(1 - rate * decay),
        )


@njit(cache=True, error_model="numpy")
def _adamw_step(
    values: FloatArray, gradient: FloatArray, mean: FloatArray, square: FloatArray, factors: _AdamW
) -> None:
    """Move `values` in place (Loshchilov & Hutter 2019, Algorithm 2); all are flat."""
    of_mean, of_square, unbias, rate, keep = factors
    epsilon = np.float32(_EPSILON)
    for k in range(values.size):
        g = gradient[k]
        mean[k] += of_mean * (g - mean[k])
        square[k] += of_square * (g * g - square[k])
        root = np.sqrt(square[k]) * unbias + epsilon
        values[k] = values[k] * keep - rate * (mean[k] / root)


def rate_factor(step: int, n_steps: int) -> float:
    """Return the factor on the learning rate: a linear rise, then a cosine that ends at 0.

    Parameters
    ----------
    step : int
        0..n_steps-1.
    n_steps : int

    Returns
    -------
    float
        In 0..1.
    """
    rise = max(1, round(_WARM_UP * n_steps))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, n_steps - rise)))


def dropout_factors(
    shape: tuple[int, ...], share: float, rng: np.random.Generator
) -> FloatArray | None:
    """Draw the factors of inverted dropout.

    Parameters
    ----------
    shape : tuple of int
    share : float
        Share of the values that are dropped, in 0..1 (1 excluded).
    rng : numpy.random.Generator

    Returns
    -------
    float32 array of that shape, or None
        0 or 1 / (1 - share); None where nothing is dropped.
    """
    if share == 0:
        return None
    kept = rng.random(shape, dtype=np.float32) >= np.float32(share)
    return kept * np.float32(1 / (1 - share))
