"""The one interface of all rankers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.metadata_routing import UNUSED

from rerank.errors import InputError, NotFittedError
from rerank.features import FeatureTable
from rerank.ranking.image_rows import (
    ImageRows,
    as_rows,
    best_rows,
    check_quality,
    check_rows_finite,
    image_rows,
    row_blocks,
)
from rerank.types import FloatArray, IntArray

RankerType = TypeVar("RankerType", bound="Ranker")


class Ranker(BaseEstimator):
    """Base of all rankers: `fit`, `decision_function`, `choose`, `score`.

    A row of `X` describes one proposal, `groups` says which image it belongs to, and `quality` how
    good it is: any number that is higher for a better proposal, such as its mean image IoU or the
    linearised corpus quality of `corpus_quality`. A subclass writes `_fit` and `_scores`.

    `X` is an array, or anything with `shape`, `dtype` and slicing by rows (an `h5py.Dataset`), or
    has named columns (a `FeatureTable`, a data frame). A ranker that was fitted on named columns
    finds them by their names wherever columns have names: further columns are not used, the order
    does not matter, and a missing one is an error.

    Attributes
    ----------
    n_features_in_ : int
        Columns of the `X` that `fit` saw.
    feature_names_in_ : ndarray of shape (D,) of object
        Their names; only where they had any.

    Notes
    -----
    scikit-learn's `GridSearchCV` chooses settings on images that a ranker was not fitted on: `fit`
    and `score` request `groups`, and so does `GroupKFold`. It cannot cut a `FeatureTable` into
    rows; give it the table's `values`.

    Examples
    --------
    >>> import sklearn
    >>> from sklearn.model_selection import GridSearchCV, GroupKFold
    >>> from rerank.ranking import RidgeRanker
    >>> X = np.random.default_rng(0).normal(size=(60, 2))
    >>> quality, groups = X[:, 0], np.repeat(np.arange(20), 3)
    >>> with sklearn.config_context(enable_metadata_routing=True):
    ...     search = GridSearchCV(RidgeRanker(), {"alpha": [1.0, 1e6]}, cv=GroupKFold(5))
    ...     ranker = search.fit(X, quality, groups=groups).best_estimator_
    >>> ranker.choose(X, groups).shape
    (20,)
    """

    # scikit-learn's metadata routing: `groups` is asked for, and `quality` is its `y`.
    __metadata_request__fit = {"groups": True, "quality": UNUSED}  # noqa: RUF012
    __metadata_request__score = {"groups": True, "quality": UNUSED}  # noqa: RUF012

    n_features_in_: int
    feature_names_in_: Any

    def fit(self: RankerType, X: Any, quality: Any, groups: Any) -> RankerType:
        """Learn to score proposals.

        Parameters
        ----------
        X : array-like of shape (N, D)
            One row per proposal, finite.
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
            Where two columns have the same name.
        InputError
            Where `X` is a `FeatureTable` with a column of one value throughout.
        LeakError
            Where `X` is a `FeatureTable` with a column that equals the quality but for scale.
        """
        names = _column_names(X)
        rows = as_rows(_values(X))
        images = image_rows(groups, rows.shape[0])
        target = check_quality(quality, rows.shape[0])
        if isinstance(X, FeatureTable):
            X.refuse_constant_columns().refuse_leaking_columns(target)
        if names is not None:
            self.feature_names_in_ = np.array(names, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        self._fit(rows, target, images)
        self.n_features_in_ = int(rows.shape[1])
        return self

    def decision_function(self, X: Any) -> FloatArray:
        """Score each proposal.

        Parameters
        ----------
        X : array-like of shape (N, D)
            With the columns that `fit` saw: in their order, or by their names.

        Returns
        -------
        ndarray of shape (N,), float64
            Higher for a better proposal. Only differences within an image mean anything.

        Raises
        ------
        NotFittedError
            Before `fit`.
        InputError
            Where a column of `fit` is missing; without names, where `X` has another number of
            columns than in `fit`.
        InputError
            Where a value is NaN or infinite.
        """
        rows, places = self._rows(X)
        scores = np.empty(rows.shape[0])
        for values, first_row, *_ in row_blocks(rows):
            chosen = values if places is None else np.ascontiguousarray(values[:, places])
            self._check_block(chosen, first_row)
            scores[first_row : first_row + len(values)] = self._scores(chosen)
        return scores

    def choose(self, X: Any, groups: Any) -> IntArray:
        """Choose one proposal for each image.

        Parameters
        ----------
        X : array-like of shape (N, D)
            As in `decision_function`.
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
        rows, _ = self._rows(X)
        images = image_rows(groups, rows.shape[0])
        return best_rows(self.decision_function(X), images)

    def score(self, X: Any, quality: Any, groups: Any) -> float:
        """Mean quality, over the images, of the proposals that `choose` picks.

        Parameters
        ----------
        X : array-like of shape (N, D)
            As in `decision_function`.
        quality : array-like of shape (N,)
            Quality of each proposal, finite, higher is better.
        groups : array-like of shape (N,)
            Image of each proposal.

        Returns
        -------
        float
            In the unit of `quality`.

        Raises
        ------
        NotFittedError
            Before `fit`.
        InputError
            As in `choose`, and where `quality` is not finite or not as long as `X`.
        """
        chosen = self.choose(X, groups)
        return float(check_quality(quality, as_rows(_values(X)).shape[0])[chosen].mean())

    def _fit(self, rows: Any, quality: FloatArray, images: ImageRows) -> None:
        raise TypeError(f"{type(self).__name__} does not say how it is fitted")

    def _scores(self, block: FloatArray) -> FloatArray:
        raise TypeError(f"{type(self).__name__} does not say how it scores")

    def _rows(self, X: Any) -> tuple[Any, IntArray | None]:
        """The matrix, and the places of the columns of `fit`; None where they are all, in order."""
        if not hasattr(self, "n_features_in_"):
            raise NotFittedError(f"this {type(self).__name__} is not fitted; call fit first")
        names = _column_names(X)
        if names is None or not hasattr(self, "feature_names_in_"):
            return as_rows(_values(X), self._n_columns()), None
        fitted = tuple(self.feature_names_in_)
        return as_rows(_values(X)), None if names == fitted else _places(names, fitted)

    def _n_columns(self) -> int | None:
        return self.n_features_in_

    def _check_block(self, block: FloatArray, first_row: int) -> None:
        check_rows_finite(block, first_row, getattr(self, "feature_names_in_", None))


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


