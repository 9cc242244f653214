"""Is the fused posterior fitted faster by Newton steps of our own or by scipy.optimize?

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/fused_posterior.py [--work WORK]

The problem is that of a finished run, or else one of the size of MSRC-21's: 11 signals, 200 images
of 200 regions, 21 classes. There signals are noisy logarithms of probabilities of a common truth.
`by hand` are Newton steps with a line search, `FusedPosterior` is the package's own fit (scipy's
`trust-exact`). All get the same compiled loss, gradient and Hessian, computed once at each point;
L-BFGS-B gets a kernel without the Hessian. The table shows calls of the kernel (steps for
`FusedPosterior`), the penalised loss above the lowest one found, the norm of its gradient, and CPU
seconds on one thread, medians over rounds in which all take turns; ratios are medians of the
rounds' own.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numba import njit
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from rerank.applications.runs import open_run
from rerank.engine.folds import FINAL
from rerank.engine.stage import read_image
from rerank.evidence import FusedPosterior
from rerank.evidence.fused_posterior import _loss_kernel
from rerank.stages.fusion import _own_signals
from rerank.types import Array, FloatArray

ALPHA = 1e-3


def make_problem(
    n_images: int, n_regions: int, n_classes: int, n_signals: int
) -> tuple[FloatArray, FloatArray]:
    """(n, C, F) float32 signals of unit spread, and (n, C) shares of the labelled pixels."""
    rng = np.random.default_rng(0)
    n = n_images * n_regions
    truth = rng.integers(n_classes, size=n)
    design = np.empty((n, n_classes, n_signals), dtype=np.float32)
    common = rng.normal(size=(n, n_classes)) + 2.0 * np.eye(n_classes)[truth]
    for f in range(n_signals):
        logits = common + (0.5 + 0.2 * f) * rng.normal(size=common.shape)
        p = np.exp(2 * logits)
        design[:, :, f] = np.log(np.maximum(p / p.sum(axis=1, keepdims=True), 1e-4))
    centred = design - design.mean(axis=1, keepdims=True)
    design /= np.sqrt((centred**2).mean(axis=(0, 1)))
    target = np.eye(n_classes)[truth] * rng.integers(50, 800, (n, 1))
    return design, target / target.sum()


@njit(cache=True)
def loss_and_gradient(
    design: FloatArray, target: FloatArray, w: FloatArray
) -> tuple[float, FloatArray]:
    """`_loss_kernel` without the Hessian."""
    n, n_classes, n_signals = design.shape
    loss = 0.0
    gradient = np.zeros(n_signals)
    p = np.empty(n_classes)
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
        for c in range(n_classes):
            away = total * p[c] / norm - target[i, c]
            for f in range(n_signals):
                gradient[f] += away * design[i, c, f]
    return loss, gradient


def problem_of_run(work: str) -> tuple[FloatArray, FloatArray]:
    """What the fusion of a finished run was fitted to, for the evaluation images."""
    job = open_run(work).job("fusion", FINAL)
    signals, histograms = [], []
    for fold in job.folds:
        signals += list(_own_signals(job, fold))
        with job.open("superpixels", fold.name) as file:
            histograms += [
                read_image(file, k, ("histogram",))["histogram"] for k in range(len(fold.image_ids))
            ]
    found = []

    class Recorder(FusedPosterior):
        def _minimise(
            self, design: FloatArray, target: FloatArray
        ) -> tuple[FloatArray, float, int]:
            found.append((design, target))
            return super()._minimise(design, target)

    Recorder(ALPHA).fit(signals, histograms)
    return found[0]


class Objective:
    """The penalised loss, its gradient and its Hessian, computed once at each point."""

    def __init__(self, design: FloatArray, target: FloatArray) -> None:
        self.design, self.target = design, target
        self.point: Array | None = None
        self.calls = 0

    def _at(self, w: Array) -> tuple[float, FloatArray, FloatArray]:
        if self.point is None or not np.array_equal(w, self.point):
            self.point = w.copy()
            self.found = _loss_kernel(self.design, self.target, self.point)
            self.calls += 1
        return self.found

    def value(self, w: Array) -> float:
        return self._at(w)[0] + 0.5 * ALPHA * float(w @ w)

    def gradient(self, w: Array) -> FloatArray:
        return self._at(w)[1] + ALPHA * w

    def hessian(self, w: Array) -> FloatArray:
        return self._at(w)[2] + ALPHA * np.eye(len(w))

    def both(self, w: Array) -> tuple[float, FloatArray]:
        """Value and gradient without the Hessian."""
        self.calls += 1
        loss, gradient = loss_and_gradient(self.design, self.target, w)
        return loss + 0.5 * ALPHA * float(w @ w), gradient + ALPHA * w


SHOWN = ("gtol", "xtol", "initial_trust_radius")
#: (scipy's name, options that stop near where ours does)
PEERS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("trust-exact", {"gtol": 1e-5}),
    ("trust-exact", {"gtol": 1e-7}),
    ("trust-exact", {"gtol": 1e-5, "initial_trust_radius": 10.0, "max_trust_radius": 1e6}),
    ("trust-ncg", {"gtol": 1e-5, "initial_trust_radius": 10.0, "max_trust_radius": 1e6}),
    ("Newton-CG", {"xtol": 1e-5}),
    ("L-BFGS-B", {"gtol": 1e-5, "ftol": 0.0}),
    ("L-BFGS-B", {"gtol": 1e-6, "ftol": 0.0}),
)


def newton(objective: Objective, tol: float = 1e-9) -> tuple[FloatArray, int]:
    """Newton steps, halved until they lower the loss enough (Armijo)."""
    objective.point, objective.calls = None, 0
    w = np.zeros(objective.design.shape[2])
    for _ in range(50):
        before, gradient = objective.value(w), objective.gradient(w)
        direction = -np.linalg.solve(objective.hessian(w), gradient)
        promised = -float(gradient @ direction)
        if promised < tol:
            break
        length = 1.0
        while length >= 1e-8:
            after = objective.value(w + length * direction)
            if after <= before - 1e-4 * length * promised:
                break
            length *= 0.5
        w = w + length * direction
    return w, objective.calls


def fit_ours(design: FloatArray, target: FloatArray) -> tuple[FloatArray, int]:
    """The weights of `FusedPosterior`, and its steps."""
    w, _, n_steps = FusedPosterior(ALPHA)._minimise(design, target)
    return w, n_steps


def solve(
    design: FloatArray, target: FloatArray, method: str, options: dict[str, Any]
) -> tuple[FloatArray, int]:
    """The weights that a method of scipy finds, and its calls of the kernel."""
    objective, start = Objective(design, target), np.zeros(design.shape[2])
    if method == "L-BFGS-B":
        found = minimize(objective.both, start, jac=True, method=method, options=options)
    else:
        found = minimize(
            objective.value,
            start,
            jac=objective.gradient,
            hess=objective.hessian,
            method=method,
            options=options,
        )
    return found.x, objective.calls


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--regions", type=int, default=200)
    parser.add_argument("--classes", type=int, default=21)
    parser.add_argument("--signals", type=int, default=11)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--work", help="the problem of a finished run in this folder instead")
    a = parser.parse_args()
    if a.work:
        design, target = problem_of_run(a.work)
    else:
        design, target = make_problem(a.images, a.regions, a.classes, a.signals)
    print(f"{len(design)} regions, {design.shape[1]} classes, {design.shape[2]} signals")
    fits: dict[str, Callable[[], tuple[FloatArray, int]]] = {
        "by hand": partial(newton, Objective(design, target)),
        "FusedPosterior": partial(fit_ours, design, target),
    }
    for method, options in PEERS:
        words = [method, *(f"{key} {value:g}" for key, value in options.items() if key in SHOWN)]
        fits[", ".join(words)] = partial(solve, design, target, method, options)
    seconds: dict[str, list[float]] = {key: [] for key in fits}
    reached = {}
    # The first round compiles and is not counted.
    for turn in range(a.rounds + 1):
        for key, fit in fits.items():
            start = time.process_time()
            found = fit()
            if turn:
                seconds[key].append(time.process_time() - start)
            reached[key] = found
    judge = Objective(design, target)
    lowest = min(judge.value(w) for w, _ in reached.values())
    base = np.array(seconds["by hand"])
    for key, (w, calls) in reached.items():
        print(
            f"{key:44} {calls:3} calls  loss {judge.value(w) - lowest:+.1e}  "
            f"gradient {np.linalg.norm(judge.gradient(w)):.1e}  {np.median(seconds[key]):6.3f} s  "
            f"ratio to by hand {np.median(np.array(seconds[key]) / base):5.2f}"
        )


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
