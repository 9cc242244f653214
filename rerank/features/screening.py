"""Columns that a ranker must not get: constant ones, and those that equal the quality."""

from __future__ import annotations

import numpy as np

from rerank.types import BoolArray, FloatArray, IntArray


def constant_columns(values: FloatArray, image_index: IntArray) -> BoolArray:
    """Whether each column has one value in all rows of each image.

    Parameters
    ----------
    values : (N, D) float
    image_index : (N,) int
        Image of each row, from 0. If it is all 0, a column must have one value in all rows.

    Returns
    -------
    (D,) bool
    """
    first = np.asarray(np.unique(image_index, return_index=True)[1])[image_index]
    # One column at a time: a table may fill half of the memory.
    return np.array([bool((column == column[first]).all()) for column in values.T], dtype=bool)


def leaking_columns(
    values: FloatArray, image_index: IntArray, quality: FloatArray, tolerance: float
) -> BoolArray:
    """Whether each column is a linear function of the quality.

    This holds over all rows, or after removing each image's mean from both. Fewer than four rows
    prove nothing.

    Parameters
    ----------
    values : (N, D) float
    image_index : (N,) int
        Image of each row, from 0.
    quality : (N,) float
    tolerance : float
        An absolute correlation of at least 1 - `tolerance` counts.

    Returns
    -------
    (D,) bool
    """
    if len(values) < 4:
        return np.zeros(values.shape[1], dtype=bool)
    counts = np.bincount(image_index)
    # As many free offsets as images: the centred rows must outnumber them to say anything.
    within = len(values) - len(counts) >= 3
    leaks = []
    for column in values.T:
        column = column.astype(np.float64)
        leaks.append(
            _correlated(column - column.mean(), quality - quality.mean(), tolerance)
            or (
                within
                and _correlated(
                    _centred(column, image_index, counts),
                    _centred(quality, image_index, counts),
                    tolerance,
                )
            )
        )
    return np.array(leaks, dtype=bool)


def _centred(values: FloatArray, index: IntArray, counts: IntArray) -> FloatArray:
    return values - (np.bincount(index, weights=values) / counts)[index]


def _correlated(values: FloatArray, target: FloatArray, tolerance: float) -> bool:
    scale = float(np.sqrt((values**2).sum() * (target**2).sum()))
    return scale > 0 and abs(float(values @ target)) >= (1 - tolerance) * scale
