"""One proposal per image, chosen for all images together: the highest expected corpus IoU.

Corpus IoU divides sums over images, so that what an image's proposal is worth depends on what the
other images take.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from rerank.errors import InputError
from rerank.metrics import IntersectionUnion
from rerank.metrics.coordinate_ascent import AscentProblem, ascend
from rerank.ranking.corpus_bound import bound_corpus
from rerank.types import Array, FloatArray, IntArray
from rerank.validation import check_finite, check_same_shape


class ExpectedCounts(NamedTuple):
    """Expected pixels under beliefs about the truth.

    Attributes
    ----------
    intersections, unions : (..., M, C) float64 arrays
        Of each of M proposals and the unknown truth, by class.
    """

    intersections: FloatArray
    unions: FloatArray


class CorpusChoice(NamedTuple):
    """A joint choice and how good it can be at most.

    Attributes
    ----------
    choice : (N,) int64 array
        The proposal of each image.
    expected_iou : float
        Corpus IoU of the choice: ratio of expected sums, mean over classes, in [0, 1].
    upper_bound : float
        No choice has a higher one.
    gap : float
        ``upper_bound - expected_iou``; 0 where the choice is proved best.
    """

    choice: IntArray
    expected_iou: float
    upper_bound: float
    gap: float


def proposal_beliefs(scores: Any, temperature: float = 0.3) -> FloatArray:
    """Probability of each proposal to be the truth, if one of them is: a softmax of scores.

    Parameters
    ----------
    scores : array-like of shape (..., M)
        Higher is better; -infinity where an image has fewer proposals.
    temperature : float
        Above 0, in units of the standard deviation of the image's scores. Small: only the best
        counts. Large: all count the same.

    Returns
    -------
    (..., M) float64 array
        Sums to 1 for each image.

    Raises
    ------
    InputError
        If `temperature` is not above 0, or an image has no finite score.

    Examples
    --------
    >>> proposal_beliefs([[0.0, 1.0]], temperature=1.0).round(3)
    array([[0.119, 0.881]])
    """
    table = np.asarray(scores, dtype=np.float64)
    present = np.isfinite(table)
    if not np.isfinite(temperature) or temperature <= 0:
        raise InputError(f"temperature must be a finite number above 0, got {temperature!r}")
    if (
        table.ndim == 0
        or not present.any(axis=-1).all()
        or not (present | np.isneginf(table)).all()
    ):
        raise InputError("scores must be finite, or -infinity, with a finite one in each image")
    spread = np.std(np.where(present, table, 0.0), axis=-1, where=present, keepdims=True)
    unit = temperature * np.where(spread > 0, spread, 1.0)
    mass = np.exp((table - table.max(axis=-1, keepdims=True)) / unit)
    beliefs: FloatArray = mass / mass.sum(axis=-1, keepdims=True)
    return beliefs


def expected_counts(
    pairs: IntersectionUnion,
    beliefs: Any,
    marginal: ExpectedCounts | None = None,
    marginal_share: float = 0.0,
) -> ExpectedCounts:
    """Expected intersections and unions of an image's proposals with the unknown truth.

    The truth is each proposal n with the probability of `beliefs`:
    ``sum_n p_n |m and n|`` and ``sum_n p_n |m or n|`` for each class, as in minimum Bayes risk.

    Parameters
    ----------
    pairs : IntersectionUnion of (M, M, C) arrays
        `rerank.metrics.pairwise_counts`: proposal m judged by proposal n.
    beliefs : array-like of shape (M,)
        Probability of each proposal to be the truth; sums to 1.
    marginal : ExpectedCounts of (M, C) arrays, optional
        The same under class probabilities of regions (`marginal_counts`).
    marginal_share : float
        Weight of `marginal`, in [0, 1].

    Returns
    -------
    ExpectedCounts
        (M, C) arrays.

    Raises
    ------
    InputError
        If shapes do not match, `beliefs` are no probabilities, or a share is given without
        `marginal` or outside [0, 1].
    """
    p = np.asarray(beliefs, dtype=np.float64)
    if pairs.unions.ndim != 3 or p.shape != pairs.unions.shape[1:2]:
        raise InputError(
            f"beliefs must be (M,) for pairs of (M, M, C), got {p.shape} and {pairs.unions.shape}"
        )
    if not np.isfinite(p).all() or (p < 0).any() or abs(p.sum() - 1) > 1e-6:
        raise InputError("beliefs must be probabilities that sum to 1")
    if not 0 <= marginal_share <= 1 or (marginal is None and marginal_share > 0):
        raise InputError("marginal_share must be in [0, 1], and 0 without marginal counts")
    inter = np.einsum("mnc,n->mc", pairs.intersections, p)
    union = np.einsum("mnc,n->mc", pairs.unions, p)
    if marginal is None:
        return ExpectedCounts(inter, union)
    check_same_shape(union, marginal.unions, "expected unions", "marginal unions")
    own = 1.0 - marginal_share
    return ExpectedCounts(
        own * inter + marginal_share * marginal.intersections,
        own * union + marginal_share * marginal.unions,
    )


def marginal_counts(labelings: Array, areas: Array, region_probabilities: Any) -> ExpectedCounts:
    """Expected counts if the class of each region were drawn from its probabilities.

    Parameters
    ----------
    labelings : (M, n) integer array
        Classes of the n regions.
    areas : (n,) array
        Pixels of each region.
    region_probabilities : array-like of shape (n, C)
        Class probabilities of each region; rows sum to 1.

    Returns
    -------
    ExpectedCounts
        (M, C) arrays.

    Raises
    ------
    InputError
        If shapes do not match.
    """
    p = np.asarray(region_probabilities, dtype=np.float64)
    labelings, weights = np.asarray(labelings), np.asarray(areas, dtype=np.float64)
    if p.ndim != 2 or labelings.ndim != 2 or weights.shape != p.shape[:1]:
        raise InputError("region_probabilities must be (n, C), with an area for each region")
    if labelings.shape[1] != len(p):
        raise InputError(f"labelings must be (M, {len(p)}), got {labelings.shape}")
    expected = p * weights[:, None]
    total, n_classes = expected.sum(axis=0), p.shape[1]
    held = labelings[..., None] == np.arange(n_classes)
    inter = np.einsum("mnc,nc->mc", held, expected)
    size = np.einsum("mnc,n->mc", held, weights)
    return ExpectedCounts(inter, total + size - inter)


def choose_corpus(
    intersections: Any,
    unions: Any,
    starts: Sequence[Any] = (),
    max_nodes: int = 1,
    max_sweeps: int = 50,
) -> CorpusChoice:
    """Choose one proposal per image for the highest corpus IoU of counts or expected counts.

    Coordinate ascent from several starts: the proposals of the highest image IoU, those of the
    highest gain in corpus IoU to first order, the first ones, and `starts`. Then `max_nodes`
    nodes of branch and bound give an upper bound and better starts.

    Parameters
    ----------
    intersections, unions : array-like of shape (N, M, C)
        Counts or expected counts (`expected_counts`) of the M proposals of N images. An image that
        has fewer can repeat one of them.
    starts : sequence of (N,) int arrays
        Further choices to start from, such as the best scores.
    max_nodes : int
        0 for no bound: `upper_bound` is 1 then. 1 bounds all choices at once. More bring bound and
        choice together, on small problems until the choice is proved best.
    max_sweeps : int
        Most sweeps of one ascent over all images.

    Returns
    -------
    CorpusChoice

    Raises
    ------
    InputError
        If shapes do not match, a count is NaN, infinite or negative, an intersection exceeds its
        union, a start is no choice, or a number is out of range.

    Examples
    --------
    >>> intersections = [[[5.0, 0.0], [4.0, 3.0]], [[9.0, 1.0], [9.0, 0.0]]]
    >>> unions = [[[10.0, 6.0], [10.0, 6.0]], [[10.0, 4.0], [12.0, 3.0]]]
    >>> found = choose_corpus(intersections, unions, max_nodes=50)
    >>> found.choice.tolist(), round(found.expected_iou, 3), round(found.gap, 3)
    ([1, 0], 0.525, 0.0)
    """
    inter, union = np.asarray(intersections), np.asarray(unions)
    _check_counts(inter, union)
    if max_nodes < 0 or max_sweeps < 1:
        raise InputError("max_nodes must be at least 0 and max_sweeps at least 1")
    problem = AscentProblem.of(inter, union)
    n_images, n_proposals = union.shape[:2]
    best, value = np.zeros(n_images, dtype=np.int64), -1.0
    for start in [*_own_starts(problem), *starts]:
        choice = np.array(start, dtype=np.int64)
        if choice.shape != (n_images,) or choice.min() < 0 or choice.max() >= n_proposals:
            raise InputError(f"a start must hold {n_images} proposals in 0..{n_proposals - 1}")
        reached = ascend(problem, choice, n_proposals, max_sweeps)
        if reached > value + 1e-13:
            best, value = choice, reached
    if max_nodes == 0:
        return CorpusChoice(best, problem.score(best), 1.0, 1.0 - problem.score(best))
    found = bound_corpus(problem, best, max_nodes)
    return CorpusChoice(
        found.choice, found.value, found.upper_bound, found.upper_bound - found.value
    )


def _own_starts(problem: AscentProblem) -> list[IntArray]:
    inter, union = problem.intersections, problem.unions
    present = union > 0
    ratios = np.where(present, inter / np.where(present, union, 1), 0.0)
    per_image = (ratios.sum(axis=2) / np.maximum(present.sum(axis=2), 1)).argmax(axis=1)
    first = np.zeros(len(union), dtype=np.int64)
    rows = np.arange(len(union))
    total = union[rows, per_image].sum(axis=0)
    held = total > problem.least
    iou = inter[rows, per_image].sum(axis=0)[held] / total[held]
    gains = ((inter[..., held] - iou * union[..., held]) / total[held]).sum(axis=2)
    return [per_image, gains.argmax(axis=1), first]


def _check_counts(inter: Array, union: Array) -> None:
    check_same_shape(inter, union, "intersections", "unions")
    if union.ndim != 3 or 0 in union.shape:
        raise InputError(
            f"intersections and unions must have shape (N, M, C) without a 0, got {union.shape}"
        )
    check_finite(inter, "intersections")
    check_finite(union, "unions")
    # Expected counts are sums of fractions: rounding may lift one over the other.
    if inter.min() < 0 or (inter > union * (1 + 1e-9) + 1e-6).any():
        raise InputError("intersections must lie between 0 and their unions")
