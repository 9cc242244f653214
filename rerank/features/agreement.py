"""How far each proposal agrees with the other proposals of its image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from rerank.errors import InputError
from rerank.features.naming import class_names, scalar_names
from rerank.features.table import FeatureTable
from rerank.types import Array, FloatArray

AGREEMENT_SCALARS = ("agreement", "nearest_agreement", "farthest_agreement", "vote_iou",
                     "lonely")
AGREEMENT_FEATURES = ("votes", "unclaimed_votes", "vote_iou")


@dataclass(frozen=True, eq=False)
class Agreement:
    """M proposals against the other M - 1; areas are shares of the image.

    A proposal without others agrees with itself: as if one other painted the same.
    """

    pairwise: FloatArray  #: (M, M) share of the image with equal labels
    intersection: FloatArray  #: (M, C) mean intersection with the others
    painted: FloatArray  #: (M, C)
    voted: FloatArray  #: (M, C) mean share that the others paint
    lonely: FloatArray  #: (M,) share where no other proposal has the same label

    @property
    def iou(self) -> FloatArray:
        """(M, C) expected I over expected U with the others' votes; 0 where nobody paints."""
        union = self.painted + self.voted - self.intersection
        return np.divide(self.intersection, union, out=np.zeros_like(union), where=union > 1e-12)

    @property
    def scalars(self) -> FloatArray:
        """(M, 5) class-free features in the order of `AGREEMENT_SCALARS`."""
        n = len(self.pairwise)
        there = self.painted > 0
        # Mean image IoU as expected: a class that only others paint weighs by its votes.
        weight = np.where(there, 1.0, np.minimum(self.voted * 10, 1.0))
        vote_iou = (weight * self.iou).sum(axis=1) / weight.sum(axis=1)
        if n == 1:
            nearest = farthest = np.ones(1)
        else:
            others = self.pairwise[~np.eye(n, dtype=bool)].reshape(n, n - 1)
            nearest, farthest = others.max(axis=1), others.min(axis=1)
        return np.stack([self.intersection.sum(axis=1), nearest, farthest, vote_iou,
                         self.lonely], axis=1)


def proposal_agreement(labelings: Array, areas: Array, n_classes: int) -> Agreement:
    """Compare each labeling (M, n) with the others, regions weighted by their `areas` (n,)."""
    labels = np.ascontiguousarray(labelings)
    if labels.ndim != 2 or labels.shape[1] != len(areas) or not len(labels):
        raise InputError(f"labelings {labels.shape} and areas {np.shape(areas)} must be "
                         f"(M, n) with M of at least 1 and (n,)")
    if labels.size and not (0 <= labels.min() and labels.max() < n_classes):
        raise InputError(f"labels must be 0..{n_classes - 1}, found {labels.min()} to "
                         f"{labels.max()}")
    shares = np.asarray(areas, dtype=np.float64)
    return Agreement(*_agreement_kernel(labels, shares / shares.sum(), n_classes))


def agreement_features(agreement: Agreement, classes: tuple[str, ...],
                       image_id: str = "") -> FeatureTable:
    """Five class-free features and three a class.

    `agreement` = mean share of the image with the label of another proposal,
    `nearest_agreement` and `farthest_agreement` = the same for the most and least alike,
    `vote_iou` = expected mean image IoU if the others' votes were the truth, `lonely` = share
    where no other agrees. `votes[c]` = mean share of the others that also vote c where the
    proposal paints c (0 if it does not), `unclaimed_votes[c]` = share of the image that the
    others paint c and this one does not, `vote_iou[c]` = expected I over U with the others.

    Returns
    -------
    FeatureTable
        M rows, 5 + 3 C columns of group `proposal`.
    """
    painted = np.where(agreement.painted > 0, agreement.painted, 1.0)
    values = np.concatenate([
        agreement.scalars, agreement.intersection / painted,
        np.maximum(agreement.voted - agreement.intersection, 0.0), agreement.iou], axis=1)
    columns = (scalar_names("proposal", AGREEMENT_SCALARS)
               + class_names("proposal", AGREEMENT_FEATURES, classes))
    return FeatureTable.of_image(values, columns, "proposal", image_id)


@njit(cache=True)
def _agreement_kernel(labels: Array, shares: FloatArray,
                      n_classes: int) -> tuple[FloatArray, ...]:
    n_proposals, n = labels.shape
    votes = np.zeros((n, n_classes), dtype=np.int32)
    painted = np.zeros((n_proposals, n_classes))
    total = np.zeros(n_classes)
    for m in range(n_proposals):
        for i in range(n):
            votes[i, labels[m, i]] += 1
            painted[m, labels[m, i]] += shares[i]
        total += painted[m]
    others = max(n_proposals - 1, 1)
    # A lone proposal is compared with itself.
    own = 1 if n_proposals > 1 else 0
    intersection = np.zeros((n_proposals, n_classes))
    lonely = np.zeros(n_proposals)
    for m in range(n_proposals):
        for i in range(n):
            c = labels[m, i]
            agreeing = votes[i, c] - own
            intersection[m, c] += shares[i] * agreeing / others
            if agreeing == 0:
                lonely[m] += shares[i]
    voted = np.empty((n_proposals, n_classes))
    for m in range(n_proposals):
        for c in range(n_classes):
            voted[m, c] = max(total[c] - own * painted[m, c], 0.0) / others
    pairwise = np.ones((n_proposals, n_proposals))
    for a in range(n_proposals):
        for b in range(a + 1, n_proposals):
            same = 0.0
            for i in range(n):
                if labels[a, i] == labels[b, i]:
                    same += shares[i]
            pairwise[a, b] = same
            pairwise[b, a] = same
    return pairwise, intersection, painted, voted, lonely
