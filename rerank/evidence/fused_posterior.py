"""The distribution over classes that joins all signals of a region, by one weight a signal."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numba import njit
from scipy.optimize import minimize
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning

from rerank.errors import InputError, NotFittedError
from rerank.evidence.region_signals import RegionSignals
from rerank.types import Array, FloatArray, RandomState, as_generator

#: In nats.
LEAST_SPREAD = 1.0


class FusedPosterior(BaseEstimator):
    """p(c | region) proportional to exp(sum_f w_f signal_f(region, c)), one weight a signal.

    A conditional logit (McFadden 1974), fitted to the pixels' labels by Newton steps in a trust
    region (`scipy.optimize.minimize`, method `trust-exact`). All classes
    share the weights: ten of them do not overfit a few hundred images, as hundreds of weights for
    single classes do. The signals must come from models that did not see the image, in training
    as in use.

    Parameters
    ----------
    alpha : float, at least 0
        Weight of the squared weights, for signals in units of their spread, against the mean
        log-loss of a pixel. A spread below `LEAST_SPREAD` counts as that: a signal that hardly
        varies in training would else get a weight that is too large for images where it varies.
    regions_per_image : int or None
        Fit on at most this many regions of an image, drawn at random with chances by labelled
        area; None for all.
    tol : float
        Stop when the gradient's norm, for signals in units of their spread, is below this.
    max_iter : int
        Steps at most; `ConvergenceWarning` if that is not enough.
    random_state : int, Generator or None
        For the draw of regions.

    Attributes
    ----------
    names_ : tuple of F str
        The signals, in order.
    weights_ : (F,) float64
        On the signals as they are.
    loss_ : float
        Mean log-loss of a training pixel, in nats.
    n_iter_ : int
    """

    def __init__(
        self,
        alpha: float = 1e-3,
        regions_per_image: int | None = 200,
        tol: float = 1e-5,
        max_iter: int = 50,
        random_state: RandomState = 0,
    ) -> None:
        self.alpha = alpha
        self.regions_per_image = regions_per_image
        self.tol = tol
        self.max_iter = max_iter
        self.random_state = random_state

    def fit(self, signals: Iterable[RegionSignals], histograms: Iterable[Array]) -> FusedPosterior:
        """Learn the weights.

        Parameters
        ----------
        signals : iterable of RegionSignals
            One for each image; all with the same names.
        histograms : iterable of (n, C) float
            Labelled pixels of each class in each region; void pixels are not among them.

        Raises
        ------
        InputError
            If `alpha` is below 0.
        InputError
            If the images' signals differ in name, or shapes disagree.
        InputError
            If no pixel is labelled.
        """
        if not self.alpha >= 0:
            raise InputError(f"alpha must be at least 0, got {self.alpha}")
        rng = as_generator(self.random_state)
        names: tuple[str, ...] | None = None
        designs, targets = [], []
        for image, (signal, histogram) in enumerate(zip(signals, histograms)):
            names = signal.names if names is None else names
            counts = np.asarray(histogram, dtype=np.float64)
            if signal.names != names:
                raise InputError(
                    f"image {image} has the signals {signal.names}, the first has {names}"
                )
            if counts.shape != signal.values.shape[:2] or not (counts >= 0).all():
                raise InputError(
                    f"histogram {image} must be at least 0 and of shape "
                    f"{signal.values.shape[:2]}, got {counts.shape}"
                )
            kept, scale = self._draw(counts.sum(axis=1), rng)
            designs.append(signal.values[kept])
            targets.append(counts[kept] * scale)
        if names is None or not sum(float(t.sum()) for t in targets) > 0:
            raise InputError("no labelled pixel to fit the fused posterior to")
        design, target = np.concatenate(designs), np.concatenate(targets)
        target /= target.sum()
        spread = _spread(design, target.sum(axis=1))
        self.names_ = names
        scaled, self.loss_, self.n_iter_ = self._minimise(
            (design / spread).astype(np.float32), target
        )
        self.weights_ = scaled / spread
        return self

    def _draw(self, labelled: FloatArray, rng: np.random.Generator) -> tuple[Array, Array]:
        """Regions to keep, and factors that make their counts stand for all regions."""
        there = np.flatnonzero(labelled > 0)
        limit = self.regions_per_image
        if limit is None or len(there) <= limit:
            return there, np.ones((len(there), 1))
        chance = labelled[there] / labelled[there].sum()
        kept = rng.choice(there, size=limit, replace=False, p=chance)
        # Drawn by area, so that each stands for the same number of pixels.
        return kept, (labelled.sum() / limit / labelled[kept])[:, None]

    def _minimise(self, design: FloatArray, target: FloatArray) -> tuple[FloatArray, float, int]:
        """The weights at the least penalised loss, the loss without penalty, and the steps."""
        alpha, n_signals = float(self.alpha), design.shape[2]
        penalty = alpha * np.eye(n_signals)

        @lru_cache(maxsize=1)
        def at(point: bytes) -> tuple[float, FloatArray, FloatArray]:
            found: tuple[float, FloatArray, FloatArray]
            found = _loss_kernel(design, target, np.frombuffer(point).copy())
            return found

        found = minimize(
            lambda w: at(w.tobytes())[0] + 0.5 * alpha * (w @ w),
            np.zeros(n_signals),
            jac=lambda w: at(w.tobytes())[1] + alpha * w,
            hess=lambda w: at(w.tobytes())[2] + penalty,
            method="trust-exact",
            options={"gtol": self.tol, "maxiter": self.max_iter},
        )
        if not found.success:
            warnings.warn(
                f"the fused posterior's gradient has a norm of {np.linalg.norm(found.jac):.2g}, "
                f"above {self.tol:g}, after {found.nit} steps",
                ConvergenceWarning,
                stacklevel=3,
            )
        return found.x, at(found.x.tobytes())[0], int(found.nit)

    def predict_proba(self, signals: RegionSignals) -> FloatArray:
        """(n, C) float64 probabilities of the regions of one image; rows sum to 1.

        Raises
        ------
        NotFittedError
            Before `fit`.
        InputError
            If the signals are not those of training, in the same order.
        """
        if not hasattr(self, "weights_"):
            raise NotFittedError("FusedPosterior must be fitted first")
        if signals.names != self.names_:
            raise InputError(
                f"the fused posterior was fitted to the signals {self.names_}, got {signals.names}"
            )
        logits = signals.values @ self.weights_
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(p / p.sum(axis=1, keepdims=True))

    def to_arrays(self) -> dict[str, Any]:
        """The fitted state: arrays, and the signals' names as a tuple."""
        if not hasattr(self, "weights_"):
            raise NotFittedError("FusedPosterior must be fitted first")
        return {
            "names": self.names_,
            "weights": self.weights_,
            "loss": np.array(self.loss_),
            "n_iter": np.array(self.n_iter_),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> FusedPosterior:
        """A fitted model from what `to_arrays` gave."""
        model = cls()
        model.names_ = tuple(arrays["names"])
        model.weights_ = np.asarray(arrays["weights"])
        model.loss_ = float(arrays["loss"])
        model.n_iter_ = int(arrays["n_iter"])
        return model


def _spread(design: FloatArray, weight: FloatArray) -> FloatArray:
    """(F,) root mean square of signals about their mean over classes, at least `LEAST_SPREAD`."""
    centred = design - design.mean(axis=1, keepdims=True)
    variance = np.einsum("i,icf->f", weight, centred.astype(np.float64) ** 2) / design.shape[1]
    return np.asarray(np.maximum(np.sqrt(variance), LEAST_SPREAD))


@njit(cache=True)
def _loss_kernel(
    design: FloatArray, target: FloatArray, w: FloatArray
) -> tuple[float, FloatArray, FloatArray]:
    n, n_classes, n_signals = design.shape
    loss = 0.0
    gradient = np.zeros(n_signals)
    curvature = np.zeros((n_signals, n_signals))
    p = np.empty(n_classes)
    mean = np.empty(n_signals)
    for i in range(n):
        total = 0.0
        highest = -np.inf
        for c in range(n_classes):
            p[c] = 0.0
            for f in range(n_signals):
                p[c] += w[f] * design[i, c, f]
            highest = max(highest, p[c])
            total += target[i, c]
        norm = 0.0
        for c in range(n_classes):
            loss -= target[i, c] * (p[c] - highest)
            p[c] = np.exp(p[c] - highest)
            norm += p[c]
        loss += total * np.log(norm)
        mean[:] = 0.0
        for c in range(n_classes):
            p[c] /= norm
            for f in range(n_signals):
                mean[f] += p[c] * design[i, c, f]
        for c in range(n_classes):
            away = total * p[c] - target[i, c]
            for f in range(n_signals):
                gradient[f] += away * design[i, c, f]
                moved = total * p[c] * (design[i, c, f] - mean[f])
                for g in range(f + 1):
                    curvature[f, g] += moved * (design[i, c, g] - mean[g])
    for f in range(n_signals):
        for g in range(f):
            curvature[g, f] = curvature[f, g]
    return loss, gradient, curvature
