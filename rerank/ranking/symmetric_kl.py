"""The symmetric Kullback-Leibler rule of Cogswell et al. 2014, Eq. 17."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rerank.errors import InputError
from rerank.ranking.image_rows import ImageRows, best_rows, check_quality, image_rows, row_blocks
from rerank.ranking.ranker import Ranker
from rerank.types import FloatArray
from rerank.validation import check_finite


@dataclass(frozen=True)
class SymmetricKL:
    """The three terms of Eq. 17 of each proposal, summed over the cells of the grid.

    Attributes
    ----------
    kl_forward : ndarray of shape (M,)
        sum_i D_KL(p_i || q_i^m), in nats.
    kl_backward : ndarray of shape (M,)
        sum_i D_KL(q_i^m || p_i), in nats.
    background : ndarray of shape (M,)
        sum_i q_{i,0}^m, in cells.
    """

    kl_forward: FloatArray
    kl_backward: FloatArray
    background: FloatArray

    def divergence(self, background_penalty: float = 0.02) -> FloatArray:
        """S(m) of Eq. 17, shape (M,); lower is better."""
        return self.kl_forward + self.kl_backward + background_penalty * self.background

    def columns(self) -> FloatArray:
        """The three terms as columns, shape (M, 3): what `SymmetricKLRanker` reads."""
        return np.stack([self.kl_forward, self.kl_backward, self.background], axis=1)


def symmetric_kl(p: Any, q: Any, smoothing: float = 1e-2, background: int = 0) -> SymmetricKL:
    """Compare a coarse prediction with the proposals of its image (Cogswell et al. 2014, Eq. 17).

    A proposal's coarse distributions are mostly zeros and ones, where the divergence is infinite.
    Both sides are therefore mixed with the uniform distribution,
    ``p' = (1 - smoothing) p + smoothing / C``, before the two divergences are taken: a cell then
    costs at most about log(C / smoothing) nats in either direction. The background term takes q as
    it is. The choice depends on the smoothing; choose it on training images (`choose_smoothing`).

    Parameters
    ----------
    p : array-like of shape (..., C)
        Predicted class probabilities of each cell, such as (13, 13, C).
    q : array-like of shape (M, ..., C)
        The same of each proposal. Cells without labelled pixels may hold zeros throughout in `q`;
        they are left out of all three sums.
    smoothing : float, default 1e-2
        In (0, 1].
    background : int, default 0
        The background class.

    Returns
    -------
    SymmetricKL

    Raises
    ------
    InputError
        Where the shapes do not match, a value is negative, NaN or infinite, a distribution does
        not sum to 1 within 1e-3, `smoothing` is not in (0, 1], or `background` is no class.

    Examples
    --------
    >>> p = np.array([[0.9, 0.1]])
    >>> q = np.array([[[1.0, 0.0]], [[0.0, 1.0]]])
    >>> symmetric_kl(p, q, smoothing=0.01).divergence().round(3)
    array([0.331, 6.635])
    """
    left, right = np.asarray(p, dtype=np.float64), np.asarray(q, dtype=np.float64)
    if left.ndim < 1 or right.shape[1:] != left.shape:
        raise InputError(
            f"q must have shape (M, ...) with p's shape {left.shape} behind M, got {right.shape}"
        )
    n_classes = left.shape[-1]
    if not 0 < smoothing <= 1:
        raise InputError(f"smoothing must be in (0, 1], got {smoothing!r}")
    if not 0 <= background < n_classes:
        raise InputError(f"background must be one of the {n_classes} classes, got {background!r}")
    left = left.reshape(-1, n_classes)
    right = right.reshape(len(right), -1, n_classes)
    _check_distributions(left, "p", allow_empty=False)
    _check_distributions(right, "q", allow_empty=True)
    labelled = right.sum(axis=-1) > 0
    smooth_p = (1 - smoothing) * left + smoothing / n_classes
    smooth_q = (1 - smoothing) * right + smoothing / n_classes
    log_ratio = np.log(smooth_p)[None] - np.log(smooth_q)
    forward = np.einsum("ic,mic->mi", smooth_p, log_ratio)
    backward = -np.einsum("mic,mic->mi", smooth_q, log_ratio)
    return SymmetricKL(
        kl_forward=np.where(labelled, forward, 0.0).sum(axis=1),
        kl_backward=np.where(labelled, backward, 0.0).sum(axis=1),
        background=right[..., background].sum(axis=1),
    )


#: Smoothings that are tried.
SMOOTHINGS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 3e-2, 1e-1, 3e-1)


@dataclass(frozen=True)
class SmoothingChoice:
    """The smoothing and the background penalty of Eq. 17 that choose best.

    Attributes
    ----------
    smoothing : float
    background_penalty : float
    place : int
        Of the smoothing among those tried.
    mean_quality : ndarray of shape (S, P)
        Mean quality, over the images, of what each smoothing and penalty choose.
    """

    smoothing: float
    background_penalty: float
    place: int
    mean_quality: FloatArray

    def scores(self, divergences: Any, background: Any) -> FloatArray:
        """-S(m) of Eq. 17 with the chosen settings; higher is better.

        Parameters
        ----------
        divergences : array-like of shape (..., S)
            At the smoothings that were tried.
        background : array-like of shape (...)

        Returns
        -------
        (...) float64 array
        """
        divergence = np.asarray(divergences, dtype=np.float64)[..., self.place]
        mass = np.asarray(background, dtype=np.float64)
        found: FloatArray = -(divergence + self.background_penalty * mass)
        return found


def choose_smoothing(
    divergences: Any,
    background: Any,
    quality: Any,
    groups: Any,
    smoothings: Sequence[float] = SMOOTHINGS,
    background_penalties: Sequence[float] = (0.02,),
) -> SmoothingChoice:
    """Choose the smoothing and the background penalty of Eq. 17 together, on training images.

    Parameters
    ----------
    divergences : array-like of shape (N, S)
        kl_forward + kl_backward of each proposal at each smoothing.
    background : array-like of shape (N,)
        What the penalty multiplies, in cells.
    quality : array-like of shape (N,)
        Higher is better.
    groups : array-like of shape (N,)
        Image of each proposal.
    smoothings : sequence of S floats
    background_penalties : sequence of P floats, default (0.02,)
        The paper has 0.02.

    Returns
    -------
    SmoothingChoice
        Of equal means, the first smoothing and the first penalty.

    Raises
    ------
    InputError
        Where lengths do not match, a value is not finite, or nothing is to be tried.
    """
    table = np.asarray(divergences, dtype=np.float64)
    mass = np.asarray(background, dtype=np.float64)
    if not len(smoothings) or not len(background_penalties):
        raise InputError("there must be at least one smoothing and one background penalty")
    if table.ndim != 2 or table.shape[1] != len(smoothings) or mass.shape != table.shape[:1]:
        raise InputError(
            f"divergences must be (N, {len(smoothings)}) and background (N,), got {table.shape} "
            f"and {mass.shape}"
        )
    check_finite(table, "divergences")
    check_finite(mass, "background")
    images = image_rows(groups, len(table))
    values = check_quality(quality, len(table))
    means = np.array(
        [
            [
                values[best_rows(-(column + penalty * mass), images)].mean()
                for penalty in background_penalties
            ]
            for column in table.T
        ]
    )
    place, best = divmod(int(means.argmax()), len(background_penalties))
    return SmoothingChoice(
        float(smoothings[place]), float(background_penalties[best]), place, means
    )


class SymmetricKLRanker(Ranker):
    """Choose the proposal of the lowest S(m) (Cogswell et al. 2014, Eq. 17).

    ``S(m) = kl_forward + kl_backward + background_penalty * background``; the score is -S, so that
    higher is better. Nothing is learned: `fit` checks its input and finds the columns.

    Parameters
    ----------
    background_penalty : float, default 0.02
        Cost of a cell of background, in nats; 0 or more.
    columns : tuple of three ints or strings, default (0, 1, 2)
        Where in `X` the columns kl_forward, kl_backward and background stand: by index, or by name
        where `X` has named columns.

    Attributes
    ----------
    column_indices_ : tuple of three ints

    Examples
    --------
    >>> X = np.array([[1.0, 2.0, 50.0], [1.0, 1.5, 100.0]])
    >>> ranker = SymmetricKLRanker(background_penalty=0.02).fit(X, [0.0, 0.0], [0, 0])
    >>> ranker.decision_function(X)
    array([-4. , -4.5])
    """

    def __init__(
        self, *, background_penalty: float = 0.02, columns: Sequence[int | str] = (0, 1, 2)
    ) -> None:
        self.background_penalty = background_penalty
        self.columns = columns

    def _fit(self, rows: Any, quality: FloatArray, images: ImageRows) -> None:
        if not (np.isfinite(self.background_penalty) and self.background_penalty >= 0):
            raise InputError(
                f"background_penalty must be a finite number of 0 or more, "
                f"got {self.background_penalty!r}"
            )
        n_columns = rows.shape[1]
        if len(self.columns) != 3:
            raise InputError(
                "columns must say where kl_forward, kl_backward and background "
                f"stand, got {self.columns!r}"
            )
        for block in row_blocks(rows):
            self._check_block(block.values, block.first_row)
        self.column_indices_ = tuple(self._index(column, n_columns) for column in self.columns)

    def _index(self, column: int | str, n_columns: int) -> int:
        if isinstance(column, str):
            names = list(getattr(self, "feature_names_in_", ()))
            if column not in names:
                raise InputError(f"no column of X is named {column!r}; {len(names)} have names")
            return names.index(column)
        if not 0 <= column < n_columns:
            raise InputError(f"column {column} does not exist, X has {n_columns} columns")
        return int(column)

    def _scores(self, block: FloatArray) -> FloatArray:
        forward, backward, background = self.column_indices_
        return -(
            block[:, forward] + block[:, backward] + self.background_penalty * block[:, background]
        )


def _check_distributions(values: FloatArray, name: str, allow_empty: bool) -> None:
    check_finite(values, name)
    if (values < 0).any():
        raise InputError(f"{name} must not be negative, its lowest value is {values.min()}")
    total = values.sum(axis=-1)
    wrong = np.abs(total - 1.0) > 1e-3
    if allow_empty:
        wrong &= total != 0
    if wrong.any():
        raise InputError(
            f"{name} must sum to 1 over the classes; one cell sums to {total[wrong][0]}"
        )
