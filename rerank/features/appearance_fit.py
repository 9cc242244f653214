"""How uniform the colours and textures of each painted class are, and how distinct."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numba import njit

from rerank.errors import InputError
from rerank.features.feature_table import FeatureTable
from rerank.features.naming import class_names, scalar_names
from rerank.features.statistics import check_labels
from rerank.types import Array, FloatArray
from rerank.validation import check_finite

APPEARANCE_SCALARS = ("explained", "mean_separation", "least_separation")
APPEARANCE_FEATURES = ("separation", "uniformity")


def appearance_features(
    labelings: Array,
    areas: Array,
    region_values: Array,
    n_classes: int,
    value_names: tuple[str, ...],
    classes: tuple[str, ...],
    image_id: str = "",
) -> FeatureTable:
    """Statistics of regions' colours and textures inside of a class against outside.

    Each of the D values is first standardised over the image (weighted by area; a value that
    the whole image shares becomes 0). Class-free: `explained` variance, mean and least
    `separation`. A class: `separation` = root mean square over the values of the inside mean
    less the outside mean; `uniformity` = 1 - mean variance inside, in units of the image's.
    A class and value: `inside_<value>` = mean inside less mean outside, and `spread_<value>` =
    standard deviation inside. All are 0 for a class that is not painted, and differences are
    0 for one that fills the image.

    Parameters
    ----------
    labelings : (M, n) int
    areas : (n,) float, pixels
    region_values : (n, D) float
        Means over regions, such as colours and filter responses.
    n_classes : int
    value_names : tuple of D str
    classes : C names
    image_id : str

    Returns
    -------
    FeatureTable
        M rows, 3 + 2 C + 2 C D columns of group `proposal`.

    Raises
    ------
    InputError
        If shapes disagree or a value is not finite.
    """
    labels = np.ascontiguousarray(labelings)
    standard = _standardise(region_values, areas, image_id)
    if len(value_names) != standard.shape[1]:
        raise InputError(
            f"there are {len(value_names)} names for {standard.shape[1]} values of a region"
        )
    check_labels(labels, n_classes)
    moments = _class_moments(labels, np.asarray(areas, dtype=np.float64), standard, n_classes)
    columns = scalar_names("proposal", APPEARANCE_SCALARS) + class_names(
        "proposal", _appearance_names(value_names), classes
    )
    return FeatureTable.of_image(_appearance_kernel(*moments), columns, "proposal", image_id)


@lru_cache(maxsize=64)
def _appearance_names(value_names: tuple[str, ...]) -> tuple[str, ...]:
    """Features of a class: two, and two for every value of a region."""
    return APPEARANCE_FEATURES + tuple(
        f"{kind}_{value}" for kind in ("inside", "spread") for value in value_names
    )


def _standardise(region_values: Array, areas: Array, image_id: str = "") -> FloatArray:
    """(n, D) values with mean 0 and variance 1 over the image; 0 where there is no variance."""
    values = np.asarray(region_values, dtype=np.float64)
    if values.ndim != 2 or len(values) != len(areas):
        raise InputError(
            f"region_values {values.shape} and areas {np.shape(areas)} must be (n, D) and (n,)"
        )
    check_finite(values, "region_values", image_id)
    weights = np.asarray(areas, dtype=np.float64) / np.sum(areas)
    centred = values - weights @ values
    spread = np.sqrt(weights @ centred**2)
    flat = spread <= 1e-9 * np.maximum(1.0, np.abs(values).max(axis=0, initial=0.0))
    return np.ascontiguousarray(np.where(flat, 0.0, centred / np.where(flat, 1.0, spread)))


@njit(cache=True)
def _class_moments(
    labels: Array, areas: FloatArray, values: FloatArray, n_classes: int
) -> tuple[FloatArray, FloatArray]:
    """Sums of area * value and area * value^2, (M, C, D, 2), and areas, (M, C)."""
    n_proposals, n = labels.shape
    n_dims = values.shape[1]
    sums = np.zeros((n_proposals, n_classes, n_dims, 2))
    area = np.zeros((n_proposals, n_classes))
    weighted = np.empty((n, n_dims, 2))
    for i in range(n):
        for d in range(n_dims):
            weighted[i, d, 0] = areas[i] * values[i, d]
            weighted[i, d, 1] = areas[i] * values[i, d] * values[i, d]
    for m in range(n_proposals):
        for i in range(n):
            c = labels[m, i]
            area[m, c] += areas[i]
            for d in range(n_dims):
                sums[m, c, d, 0] += weighted[i, d, 0]
                sums[m, c, d, 1] += weighted[i, d, 1]
    return sums, area


@njit(cache=True)
def _appearance_kernel(sums: FloatArray, area: FloatArray) -> FloatArray:
    n_proposals, n, n_dims = sums.shape[:3]
    values = np.zeros((n_proposals, 3 + 2 * n + 2 * n * n_dims))
    for m in range(n_proposals):
        row = values[m]
        total = area[m].sum()
        n_painted = 0
        least = np.inf
        for c in range(n):
            a = area[m, c]
            if a == 0.0:
                continue
            n_painted += 1
            outside = total - a
            alone = outside <= 1e-9 * total
            distance = 0.0
            variance = 0.0
            for d in range(n_dims):
                mean = sums[m, c, d, 0] / a
                inner = max(sums[m, c, d, 1] / a - mean * mean, 0.0)
                # The image's mean is 0, so that what is outside sums to the negative.
                difference = 0.0 if alone else mean + sums[m, c, d, 0] / outside
                row[3 + (2 + d) * n + c] = difference
                row[3 + (2 + n_dims + d) * n + c] = np.sqrt(inner)
                row[0] += a * mean * mean / (total * n_dims)
                distance += difference * difference
                variance += inner
            if n_dims > 0:
                row[3 + c] = np.sqrt(distance / n_dims)
                row[3 + n + c] = 1.0 - variance / n_dims
            row[1] += row[3 + c]
            least = min(least, row[3 + c])
        row[1] /= n_painted
        if n_painted > 1:
            row[2] = least
    return values
