"""The accuracy of the best choice among the proposals of each image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rerank.errors import InputError
from rerank.metrics.coordinate_ascent import AscentProblem, ascend
from rerank.metrics.counts import IntersectionUnion
from rerank.metrics.iou import corpus_iou, image_iou, mean_image_iou
from rerank.types import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class OracleCurve:
    """Oracle accuracy against the number of proposals, all IoU in [0, 1].

    Row m of every array is about the first m + 1 proposals of each image. The image oracle
    takes the proposal with the best image IoU; the corpus oracle chooses for the corpus mIoU.

    Attributes
    ----------
    n_proposals : (M,) int array
        1..M.
    image_oracle_miou, image_oracle_image_iou : (M,) float64 arrays
        Corpus mIoU and mean image IoU of the image oracle. The second never falls with m.
    corpus_oracle_miou, corpus_oracle_image_iou : (M,) float64 arrays
        The same of the corpus oracle. Its corpus mIoU never falls with m and is never below
        that of the image oracle.
    image_oracle_choice, corpus_oracle_choice : (M, N) int arrays
        The proposal that is taken for each image.
    """

    n_proposals: IntArray
    image_oracle_miou: FloatArray
    image_oracle_image_iou: FloatArray
    corpus_oracle_miou: FloatArray
    corpus_oracle_image_iou: FloatArray
    image_oracle_choice: IntArray
    corpus_oracle_choice: IntArray


def oracle_curve(intersections: IntArray, unions: IntArray, max_sweeps: int = 50) -> OracleCurve:
    """Oracle accuracy of the first 1, 2, .., M proposals of each image.

    The corpus oracle is coordinate ascent: images are visited in turn and each takes the
    proposal that is best for the corpus mIoU given the choices of all others, until a sweep
    changes nothing. For each number of proposals it starts from the image oracle and from its
    own choice with one proposal less, and keeps the better end. It is a lower bound on the best
    possible choice, and the same for the same input.

    Parameters
    ----------
    intersections, unions : (N, M, C) integer arrays
        Of the M proposals of N images, in the proposals' order. An image that has fewer can
        repeat one of them.
    max_sweeps : int
        Most sweeps of one ascent over all images; it ends earlier where nothing changes.

    Returns
    -------
    OracleCurve
        A class that is absent from the truth of all images and from the chosen proposals is
        left out of the mean; one that a choice brings in counts as 0.

    Raises
    ------
    InputError
        The arrays are not (N, M, C) integers with N, M and C at least 1, or their shapes differ.
        An intersection is negative or larger than its union.
        `max_sweeps` is below 1.
    """
    intersections, unions = np.asarray(intersections), np.asarray(unions)
    both = IntersectionUnion(intersections, unions)
    if unions.ndim != 3 or 0 in unions.shape:
        raise InputError(
            f"intersections and unions must have shape (N, M, C) without a 0, got {unions.shape}"
        )
    if max_sweeps < 1:
        raise InputError(f"max_sweeps must be at least 1, got {max_sweeps}")
    problem = AscentProblem.of(intersections, unions)
    inter, union = problem.intersections, problem.unions
    per_image = _running_argmax(np.nan_to_num(image_iou(both), nan=-1.0))
    per_corpus = np.empty_like(per_image)
    previous = per_image[0]
    for m in range(unions.shape[1]):
        starts = [per_image[m].copy()] if m == 0 else [previous.copy(), per_image[m].copy()]
        scores = [ascend(problem, start, m + 1, max_sweeps) for start in starts]
        previous = starts[int(np.argmax(scores))]
        per_corpus[m] = previous
    image_scores = [_scores(inter, union, choice) for choice in per_image]
    corpus_scores = [_scores(inter, union, choice) for choice in per_corpus]
    return OracleCurve(
        n_proposals=np.arange(1, unions.shape[1] + 1),
        image_oracle_miou=np.array([s[0] for s in image_scores]),
        image_oracle_image_iou=np.array([s[1] for s in image_scores]),
        corpus_oracle_miou=np.array([s[0] for s in corpus_scores]),
        corpus_oracle_image_iou=np.array([s[1] for s in corpus_scores]),
        image_oracle_choice=per_image,
        corpus_oracle_choice=per_corpus,
    )


def _running_argmax(values: FloatArray) -> IntArray:
    """Index of the first maximum among the first m + 1 columns of (N, M) values, as (M, N)."""
    best = np.maximum.accumulate(values, axis=1)
    is_new = np.ones(values.shape, dtype=bool)
    is_new[:, 1:] = values[:, 1:] > best[:, :-1]
    return np.maximum.accumulate(np.where(is_new, np.arange(values.shape[1]), 0), axis=1).T.copy()


def _scores(intersections: IntArray, unions: IntArray, choice: IntArray) -> tuple[float, float]:
    rows = np.arange(len(choice))
    chosen = IntersectionUnion(intersections[rows, choice], unions[rows, choice])
    return corpus_iou(chosen).mean, mean_image_iou(chosen)
