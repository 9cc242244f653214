"""Counts of agreement between labelings of one image and others that could be the truth."""

from __future__ import annotations

import numpy as np

from rerank.errors import InputError
from rerank.metrics.counts import IntersectionUnion, check_n_classes, check_prediction
from rerank.types import Array


def pairwise_counts(
    labelings: Array, areas: Array, n_classes: int, truths: Array | None = None
) -> IntersectionUnion:
    """Intersections and unions of each labeling if another one were the truth.

    Parameters
    ----------
    labelings : (M, n) integer array
        Classes of the n regions, 0..C-1.
    areas : (n,) array
        Pixels of each region, whole numbers of at least 0.
    n_classes : int
        C.
    truths : (K, n) integer array, optional
        What could be the truth; the labelings themselves by default.

    Returns
    -------
    IntersectionUnion of (M, K, C) int64 arrays
        Entry [m, k] judges labeling m by truth k.

    Raises
    ------
    InputError
        If the labelings are not integers in 0..C-1, or not of as many regions as there are areas.
        If an area is negative.

    Examples
    --------
    >>> both = pairwise_counts(np.array([[0, 1], [0, 0]]), np.array([3, 2]), 2)
    >>> both.intersections[0, 1].tolist(), both.unions[0, 1].tolist()
    ([3, 0], [5, 2])
    """
    labelings, areas = np.asarray(labelings), np.asarray(areas)
    judging = labelings if truths is None else np.asarray(truths)
    check_n_classes(n_classes)
    for rows in (labelings,) if truths is None else (labelings, judging):
        if rows.ndim != 2 or areas.shape != rows.shape[1:]:
            raise InputError(
                f"labelings must be (M, n) with an area for each of the n regions, got shapes "
                f"{rows.shape} and {areas.shape}"
            )
        check_prediction(rows, n_classes)
    if areas.min(initial=0) < 0:
        raise InputError(f"areas must be at least 0, found {areas.min()}")
    # Products of float64 are exact here: an image has fewer than 2**53 pixels.
    weights = areas.astype(np.float64)
    shape = (len(labelings), len(judging), n_classes)
    intersections, unions = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    for k in np.union1d(labelings, judging):
        held = (labelings == k) * weights
        true = (judging == k).astype(np.float64)
        common = (held @ true.T).astype(np.int64)
        sizes = held.sum(axis=1).astype(np.int64)[:, None] + (true @ weights).astype(np.int64)
        intersections[..., k] = common
        unions[..., k] = sizes - common
    return IntersectionUnion(intersections, unions)
