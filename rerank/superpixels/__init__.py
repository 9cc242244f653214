"""Superpixels: SLIC, the graph of neighbours, pooling from pixels and painting back.

A superpixel map is an (H, W) integer array that numbers its superpixels 0..n-1 without a gap;
everything after this room works on the n superpixels and returns to pixels with `to_pixels`.
"""

from rerank.superpixels.drawing import boundary_mask, draw_boundaries
from rerank.superpixels.graph import RegionGraph, adjacency_graph
from rerank.superpixels.pooling import label_histogram, majority_labels, pool_mean, to_pixels
from rerank.superpixels.positions import POSITION_NAMES, superpixel_positions
from rerank.superpixels.region_map import count_superpixels
from rerank.superpixels.slic import check_image, lab_image, slic_superpixels

__all__ = [
    "POSITION_NAMES",
    "RegionGraph",
    "adjacency_graph",
    "boundary_mask",
    "check_image",
    "count_superpixels",
    "draw_boundaries",
    "lab_image",
    "label_histogram",
    "majority_labels",
    "pool_mean",
    "slic_superpixels",
    "superpixel_positions",
    "to_pixels",
]
