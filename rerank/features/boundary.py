"""Contrast along the borders of a proposal, and contrast that its borders miss."""

from __future__ import annotations

import numpy as np
from numba import njit

from rerank.features.feature_table import FeatureTable
from rerank.features.naming import class_names, scalar_names
from rerank.features.statistics import LabelingStatistics, RegionBoundaries
from rerank.types import FloatArray

BOUNDARY_FEATURES = ("border_contrast", "inner_contrast", "inner_missed")
BORDER_SCALARS = (
    "border_length",
    "border_contrast",
    "contrast_recall",
    "contrast_missed",
    "inner_contrast",
)


def boundary_features(
    statistics: LabelingStatistics,
    boundaries: RegionBoundaries,
    classes: tuple[str, ...],
    image_id: str = "",
) -> FeatureTable:
    """Five class-free features of the borders, and three a class.

    The unit of contrast is its mean over the image's region edges, weighted by length.
    `border_length` = share of the edges' length that lies between different labels;
    `border_contrast` = mean contrast along the label edges; `contrast_recall` = share of all
    contrast that they hold; `contrast_missed` = contrast times length along the other edges,
    per root of the image's area; `inner_contrast` = mean contrast along the other edges.
    `border_contrast[c]` = mean contrast along the border of c; `inner_contrast[c]` = mean
    contrast of the region edges within c; `inner_missed[c]` = contrast times length within
    c, per root of the image's area: edges of the picture that lie inside of c. A mean over no
    edges is 0.

    Parameters
    ----------
    statistics : LabelingStatistics
        Made with the same boundaries.
    boundaries : RegionBoundaries
    classes : C names
    image_id : str

    Returns
    -------
    FeatureTable
        M rows, 5 + 3 C columns of group `proposal`.
    """
    length = float(np.sum(boundaries.length))
    weighted = float(np.dot(boundaries.length, boundaries.contrast))
    values = _boundary_kernel(statistics, length, weighted / length if weighted > 0 else 1.0)
    columns = scalar_names("proposal", BORDER_SCALARS) + class_names(
        "proposal", BOUNDARY_FEATURES, classes
    )
    return FeatureTable.of_image(values, columns, "proposal", image_id)


@njit(cache=True)
def _boundary_kernel(statistics: LabelingStatistics, length: float, unit: float) -> FloatArray:
    area, perimeter = statistics.area, statistics.perimeter
    cut_contrast = statistics.cut_contrast
    kept_length, kept_contrast = statistics.kept_length, statistics.kept_contrast
    n_proposals, n = area.shape
    values = np.zeros((n_proposals, 5 + 3 * n))
    for m in range(n_proposals):
        row = values[m]
        root = np.sqrt(area[m].sum())
        # Every label edge is on the border of two classes.
        cut_length = 0.5 * perimeter[m].sum()
        cut = 0.5 * cut_contrast[m].sum() / unit
        kept = kept_contrast[m].sum() / unit
        if length > 0.0:
            row[0] = cut_length / length
            row[2] = cut / length
        if cut_length > 0.0:
            row[1] = cut / cut_length
        row[3] = kept / root
        inner_length = kept_length[m].sum()
        if inner_length > 0.0:
            row[4] = kept / inner_length
        for c in range(n):
            if perimeter[m, c] > 0.0:
                row[5 + c] = cut_contrast[m, c] / perimeter[m, c] / unit
            if kept_length[m, c] > 0.0:
                row[5 + n + c] = kept_contrast[m, c] / kept_length[m, c] / unit
                row[5 + 2 * n + c] = kept_contrast[m, c] / unit / root
    return values
