"""Rows of a feature table, standardised as they are drawn."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from rerank.types import FloatArray, IntArray


class StandardisedRows(NamedTuple):
    """Rows (r,) of features (n, D), standardised with mean and scale (D,) as they are drawn."""

    features: FloatArray
    rows: IntArray
    mean: FloatArray
    scale: FloatArray

    @classmethod
    def of(cls, features: FloatArray, rows: IntArray) -> StandardisedRows:
        """Measure mean and standard deviation of each feature over rows.

        In float64 and in passes of bounded size: scikit-learn's `StandardScaler` would copy the
        features as a whole.

        Parameters
        ----------
        features : (n, D) float array
        rows : (r,) integer array
            At least one.

        Returns
        -------
        StandardisedRows
            A constant feature has scale 1.
        """
        total = np.zeros(features.shape[1])
        squares = np.zeros(features.shape[1])
        parts = np.array_split(rows, max(1, rows.size // 4096))
        # Compiled code knows no half precision.
        kind = np.float32 if features.dtype == np.float16 else features.dtype
        for part in parts:
            _add_values(features[part].astype(kind, copy=False), total)
        mean = total / rows.size
        for part in parts:
            _add_squares(features[part].astype(kind, copy=False), mean, squares)
        scale = np.sqrt(squares / rows.size)
        scale[scale <= 1e-7 * np.maximum(np.abs(mean), 1e-7)] = 1.0
        return cls(features, rows, mean.astype(np.float32), scale.astype(np.float32))

    def take(self, places: IntArray) -> FloatArray:
        """Return ``(x - mean) / scale`` at places of `rows`, (b, D) float32."""
        rows = self.rows[places]
        if self.features.dtype == np.float32:
            x = np.empty((rows.size, self.features.shape[1]), np.float32)
            _take(self.features, rows, self.mean, self.scale, x)
            return x
        x = self.features[rows].astype(np.float32, copy=False)
        x -= self.mean
        x /= self.scale
        return x


@njit(cache=True, error_model="numpy")
def _take(
    features: FloatArray, rows: IntArray, mean: FloatArray, scale: FloatArray, x: FloatArray
) -> None:
    for i in range(rows.size):
        row = rows[i]
        for column in range(mean.size):
            x[i, column] = (features[row, column] - mean[column]) / scale[column]


@njit(cache=True)
def _add_values(block: FloatArray, sums: FloatArray) -> None:
    for i in range(block.shape[0]):
        for column in range(block.shape[1]):
            sums[column] += np.float64(block[i, column])


@njit(cache=True)
def _add_squares(block: FloatArray, mean: FloatArray, squares: FloatArray) -> None:
    for i in range(block.shape[0]):
        for column in range(block.shape[1]):
            distance = np.float64(block[i, column]) - mean[column]
            squares[column] += distance * distance
