"""Greedy choice of the candidates of a pool, on images whose truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rerank.errors import InputError
from rerank.proposals.generator import check_count
from rerank.types import Array, BoolArray, FloatArray
from rerank.validation import check_finite


@dataclass(frozen=True, eq=False)
class PoolChoice:
    """What `greedy_pool` chose.

    Attributes
    ----------
    order : tuple of int
        Candidates in the order in which they were chosen.
    oracle : (len(order),) float64
        Oracle accuracy of the first k + 1 of them on the images they were chosen on, which
        overstates that on others.
    """

    order: tuple[int, ...]
    oracle: FloatArray


def greedy_pool(
    intersections: Array,
    unions: Array,
    n_proposals: int,
    *,
    objective: str = "image",
    first: Sequence[int] = (),
    labeling_ids: Array | None = None,
) -> PoolChoice:
    """Choose candidates one after another, each the one that raises the oracle most.

    The mean over images of the best candidate's accuracy is submodular, so that the greedy choice
    comes within ``1 - 1/e`` of the best one of its size (Nemhauser et al. 1978).

    Parameters
    ----------
    intersections, unions : (images, candidates, classes) int or float
        Pixels of each class in both, and in either, of truth and candidate, without void. A
        candidate that an image lacks holds a union of 0 for all classes there.
    n_proposals : int
        How many to choose, at least 1; fewer are chosen where no more raise the oracle.
    objective : {"image", "corpus"}
        The mean over images of the best candidate's mean IoU over the classes present in truth or
        candidate; or the IoU over all images' counts, averaged over the classes present, when
        each image shows the candidate that fits it best.
    first : sequence of int
        Candidates chosen beforehand, such as the MAP labeling.
    labeling_ids : (images, candidates) int, optional
        Equal numbers in a row are equal labelings. A candidate that adds no labeling to any image
        is never chosen; without this, one that adds no accuracy to any image is never chosen.

    Returns
    -------
    PoolChoice

    Raises
    ------
    InputError
        If the arrays differ in shape, hold negative numbers or more intersection than union, a
        number is out of range, the objective is unknown, or it is "corpus" and no candidate, or
        not the first one given, is made on every image.
    """
    inter, union = _checked_counts(intersections, unions)
    check_count(n_proposals, "n_proposals")
    if objective not in ("image", "corpus"):
        raise InputError(f"objective must be 'image' or 'corpus', got {objective!r}")
    n_images, n_candidates, _ = inter.shape
    if len(set(first)) != len(first) or any(not 0 <= k < n_candidates for k in first):
        raise InputError(
            f"first must hold different numbers in 0..{n_candidates - 1}, got {list(first)}"
        )
    if labeling_ids is not None and np.shape(labeling_ids) != (n_images, n_candidates):
        raise InputError(
            f"labeling_ids must have shape {(n_images, n_candidates)}, got {np.shape(labeling_ids)}"
        )
    oracle_of = _ImageOracle if objective == "image" else _CorpusOracle
    state: _ImageOracle | _CorpusOracle = oracle_of(inter, union)
    order: list[int] = []
    oracle = []
    for k in first[:n_proposals]:
        state.add(k)
        order.append(int(k))
        oracle.append(state.value)
    while len(order) < n_proposals:
        gains = state.gains()
        gains[order] = -np.inf
        fresh = _adds_labelings(labeling_ids, order)
        if fresh is not None:
            gains[~fresh] = -np.inf
        best = int(gains.argmax())
        # Without ids a candidate of no gain may be a copy, so that it is left out.
        least = 0.0 if order and fresh is None else -np.inf
        if not gains[best] > least:
            break
        state.add(best)
        order.append(best)
        oracle.append(state.value)
    return PoolChoice(tuple(order), np.array(oracle))


def _checked_counts(intersections: Array, unions: Array) -> tuple[FloatArray, FloatArray]:
    inter = np.asarray(intersections, dtype=np.float64)
    union = np.asarray(unions, dtype=np.float64)
    if inter.ndim != 3 or inter.shape != union.shape or 0 in inter.shape:
        raise InputError(
            f"intersections and unions must share a shape (images, candidates, classes), got "
            f"{inter.shape} and {union.shape}"
        )
    check_finite(inter, "intersections")
    check_finite(union, "unions")
    if (inter < 0).any() or (inter > union).any():
        raise InputError("counts must satisfy 0 <= intersection <= union")
    return inter, union


def _adds_labelings(labeling_ids: Array | None, order: list[int]) -> Array | None:
    """Whether each candidate is, on some image, unlike all those chosen."""
    if labeling_ids is None:
        return None
    ids = np.asarray(labeling_ids)
    if not order:
        return np.ones(ids.shape[1], dtype=bool)
    known = (ids[:, :, None] == ids[:, None, order]).any(axis=2)
    fresh: BoolArray = ~known.all(axis=0)
    return fresh


class _ImageOracle:
    """Mean over images of the best chosen candidate's mean IoU."""

    def __init__(self, inter: FloatArray, union: FloatArray) -> None:
        self._quality = _mean_iou(inter, union)
        self._best = np.zeros(len(inter))

    @property
    def value(self) -> float:
        return float(self._best.mean())

    def gains(self) -> FloatArray:
        gains: FloatArray = np.maximum(self._quality - self._best[:, None], 0.0).mean(axis=0)
        return gains

    def add(self, candidate: int) -> None:
        self._best = np.maximum(self._best, self._quality[:, candidate])