def _values(X: Any) -> Any:
    return X.values if isinstance(X, FeatureTable) else X


def _column_names(X: Any) -> tuple[str, ...] | None:
    """Names of the columns of a `FeatureTable` or a data frame; None where they have none.

    As in scikit-learn, only strings are names: the numbers that a data frame gives to columns
    without names say nothing.
    """
    columns = getattr(X, "columns", None)
    if columns is None:
        return None
    names = tuple(columns)
    if not all(isinstance(name, str) for name in names):
        return None
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"X has two columns named {twice!r}; their names must differ")
    return names


def _places(names: Sequence[str], fitted: Sequence[str]) -> IntArray:
    """Where the columns of `fit` stand among those of `X`; `InputError` where one is missing."""
    where = {name: place for place, name in enumerate(names)}
    missing = [name for name in fitted if name not in where]
    if missing:
        shown = ", ".join(repr(name) for name in missing[:5])
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise InputError(
            f"X lacks {len(missing)} of the {len(fitted)} columns that the ranker was fitted on: "
            f"{shown}{more}"
        )
    return np.array([where[name] for name in fitted], dtype=np.int64)


def check_positive(value: Any, name: str) -> float:
    """Check a setting.

    Parameters
    ----------
    value : Any
    name : str
        Of the setting, for the message.

    Returns
    -------
    float

    Raises
    ------
    InputError
        Where `value` is not a finite number above 0.
    """
    number: float | None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = None
    if number is None or not np.isfinite(number) or number <= 0:
        raise InputError(f"{name} must be a finite number above 0, got {value!r}")
    return number
