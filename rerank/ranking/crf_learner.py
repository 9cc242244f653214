"""Parameters of the CRF, learned by a structured SVM through `map_inference`."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning

from rerank.crf import METHODS, InferenceResult, PottsEnergy, map_inference
from rerank.errors import InputError, NotFittedError
from rerank.ranking.crf_example import CRFExample
from rerank.ranking.image_rows import ImageRows
from rerank.ranking.ranker import check_positive
from rerank.ranking.solvers.hinge_problem import HingeProblem
from rerank.ranking.solvers.hinge_solver import solve_hinge
from rerank.types import FloatArray, IntArray, RandomState, as_generator
from rerank.validation import check_finite


class StructuredCRFLearner(BaseEstimator):
    """Potts weights and class bias of a CRF by a structured SVM with margin rescaling.

    Minimises, over w = (unary weight u, Potts weights, negative class bias) with u and the Potts
    weights 0 or greater,

        1/2 |w|^2 + C sum_i max_x [loss_i(x) - w.(f_i(x) - f_i(x_i*))]

    where ``w.f_i(x)`` is the energy of labeling x of image i per node (`CRFExample`), x_i* its best
    labeling of nodes and loss_i the Hamming loss by area, less that of x_i* (Tsochantaridis et al.
    2005; Szummer et al. 2008 for Potts weights by graph cuts). Each round finds every image's most
    violating labeling by `map_inference` on the energy less the loss, and solves the problem over
    the labelings found so far, as `StructuredRankSVM` does over proposals. The inference's lower
    bounds make the duality gap hold even where labelings are not optimal.

    Only the ratio to the unary weight matters to the MAP labeling, so that the fitted weights and
    bias are those for a unary weight of 1.

    Parameters
    ----------
    C : float, default 1.0
        Weight of the sum of the hinges, above 0.
    learn_bias : bool, default True
        Without it the class bias is 0.
    class_weights : (C,) float, optional
        Weight of each class's pixels in the loss, above 0; 1 by default.
    tol : float, default 1e-2
        The duality gap, relative to the objective, at which learning stops. It also stops, and
        warns, where inference finds no labeling that it has not seen.
    max_rounds : int, default 50
        Most rounds of inference. Where they do not suffice, a ConvergenceWarning states the gap.
    inference : {"trws", "alpha_expansion", "graph_cut", "icm"}, default "trws"
    random_state : int, numpy.random.Generator or None, default None
        Orders the images in the solver.

    Attributes
    ----------
    potts_weights_ : ndarray of shape (P,)
        0 or greater.
    class_bias_ : ndarray of shape (C,)
        As `unary_from_probabilities` takes it; 0 on average.
    unary_weight_ : float
        What the weights and the bias were divided by.
    weights_ : ndarray of shape (1 + P + C,)
        Those of the objective.
    primal_objective_, dual_objective_, duality_gap_ : float
        An upper bound of the weights' objective, a lower bound of the optimum, their difference.
    n_rounds_, n_labelings_ : int
        Rounds, and labelings found in all images together.
    """

    potts_weights_: FloatArray
    class_bias_: FloatArray
    weights_: FloatArray

    def __init__(
        self,
        *,
        C: float = 1.0,
        learn_bias: bool = True,
        class_weights: Any | None = None,
        tol: float = 1e-2,
        max_rounds: int = 50,
        inference: str = "trws",
        random_state: RandomState = None,
    ) -> None:
        self.C = C
        self.learn_bias = learn_bias
        self.class_weights = class_weights
        self.tol = tol
        self.max_rounds = max_rounds
        self.inference = inference
        self.random_state = random_state

    def fit(self, examples: Sequence[CRFExample]) -> StructuredCRFLearner:
        """Learn from the labelled nodes of some images.

        Parameters
        ----------
        examples : sequence of CRFExample
            With equal numbers of classes and of Potts weights.

        Returns
        -------
        self

        Raises
        ------
        InputError
            Where there is no example, they do not match, or a setting is out of its range.
        InputError
            Where the unary weight comes out as 0: the unaries do not help to find the labels.
        """
        images = self._checked(examples)
        weights_of_classes = self._class_weights(images[0].n_classes)
        search = _Search(
            [_Image(image, weights_of_classes) for image in images],
            float(self.C),
            float(self.tol),
            bool(self.learn_bias),
            self.inference,
            as_generator(self.random_state),
        )
        search.run(int(self.max_rounds))
        gap = search.primal - search.dual
        if gap > self.tol * search.primal:
            warnings.warn(
                f"after {search.n_rounds} rounds the duality gap is {gap:.3g}, "
                f"{gap / search.primal:.3g} of the objective; tol is {self.tol:.3g}",
                ConvergenceWarning,
                stacklevel=2,
            )
        n_potts = images[0].n_potts
        unary_weight = float(search.best[0])
        if unary_weight == 0:
            raise InputError(
                "the learned unary weight is 0: the unaries do not help to find the "
                "labels, or C is too small"
            )
        self.weights_ = search.best
        self.unary_weight_ = unary_weight
        self.potts_weights_ = search.best[1 : 1 + n_potts] / unary_weight
        bias = -search.best[1 + n_potts :] / unary_weight
        self.class_bias_ = bias - bias.mean()
        self.primal_objective_, self.dual_objective_ = search.primal, search.dual
        self.duality_gap_ = gap
        self.n_rounds_ = search.n_rounds
        self.n_labelings_ = sum(len(image.rows) - 1 for image in search.images)
        return self

    def energy(self, example: CRFExample) -> PottsEnergy:
        """The energy of an image, all its nodes, with the learned parameters.

        Raises
        ------
        NotFittedError
            Before `fit`.
        InputError
            Where the classes or Potts weights are not as many as in `fit`.
        """
        if not hasattr(self, "weights_"):
            raise NotFittedError("this StructuredCRFLearner is not fitted; call fit first")
        expected = len(self.class_bias_), len(self.potts_weights_)
        if (example.n_classes, example.n_potts) != expected:
            raise InputError(
                f"the example has {example.n_classes} classes and {example.n_potts} "
                f"Potts weights; fit saw {expected[0]} and {expected[1]}"
            )
        return example.energy(1.0, self.potts_weights_, self.class_bias_)

    def predict(self, example: CRFExample) -> IntArray:
        """MAP labeling of all nodes of an image with the learned parameters, (n,); see `energy`."""
        return map_inference(self.energy(example), self.inference).labeling

    def _checked(self, examples: Sequence[CRFExample]) -> list[CRFExample]:
        check_positive(self.C, "C")
        check_positive(self.tol, "tol")
        if self.max_rounds < 1:
            raise InputError(f"max_rounds must be 1 or more, got {self.max_rounds!r}")
        if self.inference not in METHODS:
            raise InputError(
                f"inference must be one of {', '.join(METHODS)}, got {self.inference!r}"
            )
        if len(examples) == 0:
            raise InputError("examples must hold at least one image")
        first = examples[0]
        for k, example in enumerate(examples):
            if (example.n_classes, example.n_potts) != (first.n_classes, first.n_potts):
                raise InputError(
                    f"example {k} has {example.n_classes} classes and {example.n_potts} Potts "
                    f"weights, example 0 has {first.n_classes} and {first.n_potts}"
                )
        return [example.labelled for example in examples]

    def _class_weights(self, n_classes: int) -> FloatArray:
        if self.class_weights is None:
            return np.ones(n_classes)
        weights = np.asarray(self.class_weights, dtype=np.float64)
        if weights.shape != (n_classes,):
            raise InputError(f"class_weights must be ({n_classes},), got shape {weights.shape}")
        check_finite(weights, "class_weights")
        if weights.min() <= 0:
            raise InputError(f"class_weights must be above 0, the lowest is {weights.min()}")
        return weights


class _Image:
    """An image with the labelings found so far; the first is the truth."""

    def __init__(self, example: CRFExample, class_weights: FloatArray) -> None:
        self.example = example
        self.costs = example.costs(class_weights)
        truth = self.costs.argmin(axis=1)
        self.costs = self.costs - self.costs[np.arange(len(truth)), truth][:, None]
        self.rows = [example.joint_feature(truth)]
        self.losses = [0.0]
        self.seen = {truth.tobytes()}

    def infer(self, weights: FloatArray, method: str) -> tuple[InferenceResult, float]:
        """The most violating labeling, and the least that its image's hinge can exceed."""
        example, n_potts = self.example, self.example.n_potts
        n_nodes = len(self.costs)
        energy = example.energy(weights[0], weights[1 : 1 + n_potts], -weights[1 + n_potts :])
        augmented = energy.with_unary(energy.unary - n_nodes * self.costs)
        result = map_inference(augmented, method)
        truth = float(weights @ self.rows[0])
        return result, truth - result.lower_bound / n_nodes

    def add(self, labeling: IntArray) -> bool:
        """Keep a labeling; whether it is new."""
        key = labeling.astype(np.int64).tobytes()
        if key in self.seen:
            return False
        self.seen.add(key)
        self.rows.append(self.example.joint_feature(labeling))
        self.losses.append(float(self.costs[np.arange(len(labeling)), labeling].sum()))
        return True


