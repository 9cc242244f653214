"""Choice among rankers, or among the settings of one, by cross-validation over images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import clone

from rerank.errors import InputError
from rerank.ranking.image_rows import ImageRows, image_rows, take_rows
from rerank.ranking.ranker import Ranker, best_rows
from rerank.types import FloatArray, IntArray, RandomState, as_generator


class CrossValidatedRanker(Ranker):
    """The candidate whose choices are best on images that it was not fitted on.

    Each candidate is fitted on all folds but one and chooses on that one, in turn; its mark is
    the mean over all images of the chosen proposals' quality. The winner is fitted once more on
    everything.

    Parameters
    ----------
    candidates : sequence of rankers
        `with_settings` makes one of each value of a setting. Put the safest first.
    n_folds : int, default 5
        Folds of images; no image is in two.
    contiguous : bool, default False
        Folds are runs of neighbouring images (in order of first appearance), as video needs, in
        place of random ones.
    margin : float, default 0.0
        The first candidate stays unless another is better by more than so many standard errors
        of their mean difference in quality, over images. With the MAP rule first
        (`ColumnRanker`), a margin of 1 or 2 guards against a ranker that only seems to gain.
    random_state : int, numpy.random.Generator or None, default None
        Draws the folds.

    Attributes
    ----------
    best_index_ : int
        Of equals, the first.
    ranker_ : the winner, fitted on all images
    mean_quality_ : ndarray of shape (n_candidates,)
    image_quality_ : ndarray of shape (n_candidates, n_images)
        Quality of the choice on each image, made by a ranker that did not see it.

    Examples
    --------
    >>> from rerank.ranking import RidgeRanker
    >>> X = np.random.default_rng(0).normal(size=(60, 2))
    >>> groups = np.repeat(np.arange(20), 3)
    >>> search = CrossValidatedRanker(with_settings(RidgeRanker(), alpha=[1e6, 1.0]),
    ...                               random_state=0).fit(X, X[:, 0], groups)
    >>> search.mean_quality_.shape
    (2,)
    """

    def __init__(
        self,
        candidates: Sequence[Ranker],
        n_folds: int = 5,
        contiguous: bool = False,
        margin: float = 0.0,
        random_state: RandomState = None,
    ) -> None:
        self.candidates = candidates
        self.n_folds = n_folds
        self.contiguous = contiguous
        self.margin = margin
        self.random_state = random_state

    def _fit(self, rows: Any, quality: FloatArray, images: ImageRows) -> None:
        if len(self.candidates) == 0:
            raise InputError("candidates must hold at least one ranker")
        if not 2 <= self.n_folds <= images.n_images:
            raise InputError(
                f"n_folds must be 2 or more and at most the {images.n_images} "
                f"images, got {self.n_folds!r}"
            )
        if not self.margin >= 0:
            raise InputError(f"margin must be 0 or more, got {self.margin!r}")
        fold = self._folds(images.n_images)
        image = np.empty(len(quality), dtype=np.int64)
        image[images.original(np.arange(len(quality)))] = images.image_of_row()
        self.image_quality_ = np.empty((len(self.candidates), images.n_images))
        for k in range(self.n_folds):
            inside = np.flatnonzero(fold[image] != k)
            outside = np.flatnonzero(fold[image] == k)
            held_out = image_rows(image[outside])
            for c, candidate in enumerate(self.candidates):
                ranker = clone(candidate).fit(
                    take_rows(rows, inside), quality[inside], image[inside]
                )
                scores = ranker.decision_function(take_rows(rows, outside))
                chosen = outside[best_rows(scores, held_out)]
                self.image_quality_[c, image[chosen]] = quality[chosen]
        self.mean_quality_ = self.image_quality_.mean(axis=1)
        self.best_index_ = self._best(images.n_images)
        self.ranker_ = clone(self.candidates[self.best_index_])
        self.ranker_.fit(rows, quality, image)

    def _folds(self, n_images: int) -> IntArray:
        fold = np.arange(n_images) * self.n_folds // n_images
        return fold if self.contiguous else as_generator(self.random_state).permutation(fold)

    def _best(self, n_images: int) -> int:
        best = int(self.mean_quality_.argmax())
        gain = self.image_quality_[best] - self.image_quality_[0]
        error = gain.std(ddof=1) / np.sqrt(n_images)
        return best if gain.mean() > self.margin * error else 0

    def _n_columns(self) -> int | None:
        return self.ranker_._n_columns()

    def _scores(self, block: FloatArray) -> FloatArray:
        return self.ranker_._scores(block)

    def _check_block(self, block: FloatArray, first_row: int) -> None:
        self.ranker_._check_block(block, first_row)


def with_settings(ranker: Ranker, **settings: Sequence[Any]) -> list[Ranker]:
    """Copies of a ranker, one for each combination of the settings' values, in order.

    Examples
    --------
    >>> from rerank.ranking import RidgeRanker
    >>> [r.alpha for r in with_settings(RidgeRanker(), alpha=[0.1, 1.0, 10.0])]
    [0.1, 1.0, 10.0]
    """
    copies = [clone(ranker)]
    for name, values in settings.items():
        copies = [clone(copy).set_params(**{name: value}) for copy in copies for value in values]
    return copies
