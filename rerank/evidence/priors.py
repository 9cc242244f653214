"""Where in an image a class lies, and which classes occur together, learned from labels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.ndimage import gaussian_filter
from sklearn.base import BaseEstimator

from rerank.errors import InputError, NotFittedError
from rerank.evidence.grid_cells import cells_to_regions
from rerank.types import Array, FloatArray


class LocationPrior(BaseEstimator):
    """Probability of each class at each place, from training images alone.

    Fit it without the images of the fold that it is used on.

    Parameters
    ----------
    smoothing : float
        How many cells of the classes' overall frequencies are added to each cell's counts.
    blur : float, in cells
        Standard deviation of the Gaussian that smooths the counts over cells.

    Attributes
    ----------
    probabilities_ : (gh, gw, C) float64
        They sum to 1 in each cell; a class that is in no training image has 0 everywhere.
    """

    def __init__(self, smoothing: float = 5.0, blur: float = 1.0) -> None:
        self.smoothing = smoothing
        self.blur = blur

    def fit(self, soft_targets: Array) -> LocationPrior:
        """Learn from soft targets (N, gh, gw, C): shares of a cell's labelled pixels.

        A cell without labelled pixels is all 0 and adds nothing.
        """
        targets = np.asarray(soft_targets, dtype=np.float64)
        if targets.ndim != 4 or not targets.size:
            raise InputError(f"soft_targets must be (N, gh, gw, C), got {targets.shape}")
        if not (targets >= 0).all() or not targets.any():
            raise InputError("soft_targets must be at least 0 and not all 0")
        if not self.smoothing > 0 or not self.blur >= 0:
            raise InputError(
                f"smoothing must be above 0 and blur at least 0, got "
                f"{self.smoothing} and {self.blur}"
            )
        counts = targets.sum(axis=0)
        frequency = counts.sum(axis=(0, 1)) / counts.sum()
        counts = gaussian_filter(counts, (self.blur, self.blur, 0), mode="nearest")
        counts += self.smoothing * frequency
        self.probabilities_ = counts / counts.sum(axis=2, keepdims=True)
        return self

    def transform(self, cell_overlap: Array) -> FloatArray:
        """Probabilities of regions, (n, C), from the overlap (gh * gw, n) of one image."""
        self._check_fitted()
        gh, gw, n_classes = self.probabilities_.shape
        return cells_to_regions(self.probabilities_.reshape(gh * gw, n_classes), cell_overlap)

    def to_arrays(self) -> dict[str, Array]:
        """The fitted state as plain arrays."""
        self._check_fitted()
        return {"probabilities": self.probabilities_}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> LocationPrior:
        """A fitted prior from what `to_arrays` gave."""
        prior = cls()
        prior.probabilities_ = np.asarray(arrays["probabilities"])
        return prior

    def _check_fitted(self) -> None:
        if not hasattr(self, "probabilities_"):
            raise NotFittedError("LocationPrior must be fitted first")


class CooccurrencePrior(BaseEstimator):
    """How much more often than by chance two classes are in the same image.

    Parameters
    ----------
    smoothing : float above 0
        How many images with independent classes are added to the counts.

    Attributes
    ----------
    log_ratio_ : (C, C) float64
        log P(a, b) / (P(a) P(b)), symmetric, with 0 on the diagonal and for classes that
        no training image has.
    """

    def __init__(self, smoothing: float = 5.0) -> None:
        self.smoothing = smoothing

    def fit(self, class_shares: Array) -> CooccurrencePrior:
        """Learn from the shares (N, C) of the classes in training images."""
        there = np.asarray(class_shares) > 0
        if there.ndim != 2 or not len(there):
            raise InputError(f"class_shares must be (N, C), got {there.shape}")
        if not self.smoothing > 0:
            raise InputError(f"smoothing must be above 0, got {self.smoothing}")
        n = len(there)
        counts = there.T.astype(np.float64) @ there
        frequency = np.diag(counts) / n
        chance = np.outer(frequency, frequency)
        ratio = np.divide(
            counts + self.smoothing * chance,
            (n + self.smoothing) * chance,
            out=np.ones_like(chance),
            where=chance > 0,
        )
        self.log_ratio_ = np.log(ratio)
        np.fill_diagonal(self.log_ratio_, 0.0)
        return self

    def to_arrays(self) -> dict[str, Array]:
        """The fitted state as plain arrays."""
        self._check_fitted()
        return {"log_ratio": self.log_ratio_}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> CooccurrencePrior:
        """A fitted prior from what `to_arrays` gave."""
        prior = cls()
        prior.log_ratio_ = np.asarray(arrays["log_ratio"])
        return prior

    def _check_fitted(self) -> None:
        if not hasattr(self, "log_ratio_"):
            raise NotFittedError("CooccurrencePrior must be fitted first")
