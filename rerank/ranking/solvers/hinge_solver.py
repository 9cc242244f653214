"""Exact solution of the margin-rescaled structured hinge, with a duality gap."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rerank.ranking.solvers.block_coordinate_ascent import Iterate, Judged, sweep, visit_images
from rerank.ranking.solvers.hinge_problem import HingeProblem
from rerank.ranking.solvers.interior_point import InteriorPoint
from rerank.ranking.solvers.projected_newton import projected_newton_step
from rerank.ranking.solvers.working_set import WorkingSet
from rerank.types import FloatArray

#: Most steps that the interior point method is expected to need.
EXPECTED_STEPS = 20
#: Most steps of the interior point method before block ascent takes over again.
MOST_STEPS = 100
#: Steps in a row of under a hundredth of their length after which the method is given up.
IDLE_STEPS = 10
#: Projected Newton steps between two readings of the rows.
NEWTON_STEPS = 3
#: Bytes of the working set above which constraints whose variable is 0 are dropped after a round.
MOST_BYTES = 2**30
#: Rounds of both methods without progress after which what is left of the gap is rounding error.
STALLED = 4


@dataclass(frozen=True)
class HingeSolution:
    """Weights with their certificate.

    Attributes
    ----------
    weights : ndarray of shape (D,)
        Of the scaled columns.
    primal, dual : float
        Objective of `weights`, and the highest lower bound found.
    n_passes : int
        How often all rows were read.
    converged : bool
        Whether primal - dual is at most tol * primal.
    """

    weights: FloatArray
    primal: float
    dual: float
    n_passes: int
    converged: bool

    @property
    def gap(self) -> float:
        """The duality gap: by how much `primal` may lie above the optimum at most."""
        return self.primal - self.dual


def solve_hinge(
    problem: HingeProblem,
    tol: float,
    max_passes: int,
    generator: np.random.Generator,
    callback: Callable[[FloatArray], None] | None = None,
) -> HingeSolution:
    """Solve the structured hinge to a relative duality gap.

    Both methods work on the constraints found so far and read all rows to find new ones and the
    exact objective. Block-coordinate ascent of the dual starts, and is enough where the proposals
    can nearly be separated. Where its progress predicts more work than a primal-dual interior
    point method (`InteriorPoint`) takes, that method takes over. The choice rests on counted
    operations, not on the clock, so that equal seeds give equal results.

    Parameters
    ----------
    problem : HingeProblem
    tol : float
        Stop when primal - dual <= tol * primal.
    max_passes : int
        Stop after so many readings of all rows.
    generator : numpy.random.Generator
        Orders the images.
    callback : callable, optional
        Called with the best weights so far after each reading.

    Returns
    -------
    HingeSolution
    """
    return _Solver(problem, tol, max_passes, generator, callback).solve()


class _Solver:
    def __init__(
        self,
        problem: HingeProblem,
        tol: float,
        max_passes: int,
        generator: np.random.Generator,
        callback: Callable[[FloatArray], None] | None,
    ) -> None:
        self.problem, self.tol, self.max_passes = problem, tol, max_passes
        self.generator, self.callback = generator, callback
        n_columns = problem.shape[1]
        self.working = WorkingSet(problem)
        self.best: FloatArray = np.zeros(n_columns)
        self.primal, self.dual = problem.empty_objective(), 0.0
        self.weights: FloatArray = np.zeros(n_columns)
        self.n_passes = self.n_visits = 0
        # With at least as many columns as images, most constraints that are nearly violated are
        # active in the end: adding two at a visit saves readings, and the average of the weights
        # is worse than the weights.
        self.wide = n_columns >= problem.images.n_images
        self.average: FloatArray = np.zeros(0 if self.wide else n_columns)

    def solve(self) -> HingeSolution:
        growing, stalled = False, 0
        for attempt in itertools.count():
            if self._done() or stalled == STALLED:
                break
            gap = self.primal - self.dual
            growing = self._ascend()
            if not self._done():
                # A start that failed is not tried twice in a row.
                self._interior(cold=growing if attempt == 0 else attempt % 2 == 1)
            stalled = stalled + 1 if self.primal - self.dual > 0.9 * gap else 0
        converged = self.primal - self.dual <= self.tol * self.primal
        return HingeSolution(self.best, self.primal, self.dual, self.n_passes, converged)

    def _done(self) -> bool:
        return self.primal - self.dual <= self.tol * self.primal or self.n_passes >= self.max_passes

    def _ascend(self) -> bool:
        """Block ascent, until it is done or costs more, now or as predicted, than the other method.

        Returns whether the dual's gains no longer shrink.
        """
        problem, working, spent, cost = self.problem, self.working, 0.0, 0.0
        n_rows, n_columns = problem.shape
        rounds = [working.dual(self.weights)]
        while True:
            # The last round's weights are judged in the same reading that begins the next round.
            candidates = self._candidates() if len(rounds) > 1 else np.empty((0, n_columns))
            margins = self._visit(candidates)
            if len(margins) > 0:
                self._judge(candidates, margins)
                predicted = max(spent, 0.4 * cost * _repeats_left(rounds[-4:], self.tol))
                other = _expected_steps(problem, working) * _interior_step_cost(problem, working)
                if self._done() or predicted > other:
                    self.weights = working.weights()
                    return bool(np.isinf(predicted))
            cost = 1.4 * n_rows * (n_columns + 10) + 1e5 + self._settle()
            if 8 * working.size * n_columns > MOST_BYTES:
                working.drop_idle()
            self.weights = working.weights()
            rounds.append(working.dual(self.weights))
            self.dual = max(self.dual, rounds[-1])
            spent += cost

    def _settle(self) -> float:
        """Solve the dual over the working set to a tenth of the gap that is left; return the cost.

        Sweeps alone are slow where variables of several images depend on each other; projected
        Newton steps help, where no more variables than columns are above 0.
        """
        problem, working, cost = self.problem, self.working, 0.0
        n_images, target = problem.images.n_images, 0.1 * (self.primal - self.dual)
        n_sweeps = int(np.clip(3 * problem.shape[0] // max(working.size, 1), 3, 30))
        costly = n_sweeps * _sweep_cost(problem, working) > _interior_step_cost(problem, working)
        for _ in range(NEWTON_STEPS + 1):
            lefts: list[float] = []
            gaps = np.full(n_images, np.inf)
            while len(lefts) < n_sweeps:
                # Images that are settled well enough wait for the next round.
                order = self.generator.permutation(np.flatnonzero(gaps > 0.3 * target / n_images))
                sweep(order, working.constraints, self.weights, problem.C, gaps)
                cost += _sweep_cost(problem, working) * len(order) / n_images
                lefts.append(float(gaps.sum()))
                if lefts[-1] <= target:
                    return cost
                if (
                    costly
                    and len(lefts) % 5 == 0
                    and lefts[-1] > target * (lefts[-5] / lefts[-1]) ** 8
                ):
                    break
            if projected_newton_step(working, self.weights, problem.C) == 0.0:
                return cost
            cost += _newton_cost(problem, working)
            n_sweeps = 3
        return cost

    def _visit(self, candidates: FloatArray) -> FloatArray:
        """Visit all images; return the margins of the candidates."""
        problem, working = self.problem, self.working
        margins = np.empty((len(candidates), problem.shape[0]))
        n_new = 2 if self.wide else 1
        for block in problem.blocks():
            first, stop = block.first_image, block.stop_image
            working.reserve(first, stop, n_new)
            working.size = visit_images(
                first + self.generator.permutation(stop - first),
                block,
                problem.terms,
                working.constraints,
                working.size,
                Iterate(self.weights, self.average, self.n_visits),
                Judged(candidates, margins),
                n_new,
            )
            self.n_visits += stop - first
        self.n_passes += 1
        return margins

    def _candidates(self) -> FloatArray:
        """Copies of the settled weights and, where it may be ahead of them, of the average."""
        return np.array([self.weights] if self.wide else [self.weights, self.average])

    def _judge(self, candidates: FloatArray, margins: FloatArray) -> None:
        """Find the objective of the candidates, and of the best multiple of the settled weights."""
        problem = self.problem
        for weights, margin in zip(candidates, margins):
            self._offer(weights, problem.objective(weights, margin))
        factor = problem.best_multiple(candidates[0], margins[0])
        self._offer(
            factor * candidates[0], problem.objective(factor * candidates[0], factor * margins[0])
        )
        if self.callback is not None:
            self.callback(self.best)

    def _offer(self, weights: FloatArray, primal: float) -> None:
        if primal < self.primal:
            self.best, self.primal = weights.copy(), primal

    def _interior(self, cold: bool) -> None:
        """Interior point method, until it is done or no longer moves."""
        method = InteriorPoint(
            self.problem,
            self.working,
            self.best if cold else self.weights,
            self.primal - self.dual,
            cold,
        )
        self.n_passes += 1
        n_products = self.working.size + len(method.live)
        idle = 0
        for _ in range(MOST_STEPS):
            self._offer(method.weights, method.primal)
            self.dual = max(self.dual, method.dual)
            if self.callback is not None:
                self.callback(self.best)
            if self._done() or idle == IDLE_STEPS:
                break
            try:
                method.step(floor=0.05 * self.tol * self.primal / n_products)
            except FloatingPointError:
                break
            self.n_passes += 1
            idle = idle + 1 if method.progress < 0.01 else 0
        # Variables that are nearly 0 would only slow the ascent down.
        alphas = self.working.alphas[: self.working.size]
        alphas[alphas < 1e-7 * alphas.max(initial=0.0)] = 0.0
        self.weights = self.working.weights()


def _repeats_left(duals: list[float], tol: float) -> float:
    """Repeats until the dual has converged, if its gains go on to shrink as they did."""
    gains = np.diff(duals)
    target = 0.3 * tol * abs(duals[-1])
    if gains[-1] <= 0.03 * target:
        return 0.0
    if len(gains) < 2:
        return 1.0
    ratio = (gains[-1] / gains[0]) ** (1.0 / (len(gains) - 1)) if gains[0] > 0 else 1.0
    if ratio > 0.999:
        return np.inf
    if target == 0.0:
        return np.inf
    return max(1.0, float(np.log(target * (1.0 - ratio) / gains[-1]) / np.log(ratio)))


def _sweep_cost(problem: HingeProblem, working: WorkingSet) -> float:
    """Nanoseconds, about, of a sweep."""
    n_columns = problem.shape[1]
    return working.size * n_columns + 100.0 * problem.images.n_images + 1e4


def _newton_cost(problem: HingeProblem, working: WorkingSet) -> float:
    """Nanoseconds, about, of a projected Newton step."""
    n_free = min(float((working.alphas[: working.size] > 0).sum()), problem.shape[1])
    matrix = n_free**2 * (problem.shape[1] + n_free / 3) / 40
    return matrix + 2.0 * working.size * problem.shape[1]


def _expected_steps(problem: HingeProblem, working: WorkingSet) -> float:
    """Steps that the interior point method takes, about: fewer with many constraints a column."""
    crowding = max(working.size, 1) / (10.0 * problem.shape[1])
    return EXPECTED_STEPS * (0.4 + 0.6 / max(crowding, 1.0))


def _interior_step_cost(problem: HingeProblem, working: WorkingSet) -> float:
    """Nanoseconds, about, of a step of the interior point method."""
    n_rows, n_columns = problem.shape
    n_constraints = 1.5 * working.size + problem.images.n_images
    smaller = min(n_constraints, n_columns)
    matrix = (n_constraints * n_columns * smaller + smaller**3 / 3) / 40
    return matrix + 6 * n_constraints * n_columns + n_rows * n_columns + 5e5
