"""A fitted ranker whose columns are clipped on the side that favours a proposal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rerank.ranking.ranker import Ranker
from rerank.types import FloatArray


@dataclass(frozen=True)
class BoundedRanker:
    """A fitted ranker, and how far each column may count in favour of a proposal.

    A linear ranker extrapolates, and some columns, such as expected union over intersection, have
    no upper limit: a proposal unlike all of training could win by a single column. So no column
    counts more in favour of a proposal than it did for any in training. Against a proposal it may.

    Attributes
    ----------
    ranker : Ranker
        Fitted.
    lowest, highest : (D,) float arrays
        Of the columns; infinite on the side that counts against a proposal.
    """

    ranker: Ranker
    lowest: FloatArray
    highest: FloatArray

    @classmethod
    def of(cls, ranker: Ranker, values: FloatArray) -> BoundedRanker:
        """Bound a fitted ranker by the ranges of the columns that it was fitted on.

        Parameters
        ----------
        ranker : Ranker
            Fitted.
        values : (N, D) float array
            The rows that it was fitted on.

        Returns
        -------
        BoundedRanker
        """
        # Trees do not extrapolate.
        weights = getattr(ranker, "coef_", np.zeros(values.shape[1]))
        return cls(
            ranker,
            np.where(weights < 0, values.min(axis=0), -np.inf),
            np.where(weights > 0, values.max(axis=0), np.inf),
        )

    def decision_function(self, values: FloatArray) -> FloatArray:
        """Scores of rows (N, D), higher for better."""
        return self.ranker.decision_function(np.clip(values, self.lowest, self.highest))
