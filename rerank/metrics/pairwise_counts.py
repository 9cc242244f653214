"""Counts of agreement between the labelings of one image, each taken as the truth of the others."""

from __future__ import annotations

import numpy as np

from rerank.errors import InputError
from rerank.metrics.counts import IntersectionUnion, check_n_classes, check_prediction
from rerank.types import Array


def pairwise_counts(labelings: Array, areas: Array, n_classes: int) -> IntersectionUnion:
    """Intersections and unions of each labeling if another one were the truth.

    Parameters
    ----------
    labelings : (M, n) integer array
        Classes of the n regions, 0..C-1.
    areas : (n,) array
        Pixels of each region, whole numbers of at least 0.
    n_classes : int
        C.

    Returns
    -------
    IntersectionUnion of (M, M, C) int64 arrays
        Entry [m, k] judges labeling m by labeling k. The arrays are symmetric in m and k.

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
    check_n_classes(n_classes)
    if labelings.ndim != 2 or areas.shape != labelings.shape[1:]:
        raise InputError(
            f"labelings must be (M, n) with an area for each of the n regions, got shapes "
            f"{labelings.shape} and {areas.shape}"
        )
    check_prediction(labelings, n_classes)
    if areas.min(initial=0) < 0:
        raise InputError(f"areas must be at least 0, found {areas.min()}")
    n_labelings = len(labelings)
    # Products of float64 are exact here: an image has fewer than 2**53 pixels.
    weights = areas.astype(np.float64)
    shape = (n_labelings, n_labelings, n_classes)
    intersections, unions = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    for k in np.unique(labelings):
        held = (labelings == k).astype(np.float64)
        common = ((held * weights) @ held.T).astype(np.int64)
        size = np.diagonal(common)
        intersections[..., k] = common
        unions[..., k] = size[:, None] + size[None, :] - common
    return IntersectionUnion(intersections, unions)
