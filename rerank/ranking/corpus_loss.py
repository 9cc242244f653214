"""Quality of a proposal for the corpus: intersection over union, linearised."""

from __future__ import annotations

from typing import Any

import numpy as np

from rerank.errors import InputError
from rerank.ranking.image_rows import image_rows
from rerank.types import FloatArray
from rerank.validation import check_finite, check_same_shape


def corpus_quality(
    intersections: Any, unions: Any, groups: Any, baseline: Any, class_weights: Any | None = None
) -> FloatArray:
    """Gain in corpus IoU, to first order, of taking a proposal in place of the image's baseline.

    Corpus IoU is a ratio of sums over images, so that the gain of a proposal depends on the other
    images. The baselines, one proposal per image, have the sums I_k and U_k and
    IoU_k = I_k / U_k. A proposal that changes these by dI_k and dU_k changes the mean IoU by

        mean_k (dI_k - IoU_k dU_k) / U_k

    to first order. The values are of the order of 1 / n_images; scale them for a ranker with a
    margin (`StructuredRankSVM(scale_loss=True)`).

    Parameters
    ----------
    intersections, unions : array-like of shape (N, K)
        Pixels of each class in the intersection and in the union of proposal and ground truth.
    groups : array-like of shape (N,)
        Image of each proposal.
    baseline : array-like of shape (n_images,), integer
        Row of each image's baseline (its MAP or chosen proposal), images in order of their first
        appearance in `groups`.
    class_weights : array-like of shape (K,), optional
        Weight of each class in the mean, 0 or more; without it all weigh the same.

    Returns
    -------
    ndarray of shape (N,), float64
        0 for the baseline itself. A class whose union is 0 over the baseline corpus is absent: it
        does not count, neither in the sum nor in the mean.

    Raises
    ------
    InputError
        Where shapes do not match, a count is negative, NaN or infinite, an intersection exceeds
        its union, a baseline row is not of its image, or no class is present with weight.

    Examples
    --------
    >>> intersections = np.array([[50.0], [60.0]])
    >>> unions = np.array([[100.0], [100.0]])
    >>> corpus_quality(intersections, unions, [0, 0], [0])
    array([0. , 0.1])
    """
    inter, union = np.asarray(intersections, np.float64), np.asarray(unions, np.float64)
    if inter.ndim != 2:
        raise InputError(f"intersections must have shape (N, K), got {inter.shape}")
    check_same_shape(inter, union, "intersections", "unions")
    check_finite(inter, "intersections")
    check_finite(union, "unions")
    if (inter < 0).any() or (inter > union).any():
        row, column = np.argwhere((inter < 0) | (inter > union))[0]
        raise InputError(
            f"counts must hold 0 <= intersection <= union; in row {row}, class {column} they are "
            f"{inter[row, column]} and {union[row, column]}"
        )
    images = image_rows(groups, len(inter))
    image = images.restored(images.image_of_row())
    chosen = np.asarray(baseline)
    if chosen.shape != (images.n_images,) or chosen.dtype.kind not in "iu":
        raise InputError(
            f"baseline must hold one row for each of the {images.n_images} images, "
            f"got shape {chosen.shape} of {chosen.dtype}"
        )
    if (chosen < 0).any() or (chosen >= len(inter)).any():
        raise InputError(f"baseline must hold rows in 0..{len(inter) - 1}")
    foreign = np.flatnonzero(image[chosen] != np.arange(images.n_images))
    if len(foreign):
        raise InputError(
            f"baseline row {chosen[foreign[0]]} is not of image "
            f"{images.ids[foreign[0]]!r}; images go in order of first appearance"
        )
    weights = _class_weights(class_weights, inter.shape[1])
    total_inter, total_union = inter[chosen].sum(axis=0), union[chosen].sum(axis=0)
    weights = np.where(total_union > 0, weights, 0.0)
    if weights.sum() == 0:
        raise InputError("no class is present in the baseline corpus with a weight above 0")
    share = weights / weights.sum()
    present = share > 0
    iou = total_inter[present] / total_union[present]
    gain = share[present] / total_union[present]
    change_inter = (inter - inter[chosen[image]])[:, present]
    change_union = (union - union[chosen[image]])[:, present]
    return np.asarray((change_inter - iou * change_union) @ gain)


def _class_weights(class_weights: Any | None, n_classes: int) -> FloatArray:
    if class_weights is None:
        return np.ones(n_classes)
    weights = np.asarray(class_weights, dtype=np.float64)
    if weights.shape != (n_classes,) or not np.isfinite(weights).all() or (weights < 0).any():
        raise InputError(
            f"class_weights must be {n_classes} finite numbers of 0 or more, got {class_weights!r}"
        )
    return weights
