"""What rankers are fitted on: features of proposals, and how good the proposals are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rerank.features import FeatureTable
from rerank.metrics import IntersectionUnion, image_iou
from rerank.ranking.corpus_loss import corpus_quality
from rerank.ranking.minimum_bayes_risk import minimum_bayes_risk_columns
from rerank.types import FloatArray


@dataclass(frozen=True)
class RankingTable:
    """The features of some images' proposals, and how good these are.

    Attributes
    ----------
    name : str
    image_ids : tuple of str
    table : FeatureTable
        Rows image by image, `n_proposals` each.
    counts : IntersectionUnion
        (n_images, n_proposals, n_classes).
    kl : mapping of name to (n_images, n_proposals) float array
        Divergence of Eq. 17 under each SegNet; lower is better.
    similarity : (n_images, n_proposals, n_proposals) float array
        Mean IoU of each proposal if another were the truth.
    energies : (n_images, n_proposals) float array
    """

    name: str
    image_ids: tuple[str, ...]
    table: FeatureTable
    counts: IntersectionUnion
    kl: dict[str, FloatArray]
    similarity: FloatArray
    energies: FloatArray

    @property
    def risk_columns(self) -> FloatArray:
        """What `MinimumBayesRiskRanker` reads."""
        return minimum_bayes_risk_columns(
            self.energies.ravel(), list(self.similarity), self.table.image_index
        )


def join(parts: Sequence[RankingTable]) -> RankingTable:
    """Several tables as one."""
    return RankingTable(
        "+".join(part.name for part in parts),
        tuple(i for part in parts for i in part.image_ids),
        FeatureTable.concatenate([part.table for part in parts]),
        IntersectionUnion(
            np.concatenate([part.counts.intersections for part in parts]),
            np.concatenate([part.counts.unions for part in parts]),
        ),
        {name: np.concatenate([part.kl[name] for part in parts]) for name in parts[0].kl},
        np.concatenate([part.similarity for part in parts]),
        np.concatenate([part.energies for part in parts]),
    )


def proposal_quality(counts: IntersectionUnion, loss: str) -> FloatArray:
    """The quality of each proposal, which the ranker learns to predict.

    Parameters
    ----------
    counts : IntersectionUnion
        (n_images, n_proposals, n_classes).
    loss : {"image", "corpus"}
        `image` is the proposal's own mean IoU; `corpus` the linearised gain in corpus IoU over
        the MAP labeling, times the number of images so that it is of the same order.

    Returns
    -------
    (n_images * n_proposals,) float64 array
    """
    n_images, n_proposals, n_classes = counts.intersections.shape
    if loss == "image":
        return image_iou(counts).ravel()
    groups = np.repeat(np.arange(n_images), n_proposals)
    gains = corpus_quality(
        counts.intersections.reshape(-1, n_classes),
        counts.unions.reshape(-1, n_classes),
        groups,
        np.arange(n_images) * n_proposals,
    )
    quality: FloatArray = gains * n_images
    return quality
