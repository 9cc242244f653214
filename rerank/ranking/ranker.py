"""The one interface of all rankers."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from sklearn.base import BaseEstimator

from rerank.errors import InputError, NotFittedError
from rerank.features import FeatureTable
from rerank.ranking.column_names import check_column_names, column_names
from rerank.ranking.image_rows import ImageRows, as_rows, check_rows_finite, image_rows, row_blocks
from rerank.types import FloatArray, IntArray
from rerank.validation import check_finite

RankerType = TypeVar("RankerType", bound="Ranker")


class Ranker(BaseEstimator):
    """Base of all rankers: `fit`, `decision_function`, `choose`, `score`.

    A row of `X` describes one proposal, `groups` says which image it belongs to, and `quality` how
    good it is: any number that is higher for a better proposal, such as its mean image IoU or the
    linearised corpus quality of `corpus_quality`. A subclass writes `_fit` and `_scores`.

    `X` is an array, or anything with `shape`, `dtype` and slicing by rows (an `h5py.Dataset`), or
    has named columns (a `FeatureTable`, a data frame). Names that `fit` saw are asked for again
    wherever columns have names: a column that is missing, renamed or elsewhere is an error.

    Attributes
    ----------
    n_features_in_ : int
        Columns of the `X` that `fit` saw.
    feature_names_in_ : ndarray of shape (D,) of object
        Their names; only where they had any.
    """

    n_features_in_: int
    feature_names_in_: Any

    def fit(self: RankerType, X: Any, quality: Any, groups: Any) -> RankerType:
        """Learn to score proposals.

        Parameters
        ----------
        X : array-like of shape (N, D)
            One row a proposal, finite.
        quality : array-like of shape (N,)
            Quality of each proposal, finite, higher is better.
        groups : array-like of shape (N,)
            Image of each proposal.

        Returns
        -------
        self

        Raises
        ------
        InputError
            Where the three do not have the same length, or a value is NaN or infinite; for `X`
            the message names the row and the column.
        InputError
            Where `X` is a `FeatureTable` with a column of one value throughout.
        LeakError
            Where `X` is a `FeatureTable` with a column that is the quality in disguise.
        """
        names = column_names(X)
        rows = as_rows(_values(X))
        images = image_rows(groups, rows.shape[0])
        target = check_quality(quality, rows.shape[0])
        if isinstance(X, FeatureTable):
            X.refuse_constant_columns().refuse_leaking_columns(target)
        self._fit(rows, target, images)
        self.n_features_in_ = int(rows.shape[1])
        if names is not None:
            self.feature_names_in_ = np.array(names, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        return self

    def decision_function(self, X: Any) -> FloatArray:
        """Score each proposal.

        Parameters
        ----------
        X : array-like of shape (N, D)
            With the columns that `fit` saw, in their order.

        Returns
        -------
        ndarray of shape (N,), float64
            Higher for a better proposal. Only differences within an image mean anything.

        Raises
        ------
        NotFittedError
            Before `fit`.
        InputError
            Where `X` has another number of columns than in `fit`, or other names or another order
            of them, or a value is NaN or infinite.
        """
        rows = self._rows(X)
        scores = np.empty(rows.shape[0])
        for values, first_row, *_ in row_blocks(rows):
            self._check_block(values, first_row)
            scores[first_row : first_row + len(values)] = self._scores(values)
        return scores

    def choose(self, X: Any, groups: Any) -> IntArray:
        """Choose one proposal for each image.

        Parameters
        ----------
        X : array-like of shape (N, D)
        groups : array-like of shape (N,)
            Image of each row; an image's rows need not be neighbours.

        Returns
        -------
        ndarray of shape (n_images,), int64
            The row of `X` with the highest score of each image, images in order of their first
            appearance in `groups`, so that ``groups[rows]`` names them. Of equal scores the lowest
            row is chosen.

        Raises
        ------
        NotFittedError
            Before `fit`.
        InputError
            As in `decision_function`, and where `groups` is not as long as `X`.
        """
        rows = self._rows(X)
        images = image_rows(groups, rows.shape[0])
        return best_rows(self.decision_function(rows), images)

    def score(self, X: Any, quality: Any, groups: Any) -> float:
        """Mean quality, over the images, of the proposals that `choose` picks."""
        chosen = self.choose(X, groups)
        return float(check_quality(quality, as_rows(_values(X)).shape[0])[chosen].mean())

    def _fit(self, rows: Any, quality: FloatArray, images: ImageRows) -> None:
        raise TypeError(f"{type(self).__name__} does not say how it is fitted")

    def _scores(self, block: FloatArray) -> FloatArray:
        raise TypeError(f"{type(self).__name__} does not say how it scores")

    def _rows(self, X: Any) -> Any:
        self._check_fitted()
        names = column_names(X)
        if names is not None and hasattr(self, "feature_names_in_"):
            check_column_names(names, tuple(self.feature_names_in_))
        return as_rows(_values(X), self._n_columns())

    def _n_columns(self) -> int | None:
        return self.n_features_in_

    def _check_block(self, block: FloatArray, first_row: int) -> None:
        check_rows_finite(block, first_row)

    def _check_fitted(self) -> None:
        if not hasattr(self, "n_features_in_"):
            raise NotFittedError(f"this {type(self).__name__} is not fitted; call fit first")


def _values(X: Any) -> Any:
    return X.values if isinstance(X, FeatureTable) else X


class LinearRanker(Ranker):
    """Base of the rankers whose score is linear in the columns.

    Attributes
    ----------
    coef_ : ndarray of shape (D,)
        Weights in the units of the columns as they were given; the score is ``X @ coef_``.
    """

    coef_: FloatArray

    def _scores(self, block: FloatArray) -> FloatArray:
        return np.asarray(block @ self.coef_)


def check_quality(quality: Any, n_rows: int) -> FloatArray:
    """Turn `quality` into finite float64 of shape (n_rows,), or raise `InputError`."""
    values = np.asarray(quality)
    if values.shape != (n_rows,):
        raise InputError(
            f"quality must have shape ({n_rows},), one value a row of X, got shape {values.shape}"
        )
    if values.dtype.kind not in "fiub":
        raise InputError(f"quality must be real numbers, got {values.dtype}")
    values = values.astype(np.float64)
    check_finite(values, "quality")
    return values


def best_rows(scores: FloatArray, images: ImageRows) -> IntArray:
    """Row of the highest score of each image; of equal scores the lowest row.

    Parameters
    ----------
    scores : ndarray of shape (N,)
        One a row, in the order of the matrix as it was given.
    images : ImageRows

    Returns
    -------
    ndarray of shape (n_images,), int64
    """
    return images.original(_first_best(images.ordered(scores), images))


def _first_best(ordered: FloatArray, images: ImageRows) -> IntArray:
    image = images.image_of_row()
    best = np.maximum.reduceat(ordered, images.starts[:-1])
    hits = np.flatnonzero(ordered == best[image])
    _, first = np.unique(image[hits], return_index=True)
    return hits[first].astype(np.int64)


def regret(ordered_quality: FloatArray, images: ImageRows) -> FloatArray:
    """Best quality of the image less the quality of each row, in the order of the images.

    Examples
    --------
    >>> regret(np.array([0.5, 0.75, 0.25]), image_rows(np.array([0, 0, 1])))
    array([0.25, 0.  , 0.  ])
    """
    best = np.maximum.reduceat(ordered_quality, images.starts[:-1])
    return best[images.image_of_row()] - ordered_quality


def check_positive(value: Any, name: str) -> float:
    """Return `value` as float where it is a finite number above 0, or raise `InputError`."""
    number: float | None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = None
    if number is None or not np.isfinite(number) or number <= 0:
        raise InputError(f"{name} must be a finite number above 0, got {value!r}")
    return number


def ordered_rows(rows: Any, images: ImageRows) -> Any:
    """Bring the rows of each image together; one on disk must have them together already."""
    if images.order is None:
        return rows
    if not isinstance(rows, np.ndarray):
        raise InputError("the rows of an image must be neighbours where X is read from disk")
    return rows[images.order]
