"""Rows of a table over several seeds: mean, spread, and paired tests against another row."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from rerank.datasets import Dataset
from rerank.errors import InputError
from rerank.experiments.seed_result import SeedResult
from rerank.metrics import IntersectionUnion, corpus_iou, mean_image_iou
from rerank.metrics.bootstrap import resampled_iou
from rerank.reports.evaluation import resampled_images
from rerank.types import FloatArray, IntArray

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
    """The difference of two rows, in points, on the same images with the same seeds.

    Attributes
    ----------
    mean : float
        Over seeds.
    low, high : float
        95% interval of the bootstrap over images, or over groups of alike images, each resample
        drawing the same for both rows and all seeds.
    p_images : float
        Two-sided p of the same resamples: twice the smaller share of them on one side of 0.
    p_seeds : float
        Two-sided p of the paired t-test over seeds; NaN for one seed.
    """

    mean: float
    low: float
    high: float
    p_images: float
    p_seeds: float


@dataclass(frozen=True, eq=False)
class Judged:
    """The images that a table is judged by, and what the bootstrap draws of them.

    Attributes
    ----------
    images : str
        How many, and of which split.
    unit : str
        What is drawn, in the plural.
    groups : (N,) int array or None
        The unit of each image; None where each image is one.
    """

    images: str = ""
    unit: str = "images"
    groups: IntArray | None = None

    @property
    def n_units(self) -> int | None:
        """How many units there are; None where images are drawn."""
        return None if self.groups is None else len(np.unique(self.groups))


def judged_images(dataset: Dataset, images: str) -> Judged:
    """The images of a data set as a table is judged by them: see `resampled_images`.

    Parameters
    ----------
    dataset : Dataset
        In the order in which its images are counted.
    images : str
        How many, and of which split.

    Returns
    -------
    Judged
    """
    drawn = resampled_images(dataset)
    return Judged(images, drawn.unit, drawn.groups)


def spread(results: Sequence[SeedResult], measure: Measure = "corpus") -> Spread:
    """Sum up one row's results, one for each seed.

    Parameters
    ----------
    results : sequence of SeedResult
    measure : {"corpus", "image"}

    Returns
    -------
    Spread
    """
    values = tuple(100 * _value(result.counts, measure) for result in results)
    classes = 100 * np.array([corpus_iou(result.counts).per_class for result in results])
    known = np.isfinite(classes)
    sums = np.where(known, classes, 0.0).sum(axis=0)
    per_class = np.where(known.any(axis=0), sums / np.maximum(known.sum(axis=0), 1), np.nan)
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
    return Spread(float(np.mean(values)), deviation, values, per_class)


def gain(
    results: Sequence[SeedResult],
    baseline: Sequence[SeedResult],
    n_resamples: int = 2000,
    random_state: int = 0,
    measure: Measure = "corpus",
    groups: IntArray | None = None,
) -> Gain:
    """Compare a row with another, seed by seed and image by image.

    Parameters
    ----------
    results, baseline : sequences of SeedResult
        One per seed, in the same order, of the same images in the same order.
    n_resamples : int
    random_state : int
    measure : {"corpus", "image"}
    groups : (N,) int array, optional
        Groups of images that are drawn whole; see `resampled_iou`.

    Returns
    -------
    Gain

    Raises
    ------
    InputError
        If the numbers of seeds or the shapes of the counts differ.
    """
    if len(results) != len(baseline) or not results:
        raise InputError(f"{len(results)} results cannot be paired with {len(baseline)}")
    shapes = {result.counts.unions.shape for result in (*results, *baseline)}
    if len(shapes) > 1:
        raise InputError(f"counts to be paired must be of one shape, got {sorted(shapes)}")
    first, second = (
        np.array([100 * _value(result.counts, measure) for result in row])
        for row in (results, baseline)
    )
    pairs = [(a.counts, b.counts) for a, b in zip(results, baseline)]
    resampled = 100 * resampled_iou(pairs, measure, n_resamples, random_state, groups)
    resampled = resampled[np.isfinite(resampled)]
    low, high = np.quantile(resampled, [0.025, 0.975])
    sides = min((resampled <= 0).mean(), (resampled >= 0).mean())
    p_images = min(1.0, max(2 * float(sides), 1.0 / n_resamples))
    mean = float((first - second).mean())
    return Gain(mean, float(low), float(high), p_images, _paired_t(first, second))


def _value(counts: IntersectionUnion, measure: Measure) -> float:
    return mean_image_iou(counts) if measure == "image" else corpus_iou(counts).mean


def _paired_t(first: FloatArray, second: FloatArray) -> float:
    differences = first - second
    if len(differences) < 2:
        return float("nan")
    if np.ptp(differences) == 0.0:  # the t statistic is 0 / 0 or infinite
        return 1.0 if differences[0] == 0.0 else 0.0
    with warnings.catch_warnings():  # about differences that are nearly equal: p is then nearly 0
        warnings.simplefilter("ignore", RuntimeWarning)
        return float(stats.ttest_rel(first, second).pvalue)