class _Search:
    """Rounds of inference and of solving over the labelings found."""

    def __init__(
        self,
        images: list[_Image],
        C: float,
        tol: float,
        learn_bias: bool,
        inference: str,
        generator: np.random.Generator,
    ) -> None:
        self.images, self.C, self.tol = images, C, tol
        self.inference, self.generator = inference, generator
        self.n_signed = 1 + images[0].example.n_potts
        self.free = np.ones(len(images[0].rows[0]), dtype=bool)
        self.free[self.n_signed :] = learn_bias
        self.weights = self.best = np.zeros(len(self.free))
        self.primal, self.dual = np.inf, 0.0
        self.n_rounds = 0

    def run(self, max_rounds: int) -> None:
        while self.n_rounds < max_rounds:
            new, hinge = 0, 0.0
            for image in self.images:
                result, above = image.infer(self.weights, self.inference)
                hinge += max(above, 0.0)
                new += image.add(result.labeling)
            self.n_rounds += 1
            primal = 0.5 * float(self.weights @ self.weights) + self.C * hinge
            if primal < self.primal:
                self.primal, self.best = primal, self.weights
            if self.primal - self.dual <= self.tol * self.primal or new == 0:
                break
            self._solve()

    def _solve(self) -> None:
        """Solve over the labelings found.

        The solver knows no signs, but a row -k e_p beside a best row of 0 costs C k max(0, -w_p),
        which is an exact penalty where C k is no less than the multiplier of w_p >= 0, and that
        is at most C times the sum of the images' largest differences in column p.
        """
        blocks = [-np.array(image.rows)[:, self.free] for image in self.images]
        losses = [np.array(image.losses) for image in self.images]
        reach = sum(np.abs(block - block[0]).max(axis=0) for block in blocks)
        n_signed = self.n_signed
        for p in range(n_signed):
            sign = np.zeros((2, blocks[0].shape[1]))
            sign[1, p] = -1.1 * reach[p] - 1e-6
            blocks.append(sign)
            losses.append(np.zeros(2))
        starts = np.concatenate([[0], np.cumsum([len(block) for block in blocks])])
        together = ImageRows(np.arange(len(blocks)), None, starts.astype(np.int64))
        problem = HingeProblem(
            np.concatenate(blocks),
            None,
            together,
            np.concatenate(losses),
            together.starts[:-1],
            self.C,
        )
        solution = solve_hinge(problem, 0.1 * self.tol, 10000, self.generator)
        self.dual = max(self.dual, solution.dual)
        found = solution.weights.copy()
        found[:n_signed] = np.maximum(found[:n_signed], 0.0)
        self.weights = np.zeros(len(self.free))
        self.weights[self.free] = found
