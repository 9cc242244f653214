"""Colour and texture inside of each class against the rest of the image."""

from __future__ import annotations

import numpy as np
from numba import njit

from rerank.errors import InputError
from rerank.features.naming import class_names, scalar_names
from rerank.features.table import FeatureTable
from rerank.types import Array, FloatArray
from rerank.validation import check_finite

APPEARANCE_SCALARS = ("explained", "mean_separation", "least_separation")
APPEARANCE_FEATURES = ("separation", "uniformity")


def appearance_scalars(sums: FloatArray, area: FloatArray) -> FloatArray:
    """(M, 3) class-free features from `class_moments`, as `APPEARANCE_SCALARS` names them.

    `explained` = share of the variance of the regions' values that lies between the classes;
    `mean_separation` and `least_separation` over the painted classes (see
    `appearance_features`), 0 for a proposal of one class.
    """
    total = area.sum(axis=1)
    n_dims = sums.shape[2]
    means = sums[:, :, :, 0] / np.where(area > 0, area, 1.0)[:, :, None]
    explained = np.einsum("mc,mcd->m", area, means ** 2) / (total * max(n_dims, 1))
    separation = class_separation(sums, area)
    there = area > 0
    several = there.sum(axis=1) > 1
    mean = separation.sum(axis=1, where=there) / there.sum(axis=1)
    least = separation.min(axis=1, where=there, initial=np.inf)
    return np.stack([explained, np.where(several, mean, 0.0), np.where(several, least, 0.0)],
                    axis=1)


def appearance_features(labelings: Array, areas: Array, region_values: Array, n_classes: int,
                        value_names: tuple[str, ...], classes: tuple[str, ...],
                        image_id: str = "") -> FeatureTable:
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
    standard = standardise_regions(region_values, areas, image_id)
    if len(value_names) != standard.shape[1]:
        raise InputError(f"there are {len(value_names)} names for {standard.shape[1]} values of "
                         f"a region")
    sums, area = class_moments(labels, areas, standard, n_classes)
    return appearance_table(sums, area, value_names, classes, image_id)


def appearance_table(sums: FloatArray, area: FloatArray, value_names: tuple[str, ...],
                     classes: tuple[str, ...], image_id: str) -> FeatureTable:
    """The columns of `appearance_features` for moments that are there already."""
    n_rows, n_classes, n_dims = sums.shape[:3]
    inside = np.where(area > 0, area, 1.0)[:, :, None]
    means = sums[:, :, :, 0] / inside
    spread = np.sqrt(np.maximum(sums[:, :, :, 1] / inside - means ** 2, 0.0))
    uniformity = (area > 0) * (1.0 - (spread ** 2).mean(axis=2)) if n_dims else area * 0.0
    values = np.concatenate([
        appearance_scalars(sums, area), class_separation(sums, area), uniformity,
        _differences(sums, area).transpose(0, 2, 1).reshape(n_rows, -1),
        spread.transpose(0, 2, 1).reshape(n_rows, -1)], axis=1)
    columns = (scalar_names("proposal", APPEARANCE_SCALARS)
               + class_names("proposal", APPEARANCE_FEATURES + tuple(
                   f"{kind}_{v}" for kind in ("inside", "spread") for v in value_names),
                   classes))
    return FeatureTable.of_image(values, columns, "proposal", image_id)


def standardise_regions(region_values: Array, areas: Array, image_id: str = "") -> FloatArray:
    """(n, D) values with mean 0 and variance 1 over the image; 0 where there is no variance."""
    values = np.asarray(region_values, dtype=np.float64)
    if values.ndim != 2 or len(values) != len(areas):
        raise InputError(f"region_values {values.shape} and areas {np.shape(areas)} must be "
                         f"(n, D) and (n,)")
    check_finite(values, "region_values", image_id)
    weights = np.asarray(areas, dtype=np.float64) / np.sum(areas)
    centred = values - weights @ values
    spread = np.sqrt(weights @ centred ** 2)
    flat = spread <= 1e-9 * np.maximum(1.0, np.abs(values).max(axis=0, initial=0.0))
    return np.ascontiguousarray(np.where(flat, 0.0, centred / np.where(flat, 1.0, spread)))


@njit(cache=True)
def class_moments(labels: Array, areas: FloatArray, values: FloatArray,
                  n_classes: int) -> tuple[FloatArray, FloatArray]:
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


def class_separation(sums: FloatArray, area: FloatArray) -> FloatArray:
    """(M, C) root mean square over the values of inside less outside mean."""
    differences = _differences(sums, area)
    if not differences.shape[2]:
        return np.zeros(area.shape)
    return np.sqrt((differences ** 2).mean(axis=2))


def _differences(sums: FloatArray, area: FloatArray) -> FloatArray:
    first = sums[:, :, :, 0]
    total = area.sum(axis=1, keepdims=True)
    outside = total - area
    proper = (area > 0) & (outside > 1e-9 * total)
    inside_mean = first / np.where(proper, area, 1.0)[:, :, None]
    # The image's mean is 0, so that what is outside sums to the negative.
    outside_mean = -first / np.where(proper, outside, 1.0)[:, :, None]
    return np.asarray((inside_mean - outside_mean) * proper[:, :, None])