class _CorpusOracle:
    """IoU of all images' counts, each image showing the chosen candidate that fits it best.

    Which candidate fits best is judged by the change of the mean IoU to first order at the
    current counts, and a switch is kept only where the true mean IoU rises.
    """

    def __init__(self, inter: FloatArray, union: FloatArray) -> None:
        self._inter, self._union = inter, union
        self._made: BoolArray = np.any(union > 0, axis=2)
        self._shown_inter = np.zeros((len(inter), inter.shape[2]))
        self._shown_union = np.zeros_like(self._shown_inter)
        # Until every image shows something the counts are not those of the corpus.
        served = self._made.any(axis=1)
        self._complete: BoolArray = self._made[served].all(axis=0)
        self._empty = True
        if not self._complete.any():
            raise InputError("objective 'corpus' needs a candidate that is made on every image")

    @property
    def value(self) -> float:
        return float(_mean_iou(self._shown_inter.sum(axis=0), self._shown_union.sum(axis=0)))

    def gains(self) -> FloatArray:
        switch = self._switches()
        inter = self._totals(self._inter, self._shown_inter, switch)
        union = self._totals(self._union, self._shown_union, switch)
        gains = np.maximum(_mean_iou(inter, union) - self.value, 0.0)
        return np.where(self._complete, gains, -np.inf) if self._empty else gains

    def add(self, candidate: int) -> None:
        if self._empty and not self._complete[candidate]:
            raise InputError(
                "objective 'corpus' must start from a candidate that is made on every image"
            )
        switch = self._switches()[:, candidate]
        inter = np.where(switch[:, None], self._inter[:, candidate], self._shown_inter)
        union = np.where(switch[:, None], self._union[:, candidate], self._shown_union)
        if self._empty or _mean_iou(inter.sum(axis=0), union.sum(axis=0)) >= self.value:
            self._shown_inter, self._shown_union = inter, union
        self._empty = False

    def _switches(self) -> BoolArray:
        if self._empty:
            return self._made
        inter, union = self._shown_inter.sum(axis=0), self._shown_union.sum(axis=0)
        scale = np.maximum(union, 1.0)
        change = (self._inter - self._shown_inter[:, None]) / scale - (
            self._union - self._shown_union[:, None]
        ) * inter / scale**2
        rises: BoolArray = change.sum(axis=2) > 0
        return rises & self._made

    @staticmethod
    def _totals(counts: FloatArray, shown: FloatArray, switch: Array) -> FloatArray:
        added = np.einsum("ijk,ij->jk", counts, switch)
        left = np.einsum("ik,ij->jk", shown, ~switch)
        totals: FloatArray = added + left
        return totals


def _mean_iou(inter: FloatArray, union: FloatArray) -> FloatArray:
    """Mean over the classes that occur, along the last axis; 0 where none does."""
    present = union > 0
    ratio = np.divide(inter, union, out=np.zeros_like(inter), where=present)
    mean: FloatArray = ratio.sum(axis=-1) / np.maximum(present.sum(axis=-1), 1)
    return mean
