"""Counts that a report adds up over images: confusion of classes, and how true beliefs are."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from rerank.types import Array, FloatArray, IntArray

#: Bins of a reliability diagram, of equal width.
N_BINS = 10
#: Largest cells of a confusion matrix that a page holds.
MOST_CELLS = 900


def label_beliefs(labelings: Array, weights: FloatArray, labels: Array) -> FloatArray:
    """Belief that the label of each region is right: the weight of the labelings that agree.

    Parameters
    ----------
    labelings : (S, n) int array
        Possible truths.
    weights : (S,) float array
        At least 0.
    labels : (n,) int array

    Returns
    -------
    (n,) float64 array
        In [0, 1].

    Examples
    --------
    >>> label_beliefs(np.array([[0, 1], [0, 2]]), np.array([0.75, 0.25]), np.array([0, 2])).tolist()
    [1.0, 0.25]
    """
    agree = labelings == labels
    return np.asarray(weights @ agree / weights.sum(), dtype=np.float64)


@dataclass
class Reliability:
    """Pixels by how sure their label is, and how many of them are right."""

    pixels: FloatArray = field(default_factory=lambda: np.zeros(N_BINS))
    right: FloatArray = field(default_factory=lambda: np.zeros(N_BINS))
    believed: FloatArray = field(default_factory=lambda: np.zeros(N_BINS))

    def add(self, beliefs: FloatArray, labels: Array, histogram: IntArray) -> None:
        """Count the labelled pixels of one image.

        Parameters
        ----------
        beliefs : (n,) float array
            In [0, 1], that the label of a region is right.
        labels : (n,) int array
        histogram : (n, C) int array
            Pixels of each class in each region.
        """
        places = np.minimum((np.asarray(beliefs) * N_BINS).astype(np.int64), N_BINS - 1)
        labelled = histogram.sum(axis=1)
        right = histogram[np.arange(len(labels)), labels]
        for total, values in (
            (self.pixels, labelled),
            (self.right, right),
            (self.believed, beliefs * labelled),
        ):
            total += np.bincount(places, weights=values, minlength=N_BINS)

    def merge(self, other: Reliability) -> None:
        """Add the counts of other images."""
        self.pixels += other.pixels
        self.right += other.right
        self.believed += other.believed

    @property
    def error(self) -> float:
        """Expected calibration error: mean over pixels of |belief - share right| of their bin."""
        total = self.pixels.sum()
        return float(np.abs(self.believed - self.right).sum() / total) if total else float("nan")

    def rows(self) -> list[list[float]]:
        """Mean belief, share that is right and share of all pixels, for each bin that has any."""
        held = np.flatnonzero(self.pixels)
        total = self.pixels.sum()
        return [
            [
                round(float(self.believed[k] / self.pixels[k]), 4),
                round(float(self.right[k] / self.pixels[k]), 4),
                round(float(self.pixels[k] / total), 5),
            ]
            for k in held
        ]


@dataclass
class Tally:
    """What a report adds up over a set of images, before and after the choice.

    Attributes
    ----------
    before, after : (C, C) int arrays
        Confusion counts of the labeling that is compared with, and of the choice; rows are truth.
    sure_before, sure_after : Reliability
        Of the class probabilities of regions, and of the beliefs in the choice.
    """

    before: IntArray
    after: IntArray
    sure_before: Reliability = field(default_factory=Reliability)
    sure_after: Reliability = field(default_factory=Reliability)

    @classmethod
    def empty(cls, n_classes: int) -> Tally:
        """Without an image."""
        return cls(
            np.zeros((n_classes, n_classes), np.int64), np.zeros((n_classes, n_classes), np.int64)
        )

    def merge(self, other: Tally) -> None:
        """Add the counts of other images."""
        self.before += other.before
        self.after += other.after
        self.sure_before.merge(other.sure_before)
        self.sure_after.merge(other.sure_after)


def confusion_cells(counts: IntArray) -> list[list[int]]:
    """A confusion matrix as (truth, prediction, pixels), the largest cells first.

    Parameters
    ----------
    counts : (C, C) int array

    Returns
    -------
    list of [int, int, int]
        Cells that hold a pixel, at most `MOST_CELLS`.
    """
    truth, prediction = np.nonzero(counts)
    pixels = counts[truth, prediction]
    order = np.argsort(-pixels, kind="stable")[:MOST_CELLS]
    cells = np.stack([truth, prediction, pixels], axis=1)[order]
    return [[int(v) for v in cell] for cell in cells]
