"""Classifiers of whole images: is a class in the image, and how large is it?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from rerank.errors import InputError, NotFittedError
from rerank.evidence.linear_svm import LinearSVMs, fit_linear_svms
from rerank.types import Array, FloatArray, IntArray

#: Percentiles of a class's share among the images that contain it.
PERCENTILES = (20.0, 40.0, 60.0, 80.0)


class _SharesClassifiers(BaseEstimator):
    """What both kinds of classifiers share: their classes, their machines and `to_arrays`."""

    C: float
    background: int | None
    class_weight: str | None
    tol: float
    max_iter: int

    def _check(self, vectors: Array, class_shares: Array) -> tuple[FloatArray, FloatArray]:
        shares = np.asarray(class_shares, dtype=np.float64)
        vectors = np.asarray(vectors, dtype=np.float64)
        if vectors.ndim != 2 or shares.ndim != 2 or len(vectors) != len(shares):
            raise InputError(
                f"vectors {vectors.shape} and class_shares {shares.shape} must be (N, D) and (N, C)"
            )
        if not (shares >= 0).all() or not (shares.sum(axis=1) <= 1 + 1e-6).all():
            raise InputError("class_shares must be at least 0 and sum to at most 1 per image")
        if self.class_weight not in (None, "balanced"):
            raise InputError(f"class_weight must be 'balanced' or None, got {self.class_weight!r}")
        self.classes_ = foreground_classes(shares.shape[1], self.background)
        return vectors, shares[:, self.classes_]

    def _fit(self, vectors: FloatArray, labels: Array) -> None:
        machines = fit_linear_svms(
            vectors, labels, self.C, self.class_weight == "balanced", self.tol, self.max_iter
        )
        self.coef_ = machines.coef
        self.intercept_ = machines.intercept
        self.duality_gap_ = machines.duality_gap

    def decision_function(self, vectors: Array) -> FloatArray:
        """Scores of images, (N, K) or (N, K * P); higher where the label is more certain.

        Raises
        ------
        NotFittedError
            Before `fit`.
        InputError
            If `vectors` has another number of columns than in training.
        """
        self._check_fitted()
        return LinearSVMs(self.coef_, self.intercept_, self.duality_gap_).decision_function(vectors)

    def _check_fitted(self) -> None:
        if not hasattr(self, "coef_"):
            raise NotFittedError(f"{type(self).__name__} must be fitted first")

    def to_arrays(self) -> dict[str, Array]:
        """The fitted state as plain arrays; settings of the fit itself are not kept."""
        self._check_fitted()
        return {
            "classes": self.classes_,
            "coef": self.coef_,
            "intercept": self.intercept_,
            "duality_gap": self.duality_gap_,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Any:
        """A fitted estimator from what `to_arrays` gave."""
        estimator = cls()
        for name, value in arrays.items():
            setattr(estimator, f"{name}_", np.asarray(value))
        estimator._check_fitted()
        return estimator


class ImageClassifiers(_SharesClassifiers):
    """Class-wise linear SVMs that say whether a class is in the image.

    Cogswell et al. 2014, section 4, "CNN Classification": C - 1 scores of an image.

    Parameters
    ----------
    C : float
        Weight of an error (squared hinge) on features scaled to length 1 on average.
    background : int or None
        A class that gets no classifier; None where no class is background.
    class_weight : "balanced" or None
        "balanced" gives positives and negatives equal total weight.
    tol : float
        Duality gap to stop at, as a share of the objective.
    max_iter : int
        Newton steps at most.

    Attributes
    ----------
    classes_ : (K,) int
        The classes that the scores are for.
    coef_, intercept_ : (K, D), (K,) float64
        A class that is in no training image scores -1 on every image, and one that is in all
        of them 1.
    duality_gap_ : (K,) float64
    """

    def __init__(
        self,
        C: float = 1.0,
        background: int | None = None,
        class_weight: str | None = "balanced",
        tol: float = 1e-4,
        max_iter: int = 100,
    ) -> None:
        self.C = C
        self.background = background
        self.class_weight = class_weight
        self.tol = tol
        self.max_iter = max_iter

    def fit(self, vectors: Array, class_shares: Array) -> ImageClassifiers:
        """Fit one machine for each label.

        Parameters
        ----------
        vectors : (N, D) float
            Pooled activations of the training images.
        class_shares : (N, C) float in [0, 1]
            Share of each class among the labelled pixels of each image.

        Raises
        ------
        InputError
            If shapes disagree, or an image's shares are below 0 or sum to more than 1.
        InputError
            If a setting is out of its range.
        """
        vectors, shares = self._check(vectors, class_shares)
        self._fit(vectors, shares > 0)
        return self


class SizeThresholdClassifiers(_SharesClassifiers):
    """Linear SVMs that say whether a class fills at least a share of the image.

    Cogswell et al. 2014, section 4: four thresholds a class, at the 20th, 40th, 60th and 80th
    percentile of the class's share among the training images that contain it; an image is
    labelled 0 if its share is below the threshold.

    Parameters
    ----------
    percentiles : tuple of P float in [0, 100]
        Each once.
    C, background, class_weight, tol, max_iter
        As for `ImageClassifiers`.

    Attributes
    ----------
    classes_ : (K,) int
    percentiles_ : (P,) float64
    thresholds_ : (K, P) float64
        Shares. A class that no training image contains has thresholds of 1.
    coef_, intercept_ : (K * P, D), (K * P,) float64
        Thresholds of one class stand side by side. A label that all training images share
        scores 1 on every image, and one that none has scores -1.
    duality_gap_ : (K * P,) float64
    """

    def __init__(
        self,
        percentiles: tuple[float, ...] = PERCENTILES,
        C: float = 1.0,
        background: int | None = None,
        class_weight: str | None = "balanced",
        tol: float = 1e-4,
        max_iter: int = 100,
    ) -> None:
        self.percentiles = percentiles
        self.C = C
        self.background = background
        self.class_weight = class_weight
        self.tol = tol
        self.max_iter = max_iter

    def fit(self, vectors: Array, class_shares: Array) -> SizeThresholdClassifiers:
        """Fit one machine for each label.

        Parameters
        ----------
        vectors : (N, D) float
            Pooled activations of the training images.
        class_shares : (N, C) float in [0, 1]
            Share of each class among the labelled pixels of each image.

        Raises
        ------
        InputError
            If shapes disagree, or an image's shares are below 0 or sum to more than 1.
        InputError
            If a setting is out of its range.
        """
        vectors, shares = self._check(vectors, class_shares)
        self.percentiles_ = np.asarray(self.percentiles, dtype=np.float64)
        self.thresholds_ = size_thresholds(shares, self.percentiles)
        labels = shares[:, :, None] >= self.thresholds_
        self._fit(vectors, labels.reshape(len(shares), -1))
        return self

    def to_arrays(self) -> dict[str, Array]:
        """The fitted state as plain arrays; settings of the fit itself are not kept."""
        sizes = {"percentiles": self.percentiles_, "thresholds": self.thresholds_}
        return {**super().to_arrays(), **sizes}


def size_thresholds(
    class_shares: Array, percentiles: tuple[float, ...] = PERCENTILES
) -> FloatArray:
    """Percentiles of each class's share of pixels among the images that contain it.

    Parameters
    ----------
    class_shares : (N, K) float in [0, 1]
    percentiles : tuple of P float in [0, 100]
        Each once.

    Returns
    -------
    (K, P) float64; 1 for a class that no image contains.

    Raises
    ------
    InputError
        If there is no percentile, or one is out of its range or comes twice.
    """
    if not percentiles or len(set(percentiles)) < len(percentiles):
        raise InputError(f"percentiles must be at least one, and each once, got {percentiles}")
    if not all(0 <= p <= 100 for p in percentiles):
        raise InputError(f"percentiles must be 0..100, got {percentiles}")
    shares = np.asarray(class_shares, dtype=np.float64)
    thresholds = np.ones((shares.shape[1], len(percentiles)))
    for k, column in enumerate(shares.T):
        if (column > 0).any():
            thresholds[k] = np.percentile(column[column > 0], percentiles)
    return thresholds


def foreground_classes(n_classes: int, background: int | None) -> IntArray:
    """Indices of the classes that get classifiers: all but the background.

    Parameters
    ----------
    n_classes : int
    background : int or None

    Returns
    -------
    (K,) int64

    Raises
    ------
    InputError
        If the background is no class.
    """
    if background is not None and not 0 <= background < n_classes:
        raise InputError(f"background must be in 0..{n_classes - 1} or None, got {background}")
    return np.array([c for c in range(n_classes) if c != background], dtype=np.int64)
