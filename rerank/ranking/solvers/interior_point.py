"""Primal-dual interior point method for the structured hinge; constraints are added on the way.

The constraints of image i, ``s_im = xi_i - loss_im + w.(x_i* - x_im) >= 0`` and ``xi_i >= 0``,
have the dual variables alpha_im and alpha_i0, which sum to C. A step solves the linearised
optimality conditions with Mehrotra's predictor and corrector. Eliminating everything but w leaves

    I + sum_i sum_m theta_im (d_im - mean_i)(d_im - mean_i)',   theta = alpha / s,

with mean_i the mean of the image's differences under theta (that of xi_i >= 0 is 0): a matrix of
size D, or, where fewer constraints matter, of their number.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numba import njit
from scipy.linalg import blas, lapack

from rerank.ranking.solvers.hinge_problem import HingeProblem
from rerank.ranking.solvers.working_set import Constraints, WorkingSet
from rerank.types import BoolArray, FloatArray, IntArray

#: Constraints whose part in the matrix is below this (the penalty's is 1) are left out of it.
NEGLIGIBLE = 1e-2
#: Share of the way to the boundary that a step may go.
REACH = 0.99
#: A step below this is replaced by one that only centres.
SHORT = 0.1
#: Rows of the matrix's factor that are built at a time.
CHUNK = 8192


class Direction(NamedTuple):
    """Change of each of the method's variables; a 0 marks those of the constraints xi >= 0."""

    weights: FloatArray
    xi: FloatArray
    slack: FloatArray
    slack0: FloatArray
    alpha: FloatArray
    alpha0: FloatArray


class Theta(NamedTuple):
    """theta = alpha / s of each constraint.

    Attributes
    ----------
    theta : ndarray of shape (size,)
    theta0 : ndarray of shape (n_live,)
        That of each image's xi >= 0.
    total : ndarray of shape (n_live,)
        Sum over the image's constraints, and theta0.
    """

    theta: FloatArray
    theta0: FloatArray
    total: FloatArray


