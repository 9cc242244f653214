"""Corpus IoU and mean image IoU of a choice of proposals, each with its interval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from rerank.datasets import Dataset
from rerank.metrics import (
    IntersectionUnion,
    Interval,
    bootstrap_interval,
    corpus_iou,
    mean_image_iou,
)
from rerank.types import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Resampled:
    """What a bootstrap draws of a set of images.

    Attributes
    ----------
    unit : str
        In words, in the plural.
    groups : (n_images,) int array or None
        The unit of each image; None where each image is one.
    """

    unit: str = "images"
    groups: IntArray | None = None

    def __str__(self) -> str:
        """In words, with how many there are where these are not the images themselves."""
        if self.groups is None:
            return self.unit
        return f"{len(np.unique(self.groups))} {self.unit}"

    def of(self, rows: IntArray) -> Resampled:
        """The same of some of the images."""
        return self if self.groups is None else Resampled(self.unit, self.groups[rows])


#: Each image is drawn by itself.
IMAGES = Resampled()


def resampled_images(dataset: Dataset) -> Resampled:
    """What a bootstrap draws of a data set: blocks of 5 s of video, or else images."""
    if not dataset.moments:
        return IMAGES
    return Resampled("blocks of 5 s of video", dataset.blocks(5.0))


@dataclass(frozen=True)
class Evaluation:
    """Measures of one labeling per image over a corpus.

    Attributes
    ----------
    name : str
        Name of the rule that chose.
    corpus_iou, image_iou : float
        Mean over classes of the corpus-level IoU; mean over images of the image's mean IoU.
    corpus_interval, image_interval : Interval or None
        Bootstrap intervals over images.
    corpus_gain, image_gain : Interval or None
        The paired difference to the baseline, with its interval; None for the baseline itself.
    corpus_network_gain, image_network_gain : Interval or None
        The paired difference to the labeling of the user's own network, where there is one.
    per_class : (n_classes,) float array
        Corpus-level IoU; NaN for a class that is in neither truth nor prediction.
    """

    name: str
    corpus_iou: float
    image_iou: float
    per_class: FloatArray
    corpus_interval: Interval | None = None
    image_interval: Interval | None = None
    corpus_gain: Interval | None = None
    image_gain: Interval | None = None
    corpus_network_gain: Interval | None = None
    image_network_gain: Interval | None = None

    def over_network(self, other: Evaluation) -> Evaluation:
        """The same with the gains of `other`, which was compared with the user's own network."""
        return replace(
            self, corpus_network_gain=other.corpus_gain, image_network_gain=other.image_gain
        )


def evaluate(
    name: str,
    counts: IntersectionUnion,
    baseline: IntersectionUnion | None = None,
    n_resamples: int = 1000,
    random_state: int = 0,
    groups: IntArray | None = None,
) -> Evaluation:
    """Measure one labeling per image, with intervals, and with its gain over a baseline.

    Parameters
    ----------
    name : str
    counts, baseline : IntersectionUnion
        Counts (n_images, n_classes) of the labelings, and of those that they are compared with,
        image by image.
    n_resamples : int
        Resamples of the bootstrap over images; 0 leaves the intervals out.
    random_state : int
    groups : (n_images,) int array, optional
        Groups of images, such as videos, that are resampled whole.

    Returns
    -------
    Evaluation
    """
    iou = corpus_iou(counts)
    found = Evaluation(name, iou.mean, mean_image_iou(counts), iou.per_class)
    if n_resamples == 0:
        return found
    intervals: dict[str, Interval | None] = {}
    for measure in ("corpus", "image"):
        intervals[f"{measure}_interval"] = bootstrap_interval(
            counts, None, measure, n_resamples, random_state=random_state, groups=groups
        )
        intervals[f"{measure}_gain"] = (
            None
            if baseline is None
            else bootstrap_interval(
                counts, baseline, measure, n_resamples, random_state=random_state, groups=groups
            )
        )
    return Evaluation(found.name, found.corpus_iou, found.image_iou, found.per_class, **intervals)


def evaluation_rows(evaluations: Mapping[str, Evaluation]) -> list[dict[str, object]]:
    """One flat row for each evaluation, in points (100 x IoU), for a CSV file.

    Gains over the user's own network stand before the others, where there is such a network.
    """
    rows: list[dict[str, object]] = []
    has_network = any(e.corpus_network_gain is not None for e in evaluations.values())
    kinds = ("interval", "network_gain", "gain") if has_network else ("interval", "gain")
    for evaluation in evaluations.values():
        row: dict[str, object] = {"rule": evaluation.name}
        for measure in ("corpus", "image"):
            row[f"{measure}_iou"] = _points(getattr(evaluation, f"{measure}_iou"))
            for kind in kinds:
                interval = getattr(evaluation, f"{measure}_{kind}")
                if kind != "interval":
                    row[f"{measure}_{kind}"] = (
                        "" if interval is None else _points(interval.estimate)
                    )
                for end in ("low", "high"):
                    row[f"{measure}_{kind}_{end}"] = (
                        "" if interval is None else _points(getattr(interval, end))
                    )
        rows.append(row)
    return rows


def _points(value: float) -> object:
    return "" if np.isnan(value) else round(100 * float(value), 3)
