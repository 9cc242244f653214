"""What one pass over the regions and edges of each labeling says about its classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from rerank.types import Array, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class LabelingStatistics:
    """Counts and sums of M labelings over C classes, which several features are made from.

    A class that a labeling does not paint has 0 everywhere.
    """

    area: FloatArray  #: (M, C) pixels
    moment_y: FloatArray  #: (M, C) sum of area times relative height, 0 at the top
    moment_x: FloatArray  #: (M, C) sum of area times relative position, 0 at the left
    moment_rr: FloatArray  #: (M, C) sum of area times (height^2 + position^2)
    border: FloatArray  #: (M, C) pixels of the image's frame
    pair_boundary: FloatArray  #: (M, C, C) length of the border between two classes; symmetric
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

    @property
    def perimeter(self) -> FloatArray:
        """(M, C) pixels of border with other classes; the image's frame does not count."""
        return np.asarray(self.pair_boundary.sum(axis=2))


def labeling_statistics(labelings: Array, n_classes: int, areas: Array, centroids: Array,
                        frame: Array, edges: Array, boundary_length: Array, contrast: Array,
                        small_share: float = 0.005) -> LabelingStatistics:
    """Collect the statistics of labelings over one region graph.

    Parameters
    ----------
    labelings : (M, n) int
        Labels of regions, 0..n_classes-1.
    n_classes : int
    areas : (n,) float, pixels
    centroids : (n, 2) float
        Row and column of each region's centre as shares of the image's height and width.
    frame : (n,) float, pixels
        How much of the image's frame lies in the region.
    edges : (m, 2) int
        Pairs of neighbouring regions, each once.
    boundary_length : (m,) float, pixels
    contrast : (m,) float, at least 0
    small_share : float
        Components below this share of the image are counted as small.
    """
    labels = np.ascontiguousarray(labelings)
    found: tuple[Array, ...] = _statistics_kernel(
        labels, n_classes, areas, centroids, frame, edges, boundary_length, contrast,
        small_share * float(areas.sum()))
    area, sums, pair_boundary, counts, largest, smallest, component = found
    return LabelingStatistics(
        area=area, moment_y=sums[0], moment_x=sums[1], moment_rr=sums[2], border=sums[3],
        pair_boundary=pair_boundary, cut_contrast=sums[4], kept_contrast=sums[5],
        kept_length=sums[6], n_components=counts[0], largest=largest, smallest=smallest,
        n_small=counts[1], component=component)


@njit(cache=True)
def _find(parent: IntArray, node: int) -> int:
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node


@njit(cache=True)
def _statistics_kernel(labels: Array, n_classes: int, areas: FloatArray, centroids: FloatArray,
                       frame: FloatArray, edges: IntArray, length: FloatArray,
                       contrast: FloatArray, small: float) -> tuple[Array, ...]:
    n_proposals, n = labels.shape
    area = np.zeros((n_proposals, n_classes))
    sums = np.zeros((7, n_proposals, n_classes))
    pairs = np.zeros((n_proposals, n_classes, n_classes))
    counts = np.zeros((2, n_proposals, n_classes), dtype=np.int64)
    largest = np.zeros((n_proposals, n_classes))
    smallest = np.zeros((n_proposals, n_classes))
    component = np.empty((n_proposals, n), dtype=np.int32)
    parent = np.empty(n, dtype=np.int32)
    size = np.empty(n)
    for m in range(n_proposals):
        row = labels[m]
        for i in range(n):
            c = row[i]
            y = centroids[i, 0]
            x = centroids[i, 1]
            a = areas[i]
            area[m, c] += a
            sums[0, m, c] += a * y
            sums[1, m, c] += a * x
            sums[2, m, c] += a * (y * y + x * x)
            sums[3, m, c] += frame[i]
            parent[i] = i
            size[i] = 0.0
        for e in range(len(edges)):
            i = edges[e, 0]
            j = edges[e, 1]
            a_class = row[i]
            b_class = row[j]
            weighted = length[e] * contrast[e]
            if a_class == b_class:
                sums[5, m, a_class] += weighted
                sums[6, m, a_class] += length[e]
                left = _find(parent, i)
                right = _find(parent, j)
                if left < right:
                    parent[right] = left
                elif right < left:
                    parent[left] = right
            else:
                pairs[m, a_class, b_class] += length[e]
                pairs[m, b_class, a_class] += length[e]
                sums[4, m, a_class] += weighted
                sums[4, m, b_class] += weighted
        for i in range(n):
            root = _find(parent, i)
            component[m, i] = root
            size[root] += areas[i]
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
    return area, sums, pairs, counts, largest, smallest, component
