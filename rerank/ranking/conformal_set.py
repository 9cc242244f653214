"""The fewest proposals that hold a good one with a given probability (split conformal)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np

from rerank.errors import InputError
from rerank.ranking.corpus_choice import proposal_beliefs
from rerank.ranking.stored_fit import StoredFit
from rerank.types import FloatArray, IntArray


class ProposalOrder(NamedTuple):
    """The order in which proposals join a set.

    Attributes
    ----------
    order : (M,) int64 array
        Indices of the proposals.
    reach : (M,) float64 array
        Believed probability that one of the first k + 1 is good; it never falls with k.
    """

    order: IntArray
    reach: FloatArray


def proposal_order(
    beliefs: Any, similarity: Any | None = None, min_iou: float = 0.7
) -> ProposalOrder:
    """Order an image's proposals so that a good one comes early.

    Parameters
    ----------
    beliefs : array-like of shape (M,)
        Probability of each proposal to be the truth (`proposal_beliefs`); 0 where there is none.
    similarity : array-like of shape (M, M), optional
        ``similarity[m, n]``: IoU of proposal m if n were the truth. With it, each proposal is the
        one that is good for most of the truths that no earlier one is good for. Without it, the
        order is that of the beliefs.
    min_iou : float
        What good means, in (0, 1].

    Returns
    -------
    ProposalOrder

    Raises
    ------
    InputError
        If shapes do not match or a value is not finite.

    Examples
    --------
    >>> similarity = [[1.0, 0.9, 0.1], [0.9, 1.0, 0.1], [0.1, 0.1, 1.0]]
    >>> found = proposal_order([0.4, 0.35, 0.25], similarity, min_iou=0.8)
    >>> found.order.tolist(), found.reach.round(2).tolist()
    ([0, 2, 1], [0.75, 1.0, 1.0])
    """
    p = np.asarray(beliefs, dtype=np.float64)
    if p.ndim != 1 or not np.isfinite(p).all() or (p < 0).any():
        raise InputError("beliefs must be (M,) finite numbers of at least 0")
    by_belief = np.argsort(-p, kind="stable").astype(np.int64)
    if similarity is None:
        return ProposalOrder(by_belief, np.minimum(np.cumsum(p[by_belief]), 1.0))
    table = np.asarray(similarity, dtype=np.float64)
    if table.shape != (len(p), len(p)):
        raise InputError(f"similarity must have shape {(len(p), len(p))}, got {table.shape}")
    good = (table >= min_iou) | np.eye(len(p), dtype=bool)
    open_mass, left = p.copy(), p > 0
    order, reach, total = [], [], 0.0
    while left.any():
        covered = good @ open_mass
        # What adds nothing any more joins by its own belief.
        best = int(np.where(left, covered + 1e-9 * p, -np.inf).argmax())
        total += float(covered[best])
        order.append(best)
        reach.append(min(total, 1.0))
        left[best] = False
        open_mass[good[best]] = 0.0
    rest = [int(m) for m in by_belief if m not in set(order)]
    return ProposalOrder(
        np.array(order + rest, dtype=np.int64), np.array(reach + [total] * len(rest))
    )


class ConformalSet(StoredFit):
    """Sets of proposals that hold one of IoU at least `min_iou` with probability 1 - `alpha`.

    A set takes an image's proposals in order (`proposal_order`) until the believed probability of
    holding a good one is above `threshold_`: few where one labeling is likely, many where several
    are. The threshold is calibrated on images that the ranker was not fitted on.

    Parameters
    ----------
    alpha : float
        In (0, 1).
    min_iou : float
        IoU in (0, 1] that makes a proposal good.
    temperature : float
        Of `proposal_beliefs`, above 0.
    unreachable : {"leave_out", "count"}
        Images of which no proposal is good. `leave_out`: the promise is about the others, for
        which a good proposal exists. `count`: they count as misses, and the promise is about all
        images. Where they are too many for that, sets hold all proposals and there is no promise.
    size_penalty : float
        At least 0. A set of k of M proposals counts ``size_penalty * k / M`` above its believed
        probability, so that no set grows large where beliefs are too sure of themselves
        (Angelopoulos et al. 2021).

    Attributes
    ----------
    threshold_ : float
        On the believed probability with that penalty.
        -1 where one proposal is always enough; infinity where sets hold all proposals.
    n_images_, n_reachable_ : int
        Calibration images, and those of which a proposal is good.
    coverage_ : float
        Share of the images that the promise is about whose set holds a good one; NaN if none.
    mean_size_ : float
        Mean size of the calibration images' sets; NaN without images.
    n_needed_ : int
        Images that a promise needs at least.
    promised_ : bool
        Whether the promise holds.
    explanation_ : str
        All this as a sentence or two.

    Notes
    -----
    Split conformal prediction (Vovk et al. 2005; Angelopoulos and Bates 2023, section 1). The
    score of a calibration image is the believed probability before its first good proposal joins,
    or infinity. A new image, drawn alike, has a score above the k-th smallest of n, with
    k = ceil((n + 1) (1 - alpha)), with probability at most alpha. That is over the draw of the
    calibration images and of the new one. Equal scores do no harm. With `count`, that is the
    probability that a promise is made and missed. Temperature and penalty change the sizes of sets
    alone, never the promise; the defaults are from training images of VOC 2012.
    """

    FITTED: ClassVar[Mapping[str, Callable[[Any], Any]]] = {
        "threshold_": float,
        "n_images_": int,
        "n_reachable_": int,
        "coverage_": float,
        "mean_size_": float,
        "n_needed_": int,
        "promised_": bool,
        "explanation_": str,
    }

    def __init__(
        self,
        *,
        alpha: float = 0.1,
        min_iou: float = 0.7,
        temperature: float = 0.3,
        unreachable: str = "leave_out",
        size_penalty: float = 0.3,
    ) -> None:
        self.alpha = alpha
        self.min_iou = min_iou
        self.temperature = temperature
        self.unreachable = unreachable
        self.size_penalty = size_penalty

    def fit(self, scores: Any, quality: Any, similarity: Any | None = None) -> ConformalSet:
        """Calibrate the threshold.

        Parameters
        ----------
        scores : array-like of shape (n_images, M)
            Of each proposal by a ranker that was not fitted on that image; higher is better.
            -infinity where an image has fewer proposals.
        quality : array-like of shape (n_images, M)
            IoU of each proposal in [0, 1]. An image is left out where all are NaN: it holds no
            labelled pixel.
        similarity : array-like of shape (n_images, M, M), optional
            As in `proposal_order`; `sets` needs it then too.

        Returns
        -------
        self

        Raises
        ------
        InputError
            If a setting is out of range or shapes do not match.
        """
        alpha = self._check_settings()
        orders = self._orders(scores, similarity)
        table, iou = np.asarray(scores, dtype=np.float64), np.asarray(quality, dtype=np.float64)
        if iou.shape != table.shape:
            raise InputError(f"quality must have the shape of scores, {table.shape}: {iou.shape}")
        iou = np.where(np.isfinite(table), iou, np.nan)
        counted = np.isfinite(iou).any(axis=1)
        # A proposal of an IoU that equals the bound but for rounding is good.
        good = iou >= self.min_iou - 1e-12
        reachable = good.any(axis=1)
        before = np.full(len(table), np.inf)
        for i in np.flatnonzero(reachable):
            first = int(np.flatnonzero(good[i][orders[i].order])[0])
            before[i] = self._level(orders[i])[first - 1] if first else -1.0
        self.n_images_, self.n_reachable_ = int(counted.sum()), int((counted & reachable).sum())
        judged = counted if self.unreachable == "count" else counted & reachable
        n = int(judged.sum())
        k = math.ceil((n + 1) * (1 - alpha) - 1e-9)
        self.n_needed_ = math.ceil((1 - alpha) / alpha - 1e-9)
        self.threshold_ = float(np.sort(before[judged])[k - 1]) if 0 < k <= n else np.inf
        # Of the reachable images all hold a good one where sets hold all proposals.
        self.promised_ = bool(np.isfinite(self.threshold_)) or self.unreachable == "leave_out"
        holds = np.isfinite(before) & (before <= self.threshold_)
        self.coverage_ = float(holds[judged].mean()) if n else np.nan
        sizes = [self._size(orders[i], table[i]) for i in np.flatnonzero(counted)]
        self.mean_size_ = float(np.mean(sizes)) if sizes else np.nan
        self.explanation_ = self._explain(n)
        return self

    def sets(self, scores: Any, similarity: Any | None = None) -> list[tuple[int, ...]]:
        """The set of each image: indices of proposals, in the order in which they joined.

        Parameters
        ----------
        scores : array-like of shape (n_images, M)
        similarity : array-like of shape (n_images, M, M), optional
            Both as in `fit`.

        Returns
        -------
        list of n_images tuples of int

        Raises
        ------
        NotFittedError
            Before `fit`.
        InputError
            If shapes do not match.
        """
        self._check_fitted()
        table = np.asarray(scores, dtype=np.float64)
        return [
            tuple(int(m) for m in found.order[: self._size(found, row)])
            for found, row in zip(self._orders(scores, similarity), table)
        ]

    def _level(self, found: ProposalOrder) -> FloatArray:
        sizes = np.arange(1, len(found.order) + 1) / len(found.order)
        return found.reach + self.size_penalty * sizes

    def _size(self, found: ProposalOrder, scores: FloatArray) -> int:
        above = np.flatnonzero(self._level(found) > self.threshold_)
        n_proposals = int(np.isfinite(scores).sum())
        return min(int(above[0]) + 1, n_proposals) if len(above) else n_proposals

    def _orders(self, scores: Any, similarity: Any | None) -> list[ProposalOrder]:
        table = np.asarray(scores, dtype=np.float64)
        if table.ndim != 2:
            raise InputError(f"scores must have shape (n_images, M), got {table.shape}")
        if similarity is not None and len(similarity) != len(table):
            raise InputError(f"{len(similarity)} similarities for {len(table)} images")
        found = []
        for i, row in enumerate(table):
            beliefs = proposal_beliefs(row, self.temperature)
            pairs = None if similarity is None else similarity[i]
            order = proposal_order(beliefs, pairs, self.min_iou)
            # Proposals that do not exist come last, so that no set takes one.
            real = np.isfinite(row[order.order])
            places = np.concatenate([np.flatnonzero(real), np.flatnonzero(~real)])
            found.append(ProposalOrder(order.order[places], order.reach))
        return found

    def _check_settings(self) -> float:
        if not 0 < self.alpha < 1:
            raise InputError(f"alpha must lie between 0 and 1, got {self.alpha!r}")
        if not 0 < self.min_iou <= 1:
            raise InputError(f"min_iou must be in (0, 1], got {self.min_iou!r}")
        if not self.size_penalty >= 0:
            raise InputError(f"size_penalty must be at least 0, got {self.size_penalty!r}")
        if self.unreachable not in ("leave_out", "count"):
            raise InputError(f"unreachable must be leave_out or count, got {self.unreachable!r}")
        return float(self.alpha)

    def _explain(self, n_judged: int) -> str:
        goal, sure = f"an IoU of at least {self.min_iou:g}", f"{100 * (1 - self.alpha):g} %"
        without = self.n_images_ - self.n_reachable_
        none = f"of {self.n_images_} labelled images {without} have no such proposal"
        if n_judged < self.n_needed_:
            return (
                f"Sets hold all proposals: {n_judged} labelled images are too few to hold one of "
                f"{goal} in {sure} of the images with fewer; it takes {self.n_needed_}."
            )
        if not self.promised_:
            return (
                f"No promise: {none}, too many for {sure} of all images. Sets hold all proposals."
            )
        among = "all images" if self.unreachable == "count" else "the images that have one"
        return (
            f"Sets of {self.mean_size_:.1f} proposals on average hold one of {goal} in {sure} of "
            f"{among}; {none}."
        )
