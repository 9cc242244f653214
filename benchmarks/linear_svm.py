"""Are the image classifiers' linear SVMs fitted faster by our solver or by LinearSVC?

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/linear_svm.py

Both minimise 1/2 |w|^2 + sum_i C_i max(0, 1 - y_i w x_i)^2 on the same standardised columns, with
balanced classes, one problem for each class (is it in the image?) and each class and percentile
(is it at least that large?). Sizes are those of the recipes: MSRC-21 has 276 training images and
the mean and maximum of 1,512 deep features, the scenes have 110 images and 200 columns. Images are
drawn from their classes' shares by a random map of low rank and noise.

scikit-learn's LinearSVC (liblinear) solves the dual, the primal, or the primal in the at most N
dimensions that the images span, as ours does. Each peer gets the loosest tolerance of 1, 0.1, ...
at which no problem's objective is more than 1e-4 above the optimum; ours stops by its default
duality gap of 1e-4, which guarantees the same. CPU seconds on one thread, the standardisation
included, medians over rounds in which all take turns; ratios are medians of the rounds' own.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC
from threadpoolctl import threadpool_limits

from rerank.evidence import size_thresholds
from rerank.evidence.linear_svm import fit_linear_svms
from rerank.types import BoolArray, FloatArray

#: (what, images, columns, classes, C)
SIZES = (
    ("msrc21", 276, 3024, 21, 1.0),
    ("msrc21, C = 0.01", 276, 3024, 21, 0.01),
    ("scenes", 110, 200, 11, 1.0),
    ("scenes, C = 0.01", 110, 200, 11, 0.01),
)
TOLERANCES = (1.0, 0.1, 0.01, 1e-3, 1e-4, 1e-5, 1e-6)
ACCURACY = 1e-4


def make_problems(n: int, d: int, n_classes: int) -> tuple[FloatArray, BoolArray]:
    """(n, d) columns, and (n, 5 n_classes) labels of presence and of four sizes."""
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.full(n_classes, 0.15), n)
    shares[shares < 0.02] = 0
    seen = np.sqrt(shares) @ rng.normal(size=(n_classes, d)) + 0.3 * rng.normal(size=(n, d))
    sizes = shares[:, :, None] >= size_thresholds(shares)
    labels = np.concatenate([shares > 0, sizes.reshape(n, -1)], axis=1)
    share = labels.mean(axis=0)
    return np.maximum(seen, 0), labels[:, (share > 0) & (share < 1)]


def standardised(X: FloatArray) -> FloatArray:
    """Columns as `fit_linear_svms` scales them."""
    scaled = (X - X.mean(axis=0)) / X.std(axis=0)
    return np.asarray(scaled / np.sqrt((scaled**2).sum(axis=1).mean()))


class Problem(NamedTuple):
    """Columns (N, D), labels (N, T) and the weight of an error."""

    X: FloatArray
    labels: BoolArray
    C: float

    def objectives(self, w: FloatArray) -> FloatArray:
        """(T,) objectives at w, (T, D + 1), of standardised columns and a bias."""
        y, share = np.where(self.labels, 1.0, -1.0), self.labels.mean(axis=0)
        weight = np.where(self.labels, 0.5 / share, 0.5 / (1 - share)) * self.C
        slack = np.maximum(0, 1 - y * (standardised(self.X) @ w[:, :-1].T + w[:, -1]))
        return np.asarray(0.5 * (w**2).sum(axis=1) + (weight * slack**2).sum(axis=0))


def fit_ours(problem: Problem, tol: float = ACCURACY) -> FloatArray:
    """Weights of our solver, (T, D + 1), on the standardised columns."""
    X = problem.X
    machines = fit_linear_svms(X, problem.labels, problem.C, True, tol, 100)
    spread = X.std(axis=0) * np.sqrt(X.shape[1])
    bias = machines.intercept + machines.coef @ X.mean(axis=0)
    return np.column_stack([machines.coef * spread, bias])


def fit_peer(problem: Problem, tol: float, *, dual: bool, rotated: bool) -> FloatArray:
    """Weights of LinearSVC, (T, D + 1), on the standardised columns."""
    design, rotation = standardised(problem.X), None
    if rotated and design.shape[1] > len(design):
        rotation, _ = np.linalg.qr(design.T)
        design = design @ rotation
    found = []
    for column in problem.labels.T:
        machine = LinearSVC(
            C=problem.C,
            class_weight="balanced",
            dual=dual,
            tol=tol,
            max_iter=100_000,
            random_state=0,
        ).fit(design, column)
        w = machine.coef_[0] if rotation is None else rotation @ machine.coef_[0]
        found.append(np.append(w, machine.intercept_))
    return np.array(found)


PEERS = {
    "dual": dict(dual=True, rotated=False),
    "dual, rotated": dict(dual=True, rotated=True),
    "primal": dict(dual=False, rotated=False),
    "primal, rotated": dict(dual=False, rotated=True),
}


def compare(problem: Problem, rounds: int) -> None:
    """Print what each solver reaches and takes."""
    best = problem.objectives(fit_ours(problem, 1e-12))

    def excess(w: FloatArray) -> float:
        return float((problem.objectives(w) / best - 1).max())

    fits: dict[str, Callable[[], FloatArray]] = {
        f"ours, tol {ACCURACY:g}": partial(fit_ours, problem)
    }
    for peer, settings in PEERS.items():
        for tol in TOLERANCES:
            peer_fit = partial(fit_peer, problem, tol, **settings)
            if excess(peer_fit()) <= ACCURACY:
                break
        fits[f"{peer}, tol {tol:g}"] = peer_fit
    seconds: dict[str, list[float]] = {key: [] for key in fits}
    reached = {}
    for _ in range(rounds):
        for key, fit in fits.items():
            start = time.process_time()
            w = fit()
            seconds[key].append(time.process_time() - start)
            reached[key] = excess(w)
    ours = np.array(next(iter(seconds.values())))
    for key, found in seconds.items():
        print(
            f"  {key:26} excess {reached[key]:8.1e}  {np.median(found):7.3f} s  "
            f"ratio to ours {np.median(found / ours):6.2f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    warnings.simplefilter("ignore", ConvergenceWarning)
    for name, n, d, n_classes, C in SIZES:
        problem = Problem(*make_problems(n, d, n_classes), C)
        print(f"{name}: {n} x {d}, {problem.labels.shape[1]} problems, C = {C}")
        compare(problem, rounds)


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
