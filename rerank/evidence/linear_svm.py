"""Many linear support vector machines over one design matrix.

It stays our own: scikit-learn's `LinearSVC`, which fits label by label, takes 3 to 30 times as long
at the sizes of the recipes (`benchmarks/linear_svm.py`).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from rerank.errors import InputError
from rerank.types import Array, FloatArray

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


def fit_linear_svms(
    X: Array, labels: Array, C: float, balanced: bool, tol: float, max_iter: int
) -> LinearSVMs:
    """Minimise 1/2 |w|^2 + sum_i C_i max(0, 1 - y_i (w x_i + b))^2 for every label column.

    The bias is a weight on a constant column, as in liblinear. X is standardised by column
    and then scaled so that a row has a squared length of 1 on average, so that `C` means the
    same at any D. Where D > N the rows are first rotated into the at most N dimensions that
    they span, which changes no score. The problems are solved in the primal by Newton steps
    (Keerthi and DeCoste 2005) from conjugate gradients, all labels side by side.

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
        Newton steps at most; `ConvergenceWarning` if that is not enough.

    Returns
    -------
    LinearSVMs

    Raises
    ------
    InputError
        If shapes disagree, a value of X is not finite, or `C` is not above 0.
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
    length = np.sqrt((scaled**2).sum(axis=1).mean())
    scale = 1.0 / (spread * (length if length > 0 else 1.0))
    scaled = (X - mean) * scale
    rotation = None
    if scaled.shape[1] > len(X):
        rotation, _ = np.linalg.qr(scaled.T)
        scaled = scaled @ rotation
    design = np.column_stack([scaled, np.ones(len(X))])
    share = labels.mean(axis=0)
    proper = np.flatnonzero((share > 0) & (share < 1))
    coef = np.zeros((labels.shape[1], X.shape[1]))
    intercept = np.where(share == 1, ONE_CLASS_SCORE, -ONE_CLASS_SCORE)
    gaps = np.zeros(labels.shape[1])
    if len(proper):
        positive, part = labels[:, proper], share[proper]
        weight = np.full(positive.shape, float(C))
        if balanced:
            weight = np.where(positive, 0.5 * C / part, 0.5 * C / (1 - part))
        w, gaps[proper] = _newton(design, np.where(positive, 1.0, -1.0), weight, tol, max_iter)
        direction = w[:-1] if rotation is None else rotation @ w[:-1]
        coef[proper] = direction.T * scale
        intercept[proper] = w[-1] - coef[proper] @ mean
        if gaps.max() > tol:
            warnings.warn(
                f"{int((gaps > tol).sum())} of {len(proper)} machines have a duality "
                f"gap above {tol} (at most {gaps.max():.2g}) after {max_iter} Newton "
                f"steps",
                ConvergenceWarning,
                stacklevel=3,
            )
    return LinearSVMs(coef, intercept, gaps)


def _newton(
    X: FloatArray, y: FloatArray, weight: FloatArray, tol: float, max_iter: int
) -> tuple[FloatArray, FloatArray]:
    """Solve all columns of `y` (N, T) at once; returns w (D, T) and relative gaps (T,)."""
    w = np.zeros((X.shape[1], y.shape[1]))
    gap = np.full(y.shape[1], np.inf)
    scores = np.zeros(y.shape)
    open_ = np.arange(y.shape[1])
    for _ in range(max_iter):
        slack = np.maximum(0.0, 1.0 - y[:, open_] * scores[:, open_])
        alpha = 2.0 * weight[:, open_] * slack
        from_dual = X.T @ (alpha * y[:, open_])
        primal = _objective(w[:, open_], slack, weight[:, open_])
        dual = (alpha - 0.25 * alpha**2 / weight[:, open_]).sum(axis=0) - 0.5 * (from_dual**2).sum(
            axis=0
        )
        gap[open_] = (primal - dual) / primal
        going = gap[open_] > tol
        if not going.any():
            break
        gradient = (w[:, open_] - from_dual)[:, going]
        curvature = 2.0 * (weight[:, open_] * (slack > 0))[:, going]
        primal, open_ = primal[going], open_[going]
        step = _conjugate_gradients(X, curvature, gradient)
        along = X @ step
        slope = (gradient * step).sum(axis=0)
        length = _line_search(
            w[:, open_], step, scores[:, open_], along, y[:, open_], weight[:, open_], primal, slope
        )
        w[:, open_] += length * step
        scores[:, open_] += length * along
    return w, gap


def _objective(w: FloatArray, slack: FloatArray, weight: FloatArray) -> FloatArray:
    return np.asarray(0.5 * (w**2).sum(axis=0) + (weight * slack**2).sum(axis=0))


def _conjugate_gradients(
    X: FloatArray,
    curvature: FloatArray,
    gradient: FloatArray,
    accuracy: float = 0.01,
    max_iter: int = 100,
) -> FloatArray:
    """Solve (1 + X' diag(curvature) X) d = -gradient column by column, side by side."""
    solution = np.zeros_like(gradient)
    residual = -gradient
    direction = residual.copy()
    squared = (residual**2).sum(axis=0)
    enough = accuracy**2 * squared
    for _ in range(max_iter):
        going = squared > enough
        if not going.any():
            break
        image = direction + X.T @ (curvature * (X @ direction))
        bend = (direction * image).sum(axis=0)
        length = np.where(going, squared / np.where(bend > 0, bend, 1.0), 0.0)
        solution += length * direction
        residual -= length * image
        new = (residual**2).sum(axis=0)
        direction = (
            residual + np.where(going, new / np.where(squared > 0, squared, 1.0), 0.0) * direction
        )
        squared = np.where(going, new, squared)
    return solution


def _line_search(
    w: FloatArray,
    step: FloatArray,
    scores: FloatArray,
    along: FloatArray,
    y: FloatArray,
    weight: FloatArray,
    start: FloatArray,
    slope: FloatArray,
) -> FloatArray:
    """The largest of 1, 1/2, 1/4, ... that lowers each objective enough (Armijo)."""
    length = np.ones(w.shape[1])
    for _ in range(30):
        slack = np.maximum(0.0, 1.0 - y * (scores + length * along))
        high = _objective(w + length * step, slack, weight) > start + 1e-4 * length * slope
        # Near the optimum rounding hides the decrease; a full step is then as good as any.
        high &= np.abs(slope) > 1e-13 * start
        if not high.any():
            break
        length = np.where(high, 0.5 * length, length)
    return length
