"""Sizes, components, shapes and places of a proposal's classes, alone and in pairs."""

from __future__ import annotations

import numpy as np
from numba import njit

from rerank.features.naming import class_names, pair_names
from rerank.features.statistics import LabelingStatistics
from rerank.features.table import FeatureTable
from rerank.types import FloatArray

LAYOUT_FEATURES = ("area", "root_area", "components", "small_components", "largest", "smallest",
                   "mean_component", "perimeter", "compactness", "height", "side", "spread",
                   "frame")
PAIR_FEATURES = ("both", "touching", "above", "beside")


def layout_features(statistics: LabelingStatistics, classes: tuple[str, ...],
                    image_id: str = "") -> FeatureTable:
    """Thirteen features a class; all are 0 for a class that the proposal does not paint.

    `area` and its root (shares of the image); `components` and those below half a per cent
    of the image, `small_components` (as log(1 + count)); areas of the `largest`, `smallest`
    and mean component (shares); `perimeter` with other classes over the root of the image's area;
    `compactness` = 4 pi A / (4 pi A + P^2), which is 1/2 for a disc and 1 for a class without
    border; `height` and `side` of the centre of gravity, -1/2 at the top and
    left to 1/2; `spread`, the root of the mean squared distance from it; and the share of
    the image's `frame` that the class covers.

    Returns
    -------
    FeatureTable
        M rows, 13 C columns of group `proposal`.
    """
    there = statistics.painted
    area = np.where(there, statistics.area, 1.0)
    total = statistics.area.sum(axis=1, keepdims=True)
    frame = np.maximum(statistics.border.sum(axis=1, keepdims=True), 1e-12)
    perimeter = statistics.perimeter
    disc = 4 * np.pi * area
    height, side, spread = _places(statistics)
    blocks = (statistics.area / total, np.sqrt(statistics.area / total),
              np.log1p(statistics.n_components), np.log1p(statistics.n_small),
              statistics.largest / total, statistics.smallest / total,
              statistics.area / np.maximum(statistics.n_components, 1) / total,
              perimeter / np.sqrt(total), disc / (disc + perimeter ** 2),
              height - 0.5, side - 0.5, spread, statistics.border / frame)
    values = np.concatenate([np.where(there, block, 0.0) for block in blocks], axis=1)
    return FeatureTable.of_image(values, class_names("proposal", LAYOUT_FEATURES, classes),
                                 "proposal", image_id)


def pair_features(statistics: LabelingStatistics, classes: tuple[str, ...],
                  image_id: str = "") -> FeatureTable:
    """Four features for every unordered pair (a, b) of classes.

    `both` = 1 where both are painted; `touching` = length of the border between them over the
    root of the image's area; `above` = height of the centre of gravity of b less that of a,
    as a share of the image's height (positive where a is above b); `beside` = the size of
    the same to the side. All are 0 unless both are painted.

    Returns
    -------
    FeatureTable
        M rows, 2 C (C - 1) columns of group `proposal`.
    """
    height, side, _ = _places(statistics)
    scale = np.sqrt(statistics.area.sum(axis=1))
    values = _pair_kernel(statistics.area, statistics.pair_boundary, height, side, scale)
    return FeatureTable.of_image(values, pair_names("proposal", PAIR_FEATURES, classes),
                                 "proposal", image_id)


def _places(statistics: LabelingStatistics) -> tuple[FloatArray, FloatArray, FloatArray]:
    area = np.where(statistics.painted, statistics.area, 1.0)
    height = statistics.moment_y / area
    side = statistics.moment_x / area
    variance = statistics.moment_rr / area - height ** 2 - side ** 2
    return height, side, np.sqrt(np.maximum(variance, 0.0))


@njit(cache=True)
def _pair_kernel(area: FloatArray, boundary: FloatArray, height: FloatArray, side: FloatArray,
                 scale: FloatArray) -> FloatArray:
    n_proposals, n_classes = area.shape
    n_pairs = n_classes * (n_classes - 1) // 2
    values = np.zeros((n_proposals, 4 * n_pairs))
    for m in range(n_proposals):
        k = 0
        for a in range(n_classes):
            if area[m, a] == 0.0:
                k += n_classes - 1 - a
                continue
            for b in range(a + 1, n_classes):
                if area[m, b] > 0.0:
                    values[m, k] = 1.0
                    values[m, n_pairs + k] = boundary[m, a, b] / scale[m]
                    values[m, 2 * n_pairs + k] = height[m, b] - height[m, a]
                    values[m, 3 * n_pairs + k] = abs(side[m, b] - side[m, a])
                k += 1
    return values
