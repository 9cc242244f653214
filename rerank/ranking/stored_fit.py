"""Fitted attributes that are numbers and texts, kept in a file and taken back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar

from sklearn.base import BaseEstimator

from rerank.errors import NotFittedError

Fit = TypeVar("Fit", bound="StoredFit")


class StoredFit(BaseEstimator):
    """Base of estimators whose fitted attributes are single numbers or texts."""

    #: The fitted attributes and their types; `threshold_` is one of them.
    FITTED: ClassVar[Mapping[str, Callable[[Any], Any]]]

    def state(self) -> dict[str, Any]:
        """The fitted attributes, to be kept in a file."""
        self._check_fitted()
        return {name: getattr(self, name) for name in self.FITTED}

    def load_state(self: Fit, state: Mapping[str, Any]) -> Fit:
        """Take fitted attributes from what `state` gave.

        Parameters
        ----------
        state : mapping of attribute to value
            Numbers may be arrays without axes, a text a tuple of one.

        Returns
        -------
        self
        """
        for name, kind in self.FITTED.items():
            value = state[name]
            setattr(self, name, kind(value[0] if isinstance(value, tuple) else value))
        return self

    def _check_fitted(self) -> None:
        if not hasattr(self, "threshold_"):
            raise NotFittedError(f"this {type(self).__name__} is not fitted; call fit first")
