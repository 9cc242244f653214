"""How alike two sets of labelings of one image are, such as candidate masks and annotations."""

from __future__ import annotations

import math

import numpy as np

from rerank.errors import InputError
from rerank.metrics.iou import image_iou
from rerank.metrics.pairwise_counts import pairwise_counts
from rerank.types import Array, BoolArray, FloatArray, IntArray
from rerank.validation import check_finite


def pairwise_image_iou(
    first: IntArray, second: IntArray, n_classes: int, valid: BoolArray | None = None
) -> FloatArray:
    """Mean IoU of each labeling of one set against each of another.

    Parameters
    ----------
    first : (M, H, W) integer array
        Labels 0..n_classes-1 at valid pixels.
    second : (K, H, W) integer array
    n_classes : int
    valid : (H, W) bool array, optional
        Pixels that are counted; all by default.

    Returns
    -------
    (M, K) float64 array
        The mean over the classes that either labeling holds; NaN where no pixel is valid.

    Raises
    ------
    InputError
        The shapes disagree, or a label is out of range.

    Examples
    --------
    >>> masks = np.array([[[0, 0, 1, 1]], [[0, 1, 1, 1]]])
    >>> pairwise_image_iou(masks, masks, n_classes=2).round(3)
    array([[1.   , 0.583],
           [0.583, 1.   ]])
    """
    first, second = np.asarray(first), np.asarray(second)
    if first.ndim != 3 or second.ndim != 3 or first.shape[1:] != second.shape[1:]:
        raise InputError(
            f"expected (M, H, W) and (K, H, W) labels of one size, got {first.shape} and "
            f"{second.shape}"
        )
    kept = np.ones(first.shape[1:], bool) if valid is None else np.asarray(valid, dtype=bool)
    if kept.shape != first.shape[1:]:
        raise InputError(f"valid must be {first.shape[1:]}, got {kept.shape}")
    pixels = np.ones(int(kept.sum()), dtype=np.int64)
    return image_iou(pairwise_counts(first[:, kept], pixels, n_classes, second[:, kept]))


def generalised_energy_distance(
    between: FloatArray,
    within: FloatArray,
    within_other: FloatArray,
    weights: FloatArray | None = None,
) -> float:
    """Squared generalised energy distance of two sets (Kohl et al. 2018).

    ``2 E d(S, Y) - E d(S, S') - E d(Y, Y')`` with S and S' drawn independently from the first set
    and Y and Y' from the other. With d = 1 - IoU it is 0 where both sets are the same
    distribution, and larger where the first set is less diverse than the other, more diverse, or
    elsewhere.

    Parameters
    ----------
    between : (M, K) float array
        Distances from each member of the first set to each of the other.
    within : (M, M) float array
        Distances within the first set; its diagonal counts.
    within_other : (K, K) float array
    weights : (M,) float array, optional
        Probability of each member of the first set, up to a factor; equal by default.

    Returns
    -------
    float

    Raises
    ------
    InputError
        The shapes disagree, a distance is not finite, or no weight is above 0.

    Examples
    --------
    >>> apart = np.array([[0.0, 1.0], [1.0, 0.0]])
    >>> generalised_energy_distance(apart, apart, apart)
    0.0
    >>> generalised_energy_distance(apart[:1], apart[:1, :1], apart)
    0.5
    """
    cross, own, other = (np.asarray(x, np.float64) for x in (between, within, within_other))
    m, k = cross.shape if cross.ndim == 2 else (0, 0)
    if not m or not k or own.shape != (m, m) or other.shape != (k, k):
        raise InputError(
            "expected distances (M, K), (M, M) and (K, K), got "
            f"{cross.shape}, {own.shape} and {other.shape}"
        )
    for values, name in ((cross, "between"), (own, "within"), (other, "within_other")):
        check_finite(values, name)
    share = np.ones(m) if weights is None else np.asarray(weights, dtype=np.float64)
    if share.shape != (m,) or (share < 0).any() or not 0 < share.sum() < np.inf:
        raise InputError(f"weights must be ({m},), at least 0, and not all 0")
    share = share / share.sum()
    return float(2 * share @ cross.mean(axis=1) - share @ own @ share - other.mean())


def matched_iou(similarity: FloatArray) -> float:
    """Hungarian-matched IoU of two sets (Kohl et al. 2019).

    Each set is repeated until both have the same size, the least common multiple of theirs; the
    members are then paired so that the mean IoU is as large as possible.

    Parameters
    ----------
    similarity : (M, K) float array
        IoU of each member of one set with each of the other.

    Returns
    -------
    float
        In [0, 1]; 1 where the sets are the same, with the same shares.

    Raises
    ------
    InputError
        If the array is not (M, K), or a value is not finite.

    Examples
    --------
    >>> matched_iou(np.array([[1.0, 0.2], [0.9, 0.3]]))
    0.65
    """
    # It takes long to import, and few need it.
    from scipy.optimize import linear_sum_assignment

    table = np.asarray(similarity, dtype=np.float64)
    if table.ndim != 2 or 0 in table.shape:
        raise InputError(f"similarity must be (M, K) with a member in each set, got {table.shape}")
    check_finite(table, "similarity")
    size = math.lcm(*table.shape)
    repeated = np.repeat(np.repeat(table, size // table.shape[0], 0), size // table.shape[1], 1)
    rows, columns = linear_sum_assignment(repeated, maximize=True)
    return float(repeated[rows, columns].mean())


def mean_distance(within: Array) -> float:
    """Mean distance between two different members of a set; 0 for a set of one.

    Parameters
    ----------
    within : (M, M) float array
    """
    table = np.asarray(within, dtype=np.float64)
    m = len(table)
    return float((table.sum() - np.trace(table)) / (m * (m - 1))) if m > 1 else 0.0
