"""Sizes, components, shapes and places of a proposal's classes, alone and in pairs."""

from __future__ import annotations

import numpy as np
from numba import njit

from rerank.features.feature_table import FeatureTable
from rerank.features.naming import class_names, pair_names
from rerank.features.statistics import LabelingStatistics
from rerank.types import FloatArray

LAYOUT_FEATURES = (
    "area",
    "root_area",
    "components",
    "small_components",
    "largest",
    "smallest",
    "mean_component",
    "perimeter",
    "compactness",
    "height",
    "side",
    "spread",
    "frame",
)
PAIR_FEATURES = ("both", "touching", "above", "beside")


def layout_features(
    statistics: LabelingStatistics, classes: tuple[str, ...], image_id: str = ""
) -> FeatureTable:
    """Thirteen features a class; all are 0 for a class that the proposal does not paint.

    `area` and its root (shares of the image); `components` and those below half a per cent
    of the image, `small_components` (as log(1 + count)); areas of the `largest`, `smallest`
    and mean component (shares); `perimeter` with other classes over the root of the image's
    area; `compactness` = 4 pi A / (4 pi A + P^2), which is 1/2 for a disc and 1 for a class
    without border; `height` and `side` of the centre of gravity, -1/2 at the top and left to
    1/2; `spread`, the root of the mean squared distance from it; and the share of the
    image's `frame` that the class covers.

    Parameters
    ----------
    statistics : LabelingStatistics
    classes : C names
    image_id : str

    Returns
    -------
    FeatureTable
        M rows, 13 C columns of group `proposal`.
    """
    values = _layout_kernel(statistics)
    return FeatureTable.of_image(
        values, class_names("proposal", LAYOUT_FEATURES, classes), "proposal", image_id
    )


def pair_features(
    statistics: LabelingStatistics, classes: tuple[str, ...], image_id: str = ""
) -> FeatureTable:
    """Four features for every unordered pair (a, b) of classes.

    `both` = 1 where both are painted; `touching` = length of the border between them over the
    root of the image's area; `above` = height of the centre of gravity of b less that of a,
    as a share of the image's height (positive where a is above b); `beside` = the size of
    the same to the side. All are 0 unless both are painted.

    Parameters
    ----------
    statistics : LabelingStatistics
    classes : C names
    image_id : str

    Returns
    -------
    FeatureTable
        M rows, 2 C (C - 1) columns of group `proposal`.
    """
    s = statistics
    values = _pair_kernel(s.area, s.pair_boundary, s.moment_y, s.moment_x)
    return FeatureTable.of_image(
        values, pair_names("proposal", PAIR_FEATURES, classes), "proposal", image_id
    )


@njit(cache=True)
def _layout_kernel(statistics: LabelingStatistics) -> FloatArray:
    area, perimeter, border = statistics.area, statistics.perimeter, statistics.border
    components, small = statistics.n_components, statistics.n_small
    n_proposals, n = area.shape
    values = np.zeros((n_proposals, 13 * n))
    for m in range(n_proposals):
        row = values[m]
        total = 0.0
        frame = 0.0
        for c in range(n):
            total += area[m, c]
            frame += border[m, c]
        for c in range(n):
            a = area[m, c]
            if a == 0.0:
                continue
            disc = 4.0 * np.pi * a
            y = statistics.moment_y[m, c] / a
            x = statistics.moment_x[m, c] / a
            row[c] = a / total
            row[n + c] = np.sqrt(a / total)
            row[2 * n + c] = np.log1p(components[m, c])
            row[3 * n + c] = np.log1p(small[m, c])
            row[4 * n + c] = statistics.largest[m, c] / total
            row[5 * n + c] = statistics.smallest[m, c] / total
            row[6 * n + c] = a / components[m, c] / total
            row[7 * n + c] = perimeter[m, c] / np.sqrt(total)
            row[8 * n + c] = disc / (disc + perimeter[m, c] ** 2)
            row[9 * n + c] = y - 0.5
            row[10 * n + c] = x - 0.5
            row[11 * n + c] = np.sqrt(max(statistics.moment_rr[m, c] / a - y * y - x * x, 0.0))
            if frame > 0.0:
                row[12 * n + c] = border[m, c] / frame
    return values


@njit(cache=True)
def _pair_kernel(
    area: FloatArray, boundary: FloatArray, moment_y: FloatArray, moment_x: FloatArray
) -> FloatArray:
    n_proposals, n_classes = area.shape
    n_pairs = n_classes * (n_classes - 1) // 2
    values = np.zeros((n_proposals, 4 * n_pairs))
    for m in range(n_proposals):
        row = values[m]
        scale = 1.0 / np.sqrt(area[m].sum())
        start = 0
        for a in range(n_classes):
            if area[m, a] > 0.0:
                y = moment_y[m, a] / area[m, a]
                x = moment_x[m, a] / area[m, a]
                for b in range(a + 1, n_classes):
                    if area[m, b] > 0.0:
                        k = start + b - a - 1
                        row[k] = 1.0
                        row[n_pairs + k] = boundary[m, a, b] * scale
                        row[2 * n_pairs + k] = moment_y[m, b] / area[m, b] - y
                        row[3 * n_pairs + k] = abs(moment_x[m, b] / area[m, b] - x)
            start += n_classes - 1 - a
    return values
