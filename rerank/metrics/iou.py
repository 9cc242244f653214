"""Intersection over union from counts, under a named rule for absent classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rerank.errors import InputError
from rerank.metrics.counts import IntersectionUnion, intersection_union
from rerank.types import Array, FloatArray, IntArray

#: The meanings of IoU that `iou_from_counts` knows.
IOU_SEMANTICS = ("voc_devkit", "torchmetrics_macro", "per_image")


@dataclass(frozen=True, eq=False)
class IoU:
    """Intersection over union. `np.asarray(iou)` is `per_class`, `float(iou)` is `mean`.

    Attributes
    ----------
    per_class : (C,) float64 array
        IoU of each class, in [0, 1]; what an absent class gets depends on the semantics.
    mean : float
        Their mean as the semantics define it, in [0, 1]; NaN where nothing was counted.
    """

    per_class: FloatArray
    mean: float

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if copy is False:
            return self.per_class.astype(dtype or np.float64, copy=False)
        return np.array(self.per_class, dtype=dtype)

    def __float__(self) -> float:
        return self.mean


def iou_from_counts(counts: IntArray, semantics: str = "voc_devkit") -> IoU:
    """Intersection over union per class and its mean.

    Parameters
    ----------
    counts : (C, C) or (N, C, C) integer array
        Confusion counts of a corpus, or one for each of N images; rows are the truth.
    semantics : str
        ``"voc_devkit"``: counts are summed over images and divided once, as the PASCAL devkit
        does. A class that is absent from truth and prediction has NaN. The devkit's own mean
        is then NaN too; ours is the mean over the other classes. A class that is predicted but
        never true counts as 0 in both.
        ``"torchmetrics_macro"``: the same sums; an absent class has 0, as in torchmetrics'
        ``MulticlassJaccardIndex`` without averaging, and is left out of the mean, as in its
        macro average.
        ``"per_image"``: within each image, the mean over the classes that are in its truth or
        prediction; `mean` is the mean of that over images, and `per_class` the mean over those
        images that hold the class (NaN for a class that none holds). Images without a labelled
        pixel are left out.

    Returns
    -------
    IoU

    Raises
    ------
    InputError
        `counts` are not (C, C) or (N, C, C) integers that are at least 0.
        `semantics` is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> iou = iou_from_counts(np.array([[6, 2, 0], [0, 4, 0], [0, 0, 0]]))
    >>> iou.per_class.round(3), round(iou.mean, 3)
    (array([0.75 , 0.667,   nan]), 0.708)
    """
    counts = np.asarray(counts)
    if counts.ndim not in (2, 3):
        raise InputError(f"counts must have shape (C, C) or (N, C, C), got {counts.shape}")
    both = intersection_union(counts.reshape((-1,) + counts.shape[-2:]))
    if semantics == "voc_devkit":
        return corpus_iou(both)
    if semantics == "torchmetrics_macro":
        iou = corpus_iou(both)
        return IoU(np.nan_to_num(iou.per_class, nan=0.0), iou.mean)
    if semantics == "per_image":
        per_class = _mean_of_present(_ratios(both), axis=0)
        return IoU(per_class, mean_image_iou(both))
    raise InputError(f"semantics must be one of {', '.join(IOU_SEMANTICS)}, got {semantics!r}")


def corpus_iou(both: IntersectionUnion) -> IoU:
    """IoU of a corpus: sums over images, divided once (``"voc_devkit"`` of `iou_from_counts`).

    Parameters
    ----------
    both : IntersectionUnion of (N, C) or (C,) arrays

    Returns
    -------
    IoU
        NaN for a class that is absent from truth and prediction; the mean is over the others.
    """
    n_classes = both.unions.shape[-1]
    total = IntersectionUnion(
        both.intersections.reshape(-1, n_classes).sum(axis=0),
        both.unions.reshape(-1, n_classes).sum(axis=0),
    )
    per_class = _ratios(total)
    return IoU(per_class, float(_mean_of_present(per_class, axis=0)))


def image_iou(both: IntersectionUnion) -> FloatArray:
    """IoU of each image: the mean over the classes that are in its truth or its prediction.

    Parameters
    ----------
    both : IntersectionUnion of (..., C) arrays

    Returns
    -------
    (...) float64 array
        NaN where an image holds no labelled pixel.
    """
    if both.unions.ndim <= 2:
        return _mean_of_present(_ratios(both), axis=-1)
    # Image by image: ratios take eight bytes a count.
    found = np.empty(both.unions.shape[:-1])
    for place, pair in enumerate(zip(both.intersections, both.unions)):
        found[place] = image_iou(IntersectionUnion(*pair))
    return found


def mean_image_iou(both: IntersectionUnion) -> float:
    """Mean of `image_iou` over the images that hold a labelled pixel; NaN where none does.

    Parameters
    ----------
    both : IntersectionUnion of (N, C) arrays
    """
    return float(_mean_of_present(image_iou(both).ravel(), axis=0))


def _ratios(both: IntersectionUnion) -> FloatArray:
    present = both.unions > 0
    ratios = both.intersections / np.where(present, both.unions, 1)
    return np.where(present, ratios, np.nan)


def _mean_of_present(values: FloatArray, axis: int) -> FloatArray:
    """`np.nanmean` without its warning where nothing is present."""
    present = np.isfinite(values)
    n_present = present.sum(axis=axis)
    sums = np.where(present, values, 0.0).sum(axis=axis)
    return np.where(n_present > 0, sums / np.maximum(n_present, 1), np.nan)
