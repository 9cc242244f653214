"""Gradient-boosted trees on quality."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor

from rerank.ranking.image_rows import ImageRows, row_blocks
from rerank.ranking.ranker import Ranker
from rerank.types import FloatArray


class BoostingRanker(Ranker):
    """Ranker by scikit-learn's histogram gradient boosting.

    The trees regress each proposal's quality less the mean quality of its image, with squared
    loss. All rows are held in memory; there is no early stopping, so every image counts.

    Parameters
    ----------
    max_iter : int, default 100
        Number of trees.
    learning_rate : float, default 0.1
    max_leaf_nodes : int, default 15
    min_samples_leaf : int, default 20
    l2_regularization : float, default 1.0
    random_state : int or None, default None

    Attributes
    ----------
    model_ : sklearn.ensemble.HistGradientBoostingRegressor
    """

    def __init__(
        self,
        *,
        max_iter: int = 100,
        learning_rate: float = 0.1,
        max_leaf_nodes: int = 15,
        min_samples_leaf: int = 20,
        l2_regularization: float = 1.0,
        random_state: int | None = None,
    ) -> None:
        self.max_iter = max_iter
        self.learning_rate = learning_rate
        self.max_leaf_nodes = max_leaf_nodes
        self.min_samples_leaf = min_samples_leaf
        self.l2_regularization = l2_regularization
        self.random_state = random_state

    def _fit(self, rows: Any, quality: FloatArray, images: ImageRows) -> None:
        blocks = []
        for block in row_blocks(rows):
            self._check_block(block.values, block.first_row)
            blocks.append(block.values)
        target = images.ordered(quality)
        means = np.add.reduceat(target, images.starts[:-1]) / np.diff(images.starts)
        centred = images.restored(target - means[images.image_of_row()])
        model = HistGradientBoostingRegressor(
            max_iter=self.max_iter,
            learning_rate=self.learning_rate,
            max_leaf_nodes=self.max_leaf_nodes,
            min_samples_leaf=self.min_samples_leaf,
            l2_regularization=self.l2_regularization,
            early_stopping=False,
            random_state=self.random_state,
        )
        self.model_ = model.fit(np.concatenate(blocks), centred)

    def _scores(self, block: FloatArray) -> FloatArray:
        return np.asarray(self.model_.predict(block))
