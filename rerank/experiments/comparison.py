"""Rows of a table over several seeds: mean, spread, and paired tests against another row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from rerank.errors import InputError
from rerank.experiments.seed_result import SeedResult
from rerank.metrics import IntersectionUnion, corpus_iou, image_iou, mean_image_iou
from rerank.types import FloatArray

_BLOCK = 256

#: Mean IoU over classes with counts summed over all images, or the mean of the images' own.
Measure = Literal["corpus", "image"]


@dataclass(frozen=True)
class Spread:
    """A row over its seeds, in points (100 x IoU).

    Attributes
    ----------
    mean, deviation : float
        Over seeds, of the measure; the deviation has one degree of freedom less than there are
        seeds, and is NaN for one seed.
    per_seed : tuple of float
    per_class : (n_classes,) float array
        Means over seeds of the class's corpus-level IoU; NaN for a class that is absent from
        both truth and prediction with every seed.
    """

    mean: float
    deviation: float
    per_seed: tuple[float, ...]
    per_class: FloatArray


@dataclass(frozen=True)
class Gain:
    """What a row has over another, in points, on the same images with the same seeds.

    Attributes
    ----------
    mean : float
    low, high : float
        95% interval of the bootstrap over images, each resample drawing the same images for
        both rows and all seeds.
    p_images : float
        Two-sided, from the same resamples: twice the smaller share of them on one side of 0.
    p_seeds : float
        Two-sided paired t-test over seeds; NaN for one seed.
    """

    mean: float
    low: float
    high: float
    p_images: float
    p_seeds: float


def spread(outcomes: Sequence[SeedResult], measure: Measure = "corpus") -> Spread:
    """Sum up one row's outcomes, one a seed."""
    values = tuple(100 * _value(outcome.counts, measure) for outcome in outcomes)
    classes = 100 * np.array([corpus_iou(outcome.counts).per_class for outcome in outcomes])
    known = np.isfinite(classes)
    sums = np.where(known, classes, 0.0).sum(axis=0)
    per_class = np.where(known.any(axis=0), sums / np.maximum(known.sum(axis=0), 1), np.nan)
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
    return Spread(float(np.mean(values)), deviation, values, per_class)


def gain(
    outcomes: Sequence[SeedResult],
    baseline: Sequence[SeedResult],
    n_resamples: int = 2000,
    random_state: int = 0,
    measure: Measure = "corpus",
) -> Gain:
    """Compare a row with another, seed by seed and image by image.

    Parameters
    ----------
    outcomes, baseline : sequences of SeedResult
        One a seed, in the same order, of the same images in the same order.
    n_resamples : int
    random_state : int
    measure : {"corpus", "image"}

    Raises
    ------
    InputError
        If the numbers of seeds or the shapes of the counts differ.
    """
    if len(outcomes) != len(baseline) or not outcomes:
        raise InputError(f"{len(outcomes)} outcomes cannot be paired with {len(baseline)}")
    shapes = {outcome.counts.unions.shape for outcome in (*outcomes, *baseline)}
    if len(shapes) > 1:
        raise InputError(f"counts to be paired must be of one shape, got {sorted(shapes)}")
    differences = np.array(
        [
            100 * (_value(a.counts, measure) - _value(b.counts, measure))
            for a, b in zip(outcomes, baseline)
        ]
    )
    resampled = _resampled(outcomes, baseline, n_resamples, random_state, measure)
    low, high = np.quantile(resampled, [0.025, 0.975])
    sides = min((resampled <= 0).mean(), (resampled >= 0).mean())
    p_images = min(1.0, max(2 * float(sides), 1.0 / n_resamples))
    return Gain(
        float(differences.mean()), float(low), float(high), p_images, _paired_t(differences)
    )


def _value(counts: IntersectionUnion, measure: Measure) -> float:
    return mean_image_iou(counts) if measure == "image" else corpus_iou(counts).mean


def _resampled(
    outcomes: Sequence[SeedResult],
    baseline: Sequence[SeedResult],
    n_resamples: int,
    random_state: int,
    measure: Measure,
) -> FloatArray:
    weighted = _weighted_images if measure == "image" else _weighted_corpus
    rng = np.random.default_rng(random_state)
    n_images = len(outcomes[0].counts.unions)
    share = np.full(n_images, 1.0 / n_images)
    found = []
    for start in range(0, n_resamples, _BLOCK):
        draws = rng.multinomial(n_images, share, size=min(_BLOCK, n_resamples - start))
        weights = draws.astype(np.float64)
        found.append(
            np.mean(
                [
                    weighted(a.counts, weights) - weighted(b.counts, weights)
                    for a, b in zip(outcomes, baseline)
                ],
                axis=0,
            )
        )
    return 100 * np.concatenate(found)


def _weighted_images(counts: IntersectionUnion, weights: FloatArray) -> FloatArray:
    """Mean image IoU of each resample; an image without any class has none."""
    values = image_iou(counts)
    known = np.isfinite(values)
    means: FloatArray = weights @ np.where(known, values, 0.0) / np.maximum(weights @ known, 1)
    return means


def _weighted_corpus(counts: IntersectionUnion, weights: FloatArray) -> FloatArray:
    """Corpus mIoU of each resample, absent classes left out."""
    intersections = weights @ counts.intersections
    unions = weights @ counts.unions
    present = unions > 0
    ratios = np.where(present, intersections / np.where(present, unions, 1.0), 0.0)
    means: FloatArray = ratios.sum(axis=1) / np.maximum(present.sum(axis=1), 1)
    return means


def _paired_t(differences: FloatArray) -> float:
    if len(differences) < 2:
        return float("nan")
    error = differences.std(ddof=1) / np.sqrt(len(differences))
    if error == 0.0:
        return 1.0 if differences.mean() == 0.0 else 0.0
    return float(2 * stats.t.sf(abs(differences.mean() / error), len(differences) - 1))
