"""Rows of a feature table, standardised as they are drawn."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

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
        for part in np.array_split(rows, max(1, rows.size // 4096)):
            total += features[part].astype(np.float64).sum(axis=0)
        mean = total / rows.size
        for part in np.array_split(rows, max(1, rows.size // 4096)):
            squares += np.square(features[part].astype(np.float64) - mean).sum(axis=0)
        scale = np.sqrt(squares / rows.size)
        scale[scale <= 1e-7 * np.maximum(np.abs(mean), 1e-7)] = 1.0
        return cls(features, rows, mean.astype(np.float32), scale.astype(np.float32))

    def take(self, places: IntArray) -> FloatArray:
        """Return ``(x - mean) / scale`` at places of `rows`, (b, D) float32."""
        x = self.features[self.rows[places]].astype(np.float32, copy=False)
        x -= self.mean
        x /= self.scale
        return x