class InteriorPoint:
    """State of the method; `step` moves it.

    Parameters
    ----------
    problem : HingeProblem
    working : WorkingSet
        Takes the constraints that are added, and the variables.
    weights : ndarray of shape (D,)
        Where the method starts.
    gap : float
        Duality gap of the ascent's weights.
    cold : bool
        Whether the ascent's variables are too small to start from.

    Attributes
    ----------
    weights : ndarray of shape (D,)
    primal, dual : float
        Objective of `weights`, and of the variables once scaled to be feasible.
    mu : float
        Mean product of a constraint's slack and its variable, before the last step.
    progress : float
        Share of the last step that was taken.
    """

    def __init__(
        self,
        problem: HingeProblem,
        working: WorkingSet,
        weights: FloatArray,
        gap: float,
        cold: bool,
    ) -> None:
        self.problem, self.working = problem, working
        self.weights = weights.copy()
        multiple = np.diff(problem.images.starts) > 1
        self.primal, hinge = working.add_violated(
            problem, self.weights, np.where(working.counts > 0, 0.0, -np.inf)
        )
        size, n_live = working.size, int(multiple.sum())
        self.live = np.flatnonzero(multiple)
        self.place = np.cumsum(multiple) - 1
        image = self._image()
        margin = working.losses[:size] - working.differences[:size] @ self.weights
        hinge = hinge[self.live]
        if cold:
            # The ascent's variables are still far too small: those of an image share all of C.
            self.xi = hinge + 0.1 * hinge.mean() + 1e-12 * float(problem.losses.max())
            self.slack, self.slack0 = self.xi[image] - margin, self.xi.copy()
            inverse, inverse0 = 1.0 / self.slack, 1.0 / self.slack0
            share = problem.C / (self._sum(inverse) + inverse0)
            self.alpha, self.alpha0 = share[image] * inverse, share * inverse0
        else:
            # The ascent's variables or slacks are 0; each pair is moved to a product of mu, the
            # slacks of large variables away from what the weights make them.
            mu = 0.3 * gap / (size + n_live)
            alpha = working.alphas[:size]
            least = 0.1 * float(alpha[alpha > 0].mean()) if alpha.any() else problem.C
            unspent = problem.C - self._sum(alpha)
            self.xi = np.where(
                unspent > least, mu / np.maximum(unspent, least), np.maximum(hinge, mu / least)
            )
            self.slack0, self.alpha0 = self.xi.copy(), mu / self.xi
            self.alpha = np.where(
                alpha > least, alpha, mu / np.maximum(self.xi[image] - margin, mu / least)
            )
            self.slack = mu / self.alpha
        self.mu = self._mean_product()
        self.progress = 1.0
        self.dual = -np.inf

    def step(self, floor: float) -> None:
        """Move all variables; add the constraints that have come near; find the new objectives.

        Parameters
        ----------
        floor : float
            The mean product that is aimed at is not below this.
        """
        problem, working, size = self.problem, self.working, self.working.size
        image, differences = self._image(), working.differences[:size]
        slack, slack0, alpha, alpha0 = self.slack, self.slack0, self.alpha, self.alpha0
        self.mu = mu = self._mean_product()
        theta, theta0 = alpha / slack, alpha0 / slack0
        total = self._sum(theta) + theta0
        solve = self._factorise(Theta(theta, theta0, total))
        missing = slack - (self.xi[image] + differences @ self.weights - working.losses[:size])
        missing0 = slack0 - self.xi
        residual = self.weights - alpha @ differences
        unspent = problem.C - (self._sum(alpha) + alpha0)

        def direction(product: FloatArray, product0: FloatArray) -> Direction:
            push = (product + alpha * missing) / slack
            push0 = (product0 + alpha0 * missing0) / slack0
            balance = (self._sum(push) + push0 - unspent) / total
            move = solve((push - theta * balance[image]) @ differences - residual)
            rise = differences @ move
            d_xi = balance - self._sum(theta * rise) / total
            d_slack, d_slack0 = d_xi[image] + rise - missing, d_xi - missing0
            return Direction(
                move,
                d_xi,
                d_slack,
                d_slack0,
                product / slack - theta * d_slack,
                product0 / slack0 - theta0 * d_slack0,
            )

        d = direction(-alpha * slack, -alpha0 * slack0)
        reach = min(1.0, self._reach(d))
        after = (alpha + reach * d.alpha) @ (slack + reach * d.slack) + (
            alpha0 + reach * d.alpha0
        ) @ (slack0 + reach * d.slack0)
        after /= len(alpha) + len(alpha0)
        target = max(mu * min(1.0, (after / mu) ** 3), min(mu, floor))
        d = direction(
            target - alpha * slack - d.alpha * d.slack,
            target - alpha0 * slack0 - d.alpha0 * d.slack0,
        )
        t = min(1.0, REACH * self._reach(d))
        if t < SHORT:
            # Some products are far below the mean: first bring all of them near it.
            centring = direction(mu - alpha * slack, mu - alpha0 * slack0)
            reach = min(1.0, REACH * self._reach(centring))
            if reach > t:
                t, d = reach, centring
        self.progress = t
        self.weights = self.weights + t * d.weights
        self.xi = self.xi + t * d.xi
        self.slack, self.slack0 = slack + t * d.slack, slack0 + t * d.slack0
        self.alpha, self.alpha0 = alpha + t * d.alpha, alpha0 + t * d.alpha0
        self._certify()
        self._add_violated()

    def _certify(self) -> None:
        """Give the working set the variables, scaled to be feasible, and find their objective."""
        scale = self.problem.C / (self._sum(self.alpha) + self.alpha0)
        self.working.alphas[: self.working.size] = self.alpha * scale[self._image()]
        self.dual = self.working.dual(self.working.weights())

    def _add_violated(self) -> None:
        """Read all rows; add the constraints that are violated, or nearly."""
        working, size = self.working, self.working.size
        nearest = np.minimum(
            _smallest(self.slack, working.slots, working.counts)[self.live], self.slack0
        )
        thresholds = np.full(self.problem.images.n_images, np.inf)
        thresholds[self.live] = np.maximum(self.xi - 2.0 * nearest, 0.0)
        self.primal, _ = working.add_violated(self.problem, self.weights, thresholds)
        if working.size == size:
            return
        new = slice(size, working.size)
        place = self.place[working.image[new]]
        margin = working.losses[new] - working.differences[new] @ self.weights
        slack = np.maximum(self.xi[place] - margin, nearest[place])
        self.slack = np.concatenate([self.slack, slack])
        self.alpha = np.concatenate([self.alpha, self._mean_product() / slack])

    def _factorise(self, theta: Theta) -> Callable[[FloatArray], FloatArray]:
        """Factorise the matrix of the weights' step; return what solves with it."""
        working, n_columns = self.working, self.problem.shape[1]
        constraints, width = working.constraints, working.slots.shape[1]
        parts = np.zeros(working.size + len(self.live))
        _parts(self.live, constraints, theta, parts)
        kept = parts > NEGLIGIBLE
        n_kept = int(kept.sum())
        if n_kept == 0:
            return lambda vector: vector
        small = n_kept < n_columns
        chunk = n_kept if small else min(n_kept, max(CHUNK, width + 1))
        factor = np.empty((chunk + width + 1, n_columns))
        matrix = np.zeros((n_kept if small else n_columns,) * 2, order="F")
        image = 0
        while image < len(self.live):
            image, filled = _fill(self.live, image, chunk, constraints, theta, kept, factor)
            matrix = blas.dsyrk(
                1.0, factor[:filled].T, beta=1.0, c=matrix, trans=int(small), lower=1, overwrite_c=1
            )
        matrix[np.diag_indices_from(matrix)] += 1.0
        triangle, info = lapack.dpotrf(matrix, lower=1, overwrite_a=1)
        if info != 0:
            raise FloatingPointError("the interior point method's matrix is not positive definite")
        if not small:
            return lambda vector: lapack.dpotrs(triangle, vector, lower=1)[0]
        rows = factor[:n_kept]
        return lambda vector: vector - lapack.dpotrs(triangle, rows @ vector, lower=1)[0] @ rows

    def _image(self) -> IntArray:
        return self.place[self.working.image[: self.working.size]]

    def _sum(self, values: FloatArray) -> FloatArray:
        return np.bincount(self._image(), weights=values, minlength=len(self.live)).astype(
            np.float64, copy=False
        )

    def _mean_product(self) -> float:
        total = self.alpha @ self.slack[: len(self.alpha)] + self.alpha0 @ self.slack0
        return float(total) / (len(self.alpha) + len(self.alpha0))

    def _reach(self, direction: Direction) -> float:
        """Largest step after which no slack and no variable is negative."""
        steepest = -min(
            (direction.slack / self.slack).min(),
            (direction.slack0 / self.slack0).min(),
            (direction.alpha / self.alpha).min(),
            (direction.alpha0 / self.alpha0).min(),
        )
        return float(1.0 / steepest) if steepest > 0 else np.inf


