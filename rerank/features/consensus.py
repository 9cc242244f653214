"""Where each proposal has the labels of the other proposals of its image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from rerank.errors import InputError
from rerank.features.feature_table import FeatureTable
from rerank.features.naming import class_names, scalar_names
from rerank.features.statistics import check_labels
from rerank.types import Array, FloatArray

CONSENSUS_SCALARS = ("mean_overlap", "nearest_overlap", "farthest_overlap", "vote_iou", "lonely")
CONSENSUS_FEATURES = ("votes", "unclaimed_votes", "vote_iou")


@dataclass(frozen=True, eq=False)
class Consensus:
    """M proposals against the other M - 1; areas are shares of the image.

    A proposal without others is compared with itself, as if another one were equal.
    """

    pairwise: FloatArray  #: (M, M) share of the image with equal labels
    intersection: FloatArray  #: (M, C) mean intersection with the others
    painted: FloatArray  #: (M, C)
    voted: FloatArray  #: (M, C) mean share that the others paint
    iou: FloatArray  #: (M, C) expected I over U with the others' votes; 0 where nobody paints
    scalars: FloatArray  #: (M, 5) class-free features, in the order of `CONSENSUS_SCALARS`


def compare_proposals(labelings: Array, areas: Array, n_classes: int) -> Consensus:
    """Compare each labeling with the others, regions weighted by their areas.

    Parameters
    ----------
    labelings : (M, n) int
    areas : (n,) float, pixels
    n_classes : int

    Returns
    -------
    Consensus

    Raises
    ------
    InputError
        If shapes disagree, there is no labeling, or a label is out of range.
    """
    labels = np.ascontiguousarray(labelings)
    if labels.ndim != 2 or labels.shape[1] != len(areas) or not len(labels):
        raise InputError(
            f"labelings {labels.shape} and areas {np.shape(areas)} must be "
            f"(M, n) with M of at least 1 and (n,)"
        )
    check_labels(labels, n_classes)
    shares = np.asarray(areas, dtype=np.float64)
    shares = shares / shares.sum()
    pairwise = _pairwise_kernel(np.ascontiguousarray(labels.T), shares)
    sums, scalars = _consensus_kernel(labels, shares, n_classes, pairwise)
    return Consensus(pairwise, sums[0], sums[1], sums[2], sums[3], scalars)


def consensus_features(
    consensus: Consensus, classes: tuple[str, ...], image_id: str = ""
) -> FeatureTable:
    """Five class-free features and three a class.

    `mean_overlap` = mean share of the image with the label of another proposal,
    `nearest_overlap` and `farthest_overlap` = the same for the most and least alike,
    `vote_iou` = mean I over U if the others' votes were the truth, where a painted class
    weighs 1 and another ten times the share of the image that the others give it, at most 1;
    `lonely` = share of the image where no other has the same label.
    `votes[c]` = mean share of the others that also paint c where the proposal does (0 if it does
    not); `unclaimed_votes[c]` = mean share of the image that the others paint c and this one
    does not; `vote_iou[c]` = expected I over U with the others.

    Parameters
    ----------
    consensus : Consensus
    classes : C names
    image_id : str

    Returns
    -------
    FeatureTable
        M rows, 5 + 3 C columns of group `proposal`.
    """
    a = consensus
    painted = np.where(a.painted > 0, a.painted, 1.0)
    values = np.concatenate(
        [a.scalars, a.intersection / painted, a.voted - a.intersection, a.iou], axis=1
    )
    columns = scalar_names("proposal", CONSENSUS_SCALARS) + class_names(
        "proposal", CONSENSUS_FEATURES, classes
    )
    return FeatureTable.of_image(values, columns, "proposal", image_id)


@njit(cache=True)
def _pairwise_kernel(by_region: Array, shares: FloatArray) -> FloatArray:
    n, n_proposals = by_region.shape
    pairwise = np.zeros((n_proposals, n_proposals))
    for i in range(n):
        share = shares[i]
        row = by_region[i]
        for a in range(n_proposals):
            label = row[a]
            # Independent sums side by side: the compiler makes one wide compare of it.
            for b in range(n_proposals):
                pairwise[a, b] += share if row[b] == label else 0.0
    return pairwise


@njit(cache=True)
def _consensus_kernel(
    labels: Array, shares: FloatArray, n_classes: int, pairwise: FloatArray
) -> tuple[FloatArray, FloatArray]:
    n_proposals, n = labels.shape
    votes = np.zeros((n, n_classes), dtype=np.int32)
    sums = np.zeros((4, n_proposals, n_classes))
    scalars = np.zeros((n_proposals, 5))
    total = np.zeros(n_classes)
    for m in range(n_proposals):
        for i in range(n):
            votes[i, labels[m, i]] += 1
            sums[1, m, labels[m, i]] += shares[i]
        total += sums[1, m]
    others = max(n_proposals - 1, 1)
    # A lone proposal is compared with itself.
    own = 1 if n_proposals > 1 else 0
    for m in range(n_proposals):
        intersection, painted, voted, iou = sums[0, m], sums[1, m], sums[2, m], sums[3, m]
        row = scalars[m]
        for i in range(n):
            c = labels[m, i]
            agreeing = votes[i, c] - own
            intersection[c] += shares[i] * agreeing / others
            if agreeing == 0:
                row[4] += shares[i]
        weight = 0.0
        for c in range(n_classes):
            # Rounding must not make the votes fewer than those that agree.
            voted[c] = max((total[c] - own * painted[c]) / others, intersection[c])
            union = painted[c] + voted[c] - intersection[c]
            if union > 1e-12:
                iou[c] = intersection[c] / union
            row[0] += intersection[c]
            weight += 1.0 if painted[c] > 0.0 else min(10.0 * voted[c], 1.0)
            row[3] += iou[c]
        row[3] /= weight
        row[1] = 0.0
        row[2] = 1.0
        for b in range(n_proposals):
            if b != m or n_proposals == 1:
                row[1] = max(row[1], pairwise[m, b])
                row[2] = min(row[2], pairwise[m, b])
    return sums, scalars
