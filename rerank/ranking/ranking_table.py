"""What rankers are fitted on: features of proposals, and how good the proposals are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from rerank.errors import InputError
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
    kl : mapping of name to (n_images, n_proposals, 1 + S) float array
        The terms of Eq. 17 under each SegNet: cells of background, then the symmetric divergence
        at each of S smoothings.
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

    def without(self, columns: Sequence[str]) -> RankingTable:
        """The same without some columns of the table."""
        return replace(self, table=self.table.drop(columns))

    @property
    def risk_columns(self) -> FloatArray:
        """What `MinimumBayesRiskRanker` reads."""
        return minimum_bayes_risk_columns(
            self.energies.ravel(), list(self.similarity), self.table.image_index
        )


class ImageRows(NamedTuple):
    """What a `RankingTable` holds of one image that has M proposals, whatever M is."""

    table: FeatureTable  #: M rows of one image
    counts: IntersectionUnion  #: (M, C)
    similarity: FloatArray  #: (M, M)
    energies: FloatArray  #: (M,)


def padded_table(name: str, images: Sequence[ImageRows], n_proposals: int) -> RankingTable:
    """A table of images that have different numbers of proposals.

    An image with fewer than `n_proposals` repeats its last one. A repetition has the features, the
    counts and so the score of what it repeats, and choices and oracles take the first of equals:
    a repetition is never chosen, and no accuracy changes.

    Parameters
    ----------
    name : str
        Of the part.
    images : sequence of ImageRows
        At least one, each of 1 to `n_proposals` proposals.
    n_proposals : int
        M of the table.

    Returns
    -------
    RankingTable
        Without divergences `kl`.

    Raises
    ------
    InputError
        If there is no image, or one has no proposal or too many.
    """
    if not images:
        raise InputError("there are no images to make a table of")
    tables, intersections, unions, similarities, energies = [], [], [], [], []
    for rows in images:
        count = len(rows.table)
        if not 1 <= count <= n_proposals:
            raise InputError(f"expected 1 to {n_proposals} proposals an image, got {count}")
        index = np.minimum(np.arange(n_proposals), count - 1)
        tables.append(
            FeatureTable(
                rows.table.values[index],
                rows.table.columns,
                rows.table.groups,
                rows.table.image_ids[index],
                np.arange(n_proposals),
            )
        )
        intersections.append(rows.counts.intersections[index])
        unions.append(rows.counts.unions[index])
        similarities.append(rows.similarity[np.ix_(index, index)])
        energies.append(rows.energies[index])
    return RankingTable(
        name,
        tuple(str(rows.table.image_ids[0]) for rows in images),
        FeatureTable.concatenate(tables),
        IntersectionUnion(np.stack(intersections), np.stack(unions)),
        {},
        np.stack(similarities),
        np.stack(energies),
    )


def join(parts: Sequence[RankingTable]) -> RankingTable:
    """Several tables as one."""
    return RankingTable(
        "+".join(part.name for part in parts),
        tuple(i for part in parts for i in part.image_ids),
        FeatureTable.concatenate([part.table for part in parts]),
        IntersectionUnion.concatenate([part.counts for part in parts]),
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
