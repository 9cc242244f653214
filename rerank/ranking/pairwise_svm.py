"""Ranking SVM on pairs of proposals of one image."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.svm import LinearSVC

from rerank.errors import InputError
from rerank.ranking.image_rows import ImageRows, ordered_rows, row_blocks
from rerank.ranking.ranker import LinearRanker, check_positive
from rerank.ranking.scaling import inverse_scale
from rerank.types import FloatArray, IntArray, RandomState, as_generator


class PairwiseRankSVM(LinearRanker):
    """Linear ranking SVM: the better of two proposals should score higher by 1.

    Minimises ``1/2 |w|^2 + C sum_p weight_p max(0, 1 - w.(x_better - x_worse))^2`` over pairs p of
    proposals of one image, with scikit-learn's `LinearSVC` on the differences of scaled columns.
    The weight of a pair is its difference in quality over the mean of all pairs' differences.
    Pairs of equal quality are left out. The pairs' differences are held in memory.

    Parameters
    ----------
    C : float, default 1.0
        Weight of a pair of average difference.
    pairs : {"best", "all"}, default "all"
        "all" compares all proposals of an image (Joachims 2002); "best" compares only the best one
        with the others, which chooses worse on small data sets.
    max_pairs : int, default 200
        At most so many pairs an image, drawn without replacement where there are more.
    tol : float, default 1e-4
        Tolerance of LinearSVC.
    max_iter : int, default 10000
    scale_columns : bool, default True
        Divide each column by its standard deviation within images.
    column_groups : sequence of D labels, optional
        Give every group of columns the same weight; see `inverse_scale`.
    random_state : int, numpy.random.Generator or None, default None
        Draws pairs, and orders LinearSVC's coordinates.

    Attributes
    ----------
    coef_ : ndarray of shape (D,)
    n_pairs_ : int
        Pairs that were compared. Where there is none (one proposal an image, or all of equal
        quality) the weights are 0.
    """

    def __init__(
        self,
        *,
        C: float = 1.0,
        pairs: str = "all",
        max_pairs: int = 200,
        tol: float = 1e-4,
        max_iter: int = 10000,
        scale_columns: bool = True,
        column_groups: Sequence[Any] | None = None,
        random_state: RandomState = None,
    ) -> None:
        self.C = C
        self.pairs = pairs
        self.max_pairs = max_pairs
        self.tol = tol
        self.max_iter = max_iter
        self.scale_columns = scale_columns
        self.column_groups = column_groups
        self.random_state = random_state

    def _fit(self, rows: Any, quality: FloatArray, images: ImageRows) -> None:
        C = check_positive(self.C, "C")
        max_pairs = int(check_positive(self.max_pairs, "max_pairs"))
        if self.pairs not in ("best", "all"):
            raise InputError(f"pairs must be 'best' or 'all', got {self.pairs!r}")
        generator = as_generator(self.random_state)
        rows = ordered_rows(rows, images)
        target = images.ordered(quality)
        inverse = inverse_scale(rows, images, self.scale_columns, self.column_groups)
        differences, gains = [], []
        for values, first_row, first, stop in row_blocks(rows, images.starts):
            for begin, end in itertools.pairwise(images.starts[first : stop + 1]):
                part = target[begin:end]
                better, worse = _pairs(part, self.pairs, max_pairs, generator)
                scaled = values[begin - first_row : end - first_row] * inverse
                differences.append(scaled[better] - scaled[worse])
                gains.append(part[better] - part[worse])
        difference, gain = np.concatenate(differences), np.concatenate(gains)
        self.n_pairs_ = len(gain)
        self.coef_ = np.zeros(rows.shape[1])
        if self.n_pairs_ == 0:
            return
        # A classifier needs both classes: every other difference changes its sign.
        sign = np.where(np.arange(len(gain)) % 2 == 0, 1, -1)
        weight = gain / gain.mean()
        if len(gain) == 1:
            difference, sign = np.repeat(difference, 2, axis=0), np.array([1, -1])
            weight = np.array([0.5, 0.5])
        model = LinearSVC(
            C=C,
            loss="squared_hinge",
            dual="auto",
            tol=self.tol,
            max_iter=self.max_iter,
            fit_intercept=False,
            random_state=int(generator.integers(2**31)),
        )
        model.fit(difference * sign[:, None], sign, sample_weight=weight)
        self.coef_ = model.coef_[0] * inverse


def _pairs(
    quality: FloatArray, kind: str, limit: int, generator: np.random.Generator
) -> tuple[IntArray, IntArray]:
    if kind == "best":
        worse = np.flatnonzero(quality < quality.max())
        better = np.full(len(worse), int(quality.argmax()))
    else:
        better, worse = np.nonzero(quality[:, None] > quality[None, :])
    if len(better) > limit:
        kept = np.sort(generator.choice(len(better), limit, replace=False))
        better, worse = better[kept], worse[kept]
    return better, worse
