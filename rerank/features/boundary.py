"""Contrast along the borders of a proposal, and contrast that its borders miss."""

from __future__ import annotations

import numpy as np

from rerank.features.naming import class_names, scalar_names
from rerank.features.statistics import LabelingStatistics
from rerank.features.table import FeatureTable
from rerank.types import Array, FloatArray

BOUNDARY_FEATURES = ("border_contrast", "inner_contrast", "inner_missed")
BORDER_SCALARS = ("border_length", "border_contrast", "contrast_recall", "contrast_missed",
                  "inner_contrast")


def boundary_scalars(statistics: LabelingStatistics, boundary_length: Array,
                     contrast: Array) -> FloatArray:
    """(M, 5) class-free features of the borders, as `BORDER_SCALARS` names them.

    With the mean contrast of the image's region edges, weighted by length, as the unit:
    `border_length` = share of the edges' length that lies between different labels;
    `border_contrast` = mean contrast along the label edges (0 where there are none);
    `contrast_recall` = share of all contrast that they hold; `contrast_missed` = the rest,
    per root of the image's area; `inner_contrast` = mean contrast along the other edges.
    """
    unit, length = contrast_unit(boundary_length, contrast)
    cut_length = statistics.pair_boundary.sum(axis=(1, 2)) / 2
    cut = statistics.cut_contrast.sum(axis=1) / 2 / unit
    kept_length = statistics.kept_length.sum(axis=1)
    kept = statistics.kept_contrast.sum(axis=1) / unit
    return np.stack([
        cut_length / length, _ratio(cut, cut_length), cut / length,
        kept / np.sqrt(statistics.area.sum(axis=1)), _ratio(kept, kept_length)], axis=1)


def boundary_features(statistics: LabelingStatistics, boundary_length: Array, contrast: Array,
                      classes: tuple[str, ...], image_id: str = "") -> FeatureTable:
    """The five class-free features of `boundary_scalars`, and three a class.

    `border_contrast[c]` = mean contrast along the border of c; `inner_contrast[c]` = mean
    contrast of the region edges within c; `inner_missed[c]` = contrast times length within c, per
    root of the image's area: edges of the picture that the proposal paints over with c.
    The unit is the image's mean contrast; a class without such edges has 0.

    Returns
    -------
    FeatureTable
        M rows, 5 + 3 C columns of group `proposal`.
    """
    unit, _ = contrast_unit(boundary_length, contrast)
    root = np.sqrt(statistics.area.sum(axis=1, keepdims=True))
    values = np.concatenate([
        boundary_scalars(statistics, boundary_length, contrast),
        _ratio(statistics.cut_contrast, statistics.perimeter) / unit,
        _ratio(statistics.kept_contrast, statistics.kept_length) / unit,
        statistics.kept_contrast / unit / root], axis=1)
    columns = (scalar_names("proposal", BORDER_SCALARS)
               + class_names("proposal", BOUNDARY_FEATURES, classes))
    return FeatureTable.of_image(values, columns, "proposal", image_id)


def contrast_unit(boundary_length: Array, contrast: Array) -> tuple[float, float]:
    """Mean contrast by length (1 for a picture without any) and total length (1 if none)."""
    length = float(np.sum(boundary_length))
    weighted = float(np.dot(boundary_length, contrast))
    if not length > 0:
        return 1.0, 1.0
    return (weighted / length if weighted > 0 else 1.0), length


def _ratio(top: FloatArray, bottom: FloatArray) -> FloatArray:
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)
