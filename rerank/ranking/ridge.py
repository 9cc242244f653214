"""Ridge regression of quality, within images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.linalg import solve

from rerank.ranking.image_rows import ImageRows, ordered_rows, row_blocks
from rerank.ranking.ranker import LinearRanker, check_positive
from rerank.ranking.scaling import inverse_scale
from rerank.types import FloatArray


class RidgeRanker(LinearRanker):
    """Linear ranker by ridge regression on differences from the image's mean.

    Minimises ``sum_im (q_im - mean_i q - w.(x_im - mean_i x))^2 + alpha |w|^2`` over the scaled
    columns. Reads `X` in blocks and holds no more than a matrix of D x D.

    Parameters
    ----------
    alpha : float, default 1.0
        Weight of the penalty, above 0.
    scale_columns : bool, default True
        Divide each column by its standard deviation within images.
    column_groups : sequence of D labels, optional
        Give every group of columns the same weight; see `inverse_scale`.

    Attributes
    ----------
    coef_ : ndarray of shape (D,)
        Weights in the units of the columns; 0 for columns that are constant within images.

    Examples
    --------
    >>> X = np.array([[0.0], [1.0], [3.0], [1.0]])
    >>> ranker = RidgeRanker(alpha=1e-9).fit(X, [0.0, 0.5, 1.0, 0.0], [0, 0, 1, 1])
    >>> float(ranker.coef_[0].round(6))
    0.5
    """

    def __init__(
        self,
        *,
        alpha: float = 1.0,
        scale_columns: bool = True,
        column_groups: Sequence[Any] | None = None,
    ) -> None:
        self.alpha = alpha
        self.scale_columns = scale_columns
        self.column_groups = column_groups

    def _fit(self, rows: Any, quality: FloatArray, images: ImageRows) -> None:
        alpha = check_positive(self.alpha, "alpha")
        rows = ordered_rows(rows, images)
        target = images.ordered(quality)
        inverse = inverse_scale(rows, images, self.scale_columns, self.column_groups)
        counts = np.diff(images.starts)
        image = images.image_of_row()
        target = target - (np.add.reduceat(target, images.starts[:-1]) / counts)[image]
        gram = np.zeros((rows.shape[1], rows.shape[1]))
        moment = np.zeros(rows.shape[1])
        for values, first_row, first, stop in row_blocks(rows, images.starts):
            span = slice(first_row, first_row + len(values))
            local = images.starts[first:stop] - first_row
            means = np.add.reduceat(values, local, axis=0) / counts[first:stop, None]
            centred = (values - means[image[span] - first]) * inverse
            gram += centred.T @ centred
            moment += centred.T @ target[span]
        gram[np.diag_indices_from(gram)] += alpha
        self.coef_ = solve(gram, moment, assume_a="pos") * inverse
