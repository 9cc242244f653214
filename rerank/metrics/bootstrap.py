"""Bootstrap intervals of an IoU, or of the difference between two, over the draw of the images.

`scipy.stats.bootstrap` would gather the counts anew for each resample; here a resample is a weight
for each image, and a block of resamples one matrix product.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rerank.errors import InputError
from rerank.metrics.counts import IntersectionUnion
from rerank.metrics.iou import corpus_iou, image_iou, mean_image_iou
from rerank.types import FloatArray, IntArray, RandomState, as_generator
from rerank.validation import check_same_shape

_BLOCK = 512


@dataclass(frozen=True)
class Interval:
    """An estimate with its percentile interval, in IoU (a difference lies in [-1, 1]).

    Attributes
    ----------
    estimate : float
        The measure on the images as they are.
    low, high : float
        Ends of the interval; NaN where no resample drew a labelled pixel.
    confidence : float
        Share of resamples between the ends.
    """

    estimate: float
    low: float
    high: float
    confidence: float


def bootstrap_interval(
    both: IntersectionUnion,
    baseline: IntersectionUnion | None = None,
    measure: str = "corpus",
    n_resamples: int = 2000,
    confidence: float = 0.95,
    random_state: RandomState = 0,
    groups: IntArray | None = None,
) -> Interval:
    """Percentile bootstrap over images, of a measure or of a paired difference.

    Parameters
    ----------
    both : IntersectionUnion of (N, C) arrays
        Of the choice for each of N images.
    baseline : IntersectionUnion of (N, C) arrays, optional
        Of another choice for the same images in the same order. The interval is then that of
        the measure of `both` less that of `baseline`, each resample drawing the same images
        for the two.
    measure : str
        ``"corpus"``: corpus mIoU (`corpus_iou`). ``"image"``: mean image IoU
        (`mean_image_iou`). A class that a resample does not hold is left out of its mean.
    n_resamples : int
        At least 1.
    confidence : float in (0, 1)
        Share of the resamples that lie within the interval.
    random_state : int, Generator or None
    groups : (N,) integer array, optional
        Group of each image, such as its video, 0..G-1. Whole groups are then drawn with
        replacement instead of images (the cluster bootstrap, Davison & Hinkley 1997, section
        3.8), because images of one group are alike.

    Returns
    -------
    Interval

    Raises
    ------
    InputError
        The arrays are not (N, C) with N at least 1, or those of `baseline` have another shape.
        `groups` are not N integers of at least 0.
        No image holds a labelled pixel.
        `measure` is unknown, `n_resamples` below 1 or `confidence` outside (0, 1).

    Examples
    --------
    >>> import numpy as np
    >>> both = IntersectionUnion(np.array([[5, 1], [4, 4]]), np.array([[10, 2], [5, 5]]))
    >>> interval = bootstrap_interval(both, n_resamples=200)
    >>> round(interval.estimate, 3), round(interval.low, 3), round(interval.high, 3)
    (0.657, 0.5, 0.8)
    """
    if measure not in ("corpus", "image"):
        raise InputError(f"measure must be corpus or image, got {measure!r}")
    if n_resamples < 1:
        raise InputError(f"n_resamples must be at least 1, got {n_resamples}")
    if not 0.0 < confidence < 1.0:
        raise InputError(f"confidence must lie between 0 and 1, got {confidence}")
    if both.unions.ndim != 2 or 0 in both.unions.shape:
        raise InputError(f"unions must have shape (N, C) without a 0, got {both.unions.shape}")
    if baseline is not None:
        check_same_shape(both.unions, baseline.unions, "unions", "unions of the baseline")
    if not both.unions.any():
        raise InputError("no image holds a labelled pixel")

    point = _measure(both, measure)
    if baseline is not None:
        point -= _measure(baseline, measure)
    resampled = resampled_iou([(both, baseline)], measure, n_resamples, random_state, groups)
    # Where most images are void a resample can hold no labelled pixel; it says nothing.
    resampled = resampled[np.isfinite(resampled)]
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(resampled, [tail, 1.0 - tail]) if len(resampled) else (np.nan, np.nan)
    return Interval(float(point), float(low), float(high), confidence)


def resampled_iou(
    pairs: Sequence[tuple[IntersectionUnion, IntersectionUnion | None]],
    measure: str,
    n_resamples: int,
    random_state: RandomState = 0,
    groups: IntArray | None = None,
) -> FloatArray:
    """A measure, or a paired difference, on resamples of the images, averaged over repetitions.

    Parameters
    ----------
    pairs : sequence of (counts, counts or None)
        One pair a repetition, such as a seed; counts are (N, C) of the same N images. The second
        of a pair is subtracted. Each resample draws the same images for all.
    measure : {"corpus", "image"}
    n_resamples : int
    random_state : int, Generator or None
    groups : (N,) integer array, optional
        Groups that are drawn whole instead of images; see `bootstrap_interval`.

    Returns
    -------
    (n_resamples,) float64 array
        NaN where a resample holds no labelled pixel.

    Raises
    ------
    InputError
        `groups` are not N integers of at least 0.
    """
    statistic = _corpus_means if measure == "corpus" else _image_means
    rng = as_generator(random_state)
    unit = _units(groups, len(pairs[0][0].unions))
    n_units = int(unit.max()) + 1
    share = np.full(n_units, 1.0 / n_units)
    found = []
    for start in range(0, n_resamples, _BLOCK):
        drawn = rng.multinomial(n_units, share, size=min(_BLOCK, n_resamples - start))
        weights = drawn[:, unit]
        values = [
            statistic(first, weights) - (0.0 if second is None else statistic(second, weights))
            for first, second in pairs
        ]
        found.append(np.mean(values, axis=0))
    return np.concatenate(found)


def _units(groups: IntArray | None, n_images: int) -> IntArray:
    """What is drawn, for each image: the image itself, or its group; numbered without gaps."""
    if groups is None:
        return np.arange(n_images)
    given = np.asarray(groups)
    if given.shape != (n_images,) or not np.issubdtype(given.dtype, np.integer):
        raise InputError(
            f"groups must be {n_images} integers, one an image, got {given.dtype} of shape "
            f"{given.shape}"
        )
    if given.min() < 0:
        raise InputError(f"groups must be at least 0, found {int(given.min())}")
    return np.asarray(np.unique(given, return_inverse=True)[1])


def _measure(both: IntersectionUnion, measure: str) -> float:
    return corpus_iou(both).mean if measure == "corpus" else mean_image_iou(both)


def _corpus_means(both: IntersectionUnion, weights: IntArray) -> FloatArray:
    counts = weights.astype(np.float64)
    intersections = counts @ both.intersections.astype(np.float64)
    unions = counts @ both.unions.astype(np.float64)
    present = unions > 0
    ratios = np.where(present, intersections / np.where(present, unions, 1.0), 0.0)
    n_present = present.sum(axis=1)
    return np.where(n_present > 0, ratios.sum(axis=1) / np.maximum(n_present, 1), np.nan)


def _image_means(both: IntersectionUnion, weights: IntArray) -> FloatArray:
    per_image = image_iou(both)
    held = np.isfinite(per_image)
    counts = weights[:, held].astype(np.float64)
    drawn = counts.sum(axis=1)
    sums = counts @ per_image[held]
    return np.where(drawn > 0, sums / np.maximum(drawn, 1.0), np.nan)
