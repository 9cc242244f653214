"""Counts and sums of each class of a labeling, from one pass over its regions and edges."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from rerank.errors import InputError
from rerank.types import Array, FloatArray, IntArray


class RegionGeometry(NamedTuple):
    """Sizes and places of n regions."""

    areas: FloatArray  #: (n,) pixels
    centroids: FloatArray  #: (n, 2) row and column of the centre as shares of height and width
    frame: FloatArray  #: (n,) pixels on the image's frame


class RegionBoundaries(NamedTuple):
    """The m boundaries between neighbouring regions."""

    edges: IntArray  #: (m, 2) pairs of regions, each once
    length: FloatArray  #: (m,) pixels
    contrast: FloatArray  #: (m,) at least 0, such as the distance of the regions' colours


class LabelingStatistics(NamedTuple):
    """Counts and sums of M labelings over C classes, which several features are made from.

    A class that a labeling does not paint has 0 everywhere.
    """

    area: FloatArray  #: (M, C) pixels
    moment_y: FloatArray  #: (M, C) sum of area times relative height, 0 at the top
    moment_x: FloatArray  #: (M, C) sum of area times relative position, 0 at the left
    moment_rr: FloatArray  #: (M, C) sum of area times (height^2 + position^2)
    border: FloatArray  #: (M, C) pixels of the image's frame
    pair_boundary: FloatArray  #: (M, C, C) length of the border between two classes; symmetric
    perimeter: FloatArray  #: (M, C) length of the border with others, without the image's frame
    cut_contrast: FloatArray  #: (M, C) sum of length times contrast along the class's border
    kept_contrast: FloatArray  #: (M, C) the same over edges inside of the class
    kept_length: FloatArray  #: (M, C) length of edges inside of the class
    n_components: IntArray  #: (M, C) connected components
    largest: FloatArray  #: (M, C) pixels of the largest component
    smallest: FloatArray  #: (M, C) pixels of the smallest component
    n_small: IntArray  #: (M, C) components below `small_share` of the image
    component: IntArray  #: (M, n) index of a region's component, 0..n-1 with gaps

    @property
    def painted(self) -> Array:
        """(M, C) bool: whether the labeling gives any pixel to the class."""
        return self.area > 0


def labeling_statistics(
    labelings: Array,
    n_classes: int,
    geometry: RegionGeometry,
    boundaries: RegionBoundaries,
    small_share: float = 0.005,
) -> LabelingStatistics:
    """Collect the statistics of labelings over one region graph.

    Parameters
    ----------
    labelings : (M, n) int
        Labels of regions, 0..n_classes-1.
    n_classes : int
    geometry : RegionGeometry
    boundaries : RegionBoundaries
    small_share : float
        Components below this share of the image are counted as small.

    Returns
    -------
    LabelingStatistics
    """
    labels = np.ascontiguousarray(labelings)
    found: tuple[Array, ...] = _statistics_kernel(
        labels, n_classes, geometry, boundaries, small_share * float(geometry.areas.sum())
    )
    sums, pair_boundary, counts, largest, smallest, component = found
    return LabelingStatistics(
        area=sums[0],
        moment_y=sums[1],
        moment_x=sums[2],
        moment_rr=sums[3],
        border=sums[4],
        kept_length=sums[5],
        kept_contrast=sums[6],
        perimeter=sums[7],
        cut_contrast=sums[8],
        pair_boundary=pair_boundary,
        n_components=counts[0],
        largest=largest,
        smallest=smallest,
        n_small=counts[1],
        component=component,
    )


def check_labels(labels: Array, n_classes: int, where: str = "") -> None:
    """Raise `InputError` unless labels are integers in 0..n_classes-1; void is not allowed.

    Parameters
    ----------
    labels : int array of any shape
    n_classes : int
    where : str
        Names the image in the error.
    """
    prefix = f"{where}: " if where else ""
    if labels.dtype.kind not in "iu":
        raise InputError(f"{prefix}labels must be integers, got {labels.dtype}")
    if labels.size and not (labels.min() >= 0 and labels.max() < n_classes):
        raise InputError(
            f"{prefix}labels must be 0..{n_classes - 1}, found {labels.min()} to {labels.max()}"
        )


@njit(cache=True)
def _find(parent: IntArray, node: int) -> int:
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node


@njit(cache=True)
def _components_kernel(labels: Array, left: IntArray, right: IntArray) -> IntArray:
    component = np.empty(labels.shape, dtype=np.uint32)
    for m in range(labels.shape[0]):
        row = labels[m]
        parent = component[m]
        for i in range(len(row)):
            parent[i] = i
        for e in range(len(left)):
            i = left[e]
            j = right[e]
            if row[i] == row[j] and parent[i] != parent[j]:
                low = _find(parent, i)
                high = _find(parent, j)
                if low < high:
                    parent[high] = low
                elif high < low:
                    parent[low] = high
        for i in range(len(row)):
            # A root is the lowest region of its component: those before it are settled.
            parent[i] = parent[parent[i]]
    return component


@njit(cache=True)
def _statistics_kernel(
    labels: Array,
    n_classes: int,
    geometry: RegionGeometry,
    boundaries: RegionBoundaries,
    small: float,
) -> tuple[Array, ...]:
    areas, centroids, frame = geometry
    edges, length, contrast = boundaries
    n_proposals, n = labels.shape
    sums = np.zeros((9, n_proposals, n_classes))
    pairs = np.zeros((n_proposals, n_classes, n_classes))
    counts = np.zeros((2, n_proposals, n_classes), dtype=np.int64)
    largest = np.zeros((n_proposals, n_classes))
    smallest = np.zeros((n_proposals, n_classes))
    # What is added over regions and edges stands side by side: one place in memory a class.
    of_region = np.empty((n, 5))
    of_edge = np.empty((len(edges), 2))
    for i in range(n):
        y = centroids[i, 0]
        x = centroids[i, 1]
        of_region[i, 0] = areas[i]
        of_region[i, 1] = areas[i] * y
        of_region[i, 2] = areas[i] * x
        of_region[i, 3] = areas[i] * (y * y + x * x)
        of_region[i, 4] = frame[i]
    for e in range(len(edges)):
        of_edge[e, 0] = length[e]
        of_edge[e, 1] = length[e] * contrast[e]
    left = edges[:, 0].astype(np.uint32)
    right = edges[:, 1].astype(np.uint32)
    component = _components_kernel(labels, left, right)
    size = np.empty(n)
    for m in range(n_proposals):
        row = labels[m]
        parent = component[m]
        regions = np.zeros((n_classes, 5))
        inner = np.zeros((n_classes, 2))
        border = np.zeros((n_classes, 2))
        for i in range(n):
            c = row[i]
            for k in range(5):
                regions[c, k] += of_region[i, k]
            size[i] = 0.0
        for e in range(len(left)):
            a = row[left[e]]
            b = row[right[e]]
            if a == b:
                inner[a, 0] += of_edge[e, 0]
                inner[a, 1] += of_edge[e, 1]
            else:
                pairs[m, a, b] += of_edge[e, 0]
                pairs[m, b, a] += of_edge[e, 0]
                for k in range(2):
                    border[a, k] += of_edge[e, k]
                    border[b, k] += of_edge[e, k]
        for c in range(n_classes):
            for k in range(5):
                sums[k, m, c] = regions[c, k]
            for k in range(2):
                sums[5 + k, m, c] = inner[c, k]
                sums[7 + k, m, c] = border[c, k]
        for i in range(n):
            size[parent[i]] += areas[i]
        for i in range(n):
            if parent[i] == i:
                c = row[i]
                counts[0, m, c] += 1
                if size[i] < small:
                    counts[1, m, c] += 1
                if size[i] > largest[m, c]:
                    largest[m, c] = size[i]
                if counts[0, m, c] == 1 or size[i] < smallest[m, c]:
                    smallest[m, c] = size[i]
    return sums, pairs, counts, largest, smallest, component
