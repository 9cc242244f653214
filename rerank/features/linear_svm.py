"""Many linear support vector machines over one design matrix, solved in the dual."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from rerank.errors import InputError
from rerank.types import Array, FloatArray, IntArray

#: Score of every image where all training images have the label (1) or none has it (-1).
ONE_CLASS_SCORE = 1.0


@dataclass(frozen=True, eq=False)
class LinearSVMs:
    """T fitted machines: scores are `X @ coef.T + intercept`."""

    coef: FloatArray  #: (T, D)
    intercept: FloatArray  #: (T,)
    duality_gap: FloatArray  #: (T,) gap over the primal objective, 0 where nothing was solved

    def decision_function(self, X: Array) -> FloatArray:
        """(N, T) signed scores, positive where the label is predicted."""
        X = np.asarray(X, dtype=np.float64)
        if X.ndim != 2 or X.shape[1] != self.coef.shape[1]:
            raise InputError(f"X must be (N, {self.coef.shape[1]}), got {X.shape}")
        return np.asarray(X @ self.coef.T + self.intercept)


def fit_linear_svms(X: Array, labels: Array, C: float, balanced: bool, tol: float,
                    max_iter: int, random_state: int) -> LinearSVMs:
    """Minimise 1/2 |w|^2 + sum_i C_i max(0, 1 - y_i (w x_i + b))^2 for every label column.

    The bias is a weight on a constant column, as in liblinear (Hsieh et al. 2008, whose
    dual coordinate descent this is). X is standardised by column and then scaled so that a
    row has a squared length of 1 on average, so that `C` means the same at any D. Where
    D > N the rows are first rotated into the at most N dimensions that they span, which
    changes no score.

    Parameters
    ----------
    X : (N, D) float
    labels : (N, T) bool
        A column with one label alone gets weights of 0 and the intercept
        `ONE_CLASS_SCORE`, or its negative.
    C : float above 0
        Weight of an error.
    balanced : bool
        Give positives and negatives the same total weight, N C / 2 each; else every image C.
    tol : float
        Stop at a duality gap below this share of the primal objective.
    max_iter : int
        Passes over the images at most.
    random_state : int
        Order in which a pass visits the images.
    """
    X = np.asarray(X, dtype=np.float64)
    labels = np.asarray(labels, dtype=bool)
    if X.ndim != 2 or labels.ndim != 2 or len(X) != len(labels) or not len(X):
        raise InputError(f"X {X.shape} and labels {labels.shape} must be (N, D) and (N, T)")
    if not np.isfinite(X).all():
        raise InputError("X must be finite")
    if not C > 0:
        raise InputError(f"C must be above 0, got {C}")
    mean = X.mean(axis=0)
    spread = X.std(axis=0)
    spread[spread < 1e-12 * np.maximum(1.0, np.abs(mean))] = np.inf
    scaled = (X - mean) / spread
    length = np.sqrt((scaled ** 2).sum(axis=1).mean())
    scale = 1.0 / (spread * (length if length > 0 else 1.0))
    scaled = (X - mean) * scale
    rotation = None
    if scaled.shape[1] > len(X):
        rotation, _ = np.linalg.qr(scaled.T)
        scaled = scaled @ rotation
    design = np.ascontiguousarray(np.column_stack([scaled, np.ones(len(X))]))
    order = np.random.default_rng(random_state).permutation(len(X))
    n_tasks = labels.shape[1]
    coef = np.zeros((n_tasks, X.shape[1]))
    intercept = np.zeros(n_tasks)
    gaps = np.zeros(n_tasks)
    for t in range(n_tasks):
        positive = labels[:, t]
        if positive.all() or not positive.any():
            intercept[t] = ONE_CLASS_SCORE if positive.all() else -ONE_CLASS_SCORE
            continue
        share = positive.mean()
        weight = np.full(len(X), C) if not balanced else \
            np.where(positive, 0.5 * C / share, 0.5 * C / (1 - share))
        w, gaps[t] = _solve(design, np.where(positive, 1.0, -1.0), weight, order, tol,
                            max_iter)
        direction = w[:-1] if rotation is None else rotation @ w[:-1]
        coef[t] = direction * scale
        intercept[t] = w[-1] - coef[t] @ mean
    return LinearSVMs(coef, intercept, gaps)


@njit(cache=True)
def _solve(X: FloatArray, y: FloatArray, weight: FloatArray, order: IntArray, tol: float,
           max_iter: int) -> tuple[FloatArray, float]:
    n, d = X.shape
    alpha = np.zeros(n)
    w = np.zeros(d)
    squared = np.empty(n)
    for i in range(n):
        squared[i] = (X[i] ** 2).sum() + 0.5 / weight[i]
    gap = np.inf
    for sweep in range(max_iter):
        for i in order:
            gradient = y[i] * np.dot(w, X[i]) - 1.0 + alpha[i] * 0.5 / weight[i]
            new = max(0.0, alpha[i] - gradient / squared[i])
            step = new - alpha[i]
            if step != 0.0:
                w += (step * y[i]) * X[i]
                alpha[i] = new
        if sweep % 5 == 4 or sweep == max_iter - 1:
            half = 0.5 * np.dot(w, w)
            primal = half
            dual = -half
            for i in range(n):
                slack = max(0.0, 1.0 - y[i] * np.dot(w, X[i]))
                primal += weight[i] * slack * slack
                dual += alpha[i] - 0.25 * alpha[i] * alpha[i] / weight[i]
            gap = (primal - dual) / primal
            if gap <= tol:
                break
    return w, gap
