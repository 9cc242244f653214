"""Superpixels: SLIC, the graph of neighbours, means over regions, and the way back to pixels.

A superpixel map is an (H, W) integer array that numbers its superpixels 0..n-1 without a gap;
everything after this room works on the n superpixels and returns to pixels with `to_pixels`.
"""

from rerank.superpixels.adjacency_graph import RegionGraph, adjacency_graph
from rerank.superpixels.cie_lab import lab_image
from rerank.superpixels.drawing import boundary_mask, draw_boundaries
from rerank.superpixels.label_borders import border_pixels, labels_of_regions, split_at_borders
from rerank.superpixels.positions import POSITION_NAMES, superpixel_positions
from rerank.superpixels.region_map import count_superpixels
from rerank.superpixels.region_mean import region_mean, to_pixels
from rerank.superpixels.slic import check_image, slic_superpixels

__all__ = [
    "POSITION_NAMES",
    "RegionGraph",
    "adjacency_graph",
    "border_pixels",
    "boundary_mask",
    "check_image",
    "count_superpixels",
    "draw_boundaries",
    "lab_image",
    "labels_of_regions",
    "region_mean",
    "slic_superpixels",
    "split_at_borders",
    "superpixel_positions",
    "to_pixels",
]
