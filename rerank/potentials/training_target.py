"""Targets of the superpixel classifier: the superpixels drawn, and their weight by class."""

from __future__ import annotations

import numpy as np

from rerank.errors import InputError
from rerank.types import VOID, Array, FloatArray, IntArray, RandomState, as_generator
from rerank.validation import check_finite, check_label_range


def sample_superpixels(
    groups: IntArray,
    max_per_image: int,
    *,
    rows: IntArray | None = None,
    random_state: RandomState = None,
) -> IntArray:
    """Draw at most so many superpixels of each image.

    Parameters
    ----------
    groups : (n,) integer array
        Image of each superpixel.
    max_per_image : int
        At least 1.
    rows : (r,) integer array, optional
        Superpixels to draw from; all by default.
    random_state : int, numpy.random.Generator or None

    Returns
    -------
    (k,) int64
        Sorted rows, without repetition.

    Examples
    --------
    >>> sample_superpixels(np.array([0, 0, 0, 1]), 2, random_state=0).size
    3
    """
    rng = as_generator(random_state)
    groups = np.asarray(groups)
    shuffled = rng.permutation(np.arange(groups.size) if rows is None else np.asarray(rows))
    by_group = shuffled[np.argsort(groups[shuffled], kind="stable")]
    _, starts, counts = np.unique(groups[by_group], return_index=True, return_counts=True)
    place = np.arange(by_group.size) - np.repeat(starts, counts)
    return np.sort(by_group[place < max_per_image])


def class_counts(
    target: Array, n: int, sample_weight: Array | None, n_classes: int | None
) -> FloatArray:
    """Weighted class counts from counts or from one class each.

    Parameters
    ----------
    target : (n, C) or (n,) array
        Counts of each class, 0 or greater, or one class each, 0..C-1 or 255 for none.
    n : int
        Number of superpixels.
    sample_weight : (n,) array, optional
        Factors, 0 or greater.
    n_classes : int, optional
        C; by default the width of the counts, or the highest class plus 1.

    Returns
    -------
    (n, C) float64

    Raises
    ------
    InputError
        If the target or the weights are of another shape, not finite, or out of range.
    """
    target = np.asarray(target)
    if target.ndim not in (1, 2) or target.shape[0] != n:
        raise InputError(f"target must be ({n}, C) or ({n},), got shape {target.shape}")
    if target.ndim == 1:
        known = target != VOID
        if n_classes is None:
            n_classes = int(target[known].max(initial=0)) + 1
        check_label_range(target, n_classes)
        histogram = np.zeros((n, n_classes))
        histogram[known, target[known]] = 1
    else:
        histogram = target.astype(np.float64)
        check_finite(histogram, "target")
        if (histogram < 0).any():
            raise InputError(f"target must be 0 or greater, found {histogram.min()}")
        if n_classes is not None and target.shape[1] != n_classes:
            raise InputError(f"target must be ({n}, {n_classes}), got shape {target.shape}")
    if sample_weight is not None:
        sample_weight = np.asarray(sample_weight, dtype=np.float64)
        if sample_weight.shape != (n,) or not (sample_weight >= 0).all():
            raise InputError(
                f"sample_weight must be ({n},) numbers of 0 or greater, got shape "
                f"{sample_weight.shape}"
            )
        check_finite(sample_weight, "sample_weight")
        histogram = histogram * sample_weight[:, None]
    return histogram


def class_weights(histogram: FloatArray, balance: float) -> FloatArray:
    """Weights ``frequency ** -balance`` of the classes, with a mean of 1 over pixels.

    Parameters
    ----------
    histogram : (n, C) float array
        Weighted pixels of each class.
    balance : float
        0 or greater.

    Returns
    -------
    (C,) float64
        0 for an absent class.
    """
    frequency = histogram.sum(axis=0) / histogram.sum()
    weights = np.where(frequency > 0, np.maximum(frequency, 1e-12) ** -balance, 0.0)
    scaled: FloatArray = weights / (weights * frequency).sum()
    return scaled
