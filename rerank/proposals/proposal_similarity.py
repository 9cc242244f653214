"""How alike the proposals of an image are."""

from __future__ import annotations

import numpy as np

from rerank.metrics import image_iou, region_intersection_union
from rerank.types import Array, FloatArray


def proposal_similarity(labelings: Array, areas: FloatArray, n_classes: int) -> FloatArray:
    """Mean IoU of each labeling (row) if another (column) were the truth.

    Parameters
    ----------
    labelings : (M, n) int array
    areas : (n,) array
        Pixels of the superpixels.
    n_classes : int

    Returns
    -------
    (M, M) float64 array
    """
    found = np.empty((len(labelings), len(labelings)))
    for m, truth in enumerate(labelings):
        histogram = np.zeros((len(areas), n_classes), dtype=np.int64)
        histogram[np.arange(len(areas)), truth] = areas.astype(np.int64)
        found[:, m] = image_iou(region_intersection_union(histogram, labelings))
    return found
