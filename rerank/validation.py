"""Checks of arrays, each with a message that says what was expected, what came, and where."""

from __future__ import annotations

import numpy as np

from rerank.errors import InputError
from rerank.types import VOID, Array


def check_finite(values: Array, name: str, where: str = "") -> None:
    """Refuse NaN and infinity.

    Parameters
    ----------
    values : float array of any shape
    name : str
        What the message calls it.
    where : str
        What the message begins with, such as a file or an image's id.

    Raises
    ------
    InputError
        If a value is not finite; it names the first.
    """
    finite = np.isfinite(values)
    if not finite.all():
        bad = np.argwhere(~finite)[0]
        at = ", ".join(str(int(b)) for b in bad)
        raise InputError(
            f"{_prefix(where)}{name} must be finite; {int((~finite).sum())} of {values.size} "
            f"values are not, the first at [{at}] is {values[tuple(bad)]}"
        )


def check_label_range(
    labels: Array, n_classes: int, ignore_index: int | None = VOID, where: str = ""
) -> None:
    """Refuse labels that are neither classes nor void.

    Parameters
    ----------
    labels : int array of any shape
    n_classes : int
        Classes are 0..n_classes-1.
    ignore_index : int or None
        The label of void; None where there is none.
    where : str
        What the message begins with, such as a file or an image's id.

    Raises
    ------
    InputError
        If `labels` are not integers.
        If a label is neither in 0..n_classes-1 nor `ignore_index`.
    """
    if not np.issubdtype(labels.dtype, np.integer):
        raise InputError(f"{_prefix(where)}labels must be integers, got {labels.dtype}")
    bad = (labels < 0) | (labels >= n_classes)
    if ignore_index is not None:
        bad &= labels != ignore_index
    if bad.any():
        found = ", ".join(str(int(v)) for v in np.unique(labels[bad])[:5])
        void = f" or {ignore_index} (void)" if ignore_index is not None else ""
        raise InputError(f"{_prefix(where)}labels must be 0..{n_classes - 1}{void}, found {found}")


def check_same_shape(
    left: Array, right: Array, left_name: str, right_name: str, where: str = ""
) -> None:
    """Refuse arrays of different shapes.

    Parameters
    ----------
    left, right : arrays
    left_name, right_name : str
        What the message calls them.
    where : str
        What the message begins with, such as a file or an image's id.

    Raises
    ------
    InputError
        If the shapes differ.
    """
    if left.shape != right.shape:
        raise InputError(
            f"{_prefix(where)}{left_name} has shape {left.shape} and {right_name} has shape "
            f"{right.shape}; they must be equal"
        )


def _prefix(where: str) -> str:
    return f"{where}: " if where else ""