@njit(cache=True)
def _smallest(values: FloatArray, slots: IntArray, counts: IntArray) -> FloatArray:
    """Smallest value of each image's constraints, infinity where it has none."""
    result = np.full(len(counts), np.inf)
    for i in range(len(counts)):
        for j in range(counts[i]):
            result[i] = min(result[i], values[slots[i, j]])
    return result


@njit(cache=True)
def _parts(live: IntArray, constraints: Constraints, theta: Theta, parts: FloatArray) -> None:
    """theta |d - mean|^2 of each constraint; those of xi >= 0 stand behind the others."""
    slots, counts, gram = constraints.slots, constraints.counts, constraints.gram
    size = len(theta.theta)
    share, product = np.empty(slots.shape[1]), np.empty(slots.shape[1])
    for k in range(len(live)):
        i = live[k]
        squared = 0.0
        for j in range(counts[i]):
            share[j] = theta.theta[slots[i, j]] / theta.total[k]
        for j in range(counts[i]):
            product[j] = 0.0
            for h in range(counts[i]):
                product[j] += gram[i, j, h] * share[h]
            squared += share[j] * product[j]
        for j in range(counts[i]):
            a = slots[i, j]
            parts[a] = theta.theta[a] * (gram[i, j, j] - 2.0 * product[j] + squared)
        parts[size + k] = theta.theta0[k] * squared


@njit(cache=True)
def _fill(
    live: IntArray,
    first: int,
    chunk: int,
    constraints: Constraints,
    theta: Theta,
    kept: BoolArray,
    factor: FloatArray,
) -> tuple[int, int]:
    """Write the kept rows sqrt(theta) (d - mean) of whole images, up to about `chunk` of them.

    Returns the position in `live` of the first image that is left, and the number of rows.
    """
    differences, slots, counts = constraints.differences, constraints.slots, constraints.counts
    size, filled, k = len(theta.theta), 0, first
    mean = np.empty(differences.shape[1])
    while k < len(live):
        i = live[k]
        n_kept = int(kept[size + k])
        for j in range(counts[i]):
            n_kept += int(kept[slots[i, j]])
        if filled > 0 and filled + n_kept > chunk:
            break
        if n_kept > 0:
            mean[:] = 0.0
            for j in range(counts[i]):
                a = slots[i, j]
                share = theta.theta[a] / theta.total[k]
                for column in range(len(mean)):
                    mean[column] += share * differences[a, column]
            for j in range(counts[i]):
                a = slots[i, j]
                if kept[a]:
                    root = np.sqrt(theta.theta[a])
                    for column in range(len(mean)):
                        factor[filled, column] = root * (differences[a, column] - mean[column])
                    filled += 1
            if kept[size + k]:
                root = np.sqrt(theta.theta0[k])
                for column in range(len(mean)):
                    factor[filled, column] = root * mean[column]
                filled += 1
        k += 1
    return k, filled
