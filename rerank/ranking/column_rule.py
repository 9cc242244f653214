"""A rule that ranks by one column, such as the energy."""

from __future__ import annotations

from typing import Any

import numpy as np

from rerank.errors import InputError
from rerank.ranking.image_rows import ImageRows, row_blocks
from rerank.ranking.ranker import Ranker
from rerank.types import FloatArray


class ColumnRanker(Ranker):
    """Score by one column of `X`; with the energy's column, the MAP choice.

    Nothing is learned: `fit` checks its input.

    Parameters
    ----------
    column : int, default 0
    lowest : bool, default True
        Whether the lowest value is the best, as of an energy; otherwise the highest.

    Examples
    --------
    >>> X = np.array([[4.0], [3.0], [5.0]])
    >>> ColumnRanker().fit(X, [0.0, 0.0, 0.0], [0, 0, 0]).choose(X, [0, 0, 0])
    array([1])
    """

    def __init__(self, column: int = 0, lowest: bool = True) -> None:
        self.column = column
        self.lowest = lowest

    def _fit(self, rows: Any, quality: FloatArray, images: ImageRows) -> None:
        if not 0 <= self.column < rows.shape[1]:
            raise InputError(f"column must be in 0..{rows.shape[1] - 1}, got {self.column!r}")
        for first, block in row_blocks(rows):
            self._check_block(block, first)

    def _scores(self, block: FloatArray) -> FloatArray:
        return np.where(self.lowest, -1.0, 1.0) * block[:, self.column]
