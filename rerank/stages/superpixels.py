"""Superpixels and their graph, and the pixels of each class in each superpixel.

Where a network of the user's gives the class probabilities, superpixels are split along the borders
of its own labeling, so that this labeling is one of the regions, pixel for pixel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np

from rerank.engine.stage import Job, write_image
from rerank.metrics import region_histogram
from rerank.potentials.network_map import network_labels
from rerank.settings import SuperpixelSettings
from rerank.superpixels import (
    RegionGraph,
    adjacency_graph,
    border_pixels,
    check_image,
    lab_image,
    labels_of_regions,
    region_mean,
    slic_superpixels,
    split_at_borders,
)
from rerank.types import Array, FloatArray

#: Names of `region_values`: mean colour, and the deviation of lightness within the superpixel.
VALUE_NAMES = ("lightness", "green_red", "blue_yellow", "roughness")


def wanted_superpixels(
    settings: SuperpixelSettings, size: tuple[int, ...], network_labels: Array | None = None
) -> int:
    """How many superpixels are asked for in an image.

    Parameters
    ----------
    settings : SuperpixelSettings
    size : (H, W)
    network_labels : (H, W) uint8 array, optional
        A network's own labeling: the longer its borders, the more superpixels.

    Returns
    -------
    int
        At least 1.
    """
    n_border_pixels = 0
    if network_labels is not None and settings.n_segments is None:
        n_border_pixels = border_pixels(network_labels)
    return settings.number(size[0] * size[1], n_border_pixels)


def segment(
    image: Array, settings: SuperpixelSettings, network_labels: Array | None = None
) -> dict[str, Any]:
    """Superpixels of one image and their graph, as the arrays that are stored.

    Parameters
    ----------
    image : (H, W, 3) uint8 array
    settings : SuperpixelSettings
    network_labels : (H, W) uint8 array, optional
        A network's own labeling; superpixels are split along its borders.

    Returns
    -------
    dict of arrays
        For n superpixels and m pairs of neighbours: `superpixels` (H, W) uint16 or uint32; `edges`
        (m, 2), `boundary_length` and `contrast` (m,), `areas` (n,), all as in `RegionGraph`;
        `region_values` (n, 4) float32, named by `VALUE_NAMES`; `network` (n,) uint8, the network's
        own labeling of the regions, where it was given.
    """
    number = wanted_superpixels(settings, image.shape[:2], network_labels)
    superpixels = slic_superpixels(image, number, settings.compactness)
    if network_labels is not None:
        superpixels = split_at_borders(superpixels, network_labels)
    arrays = describe_regions(image, superpixels)
    if network_labels is not None:
        arrays["network"] = labels_of_regions(superpixels, network_labels)
    return arrays


def describe_regions(image: Array, superpixels: Array) -> dict[str, Any]:
    """The arrays of `segment` for regions that are there already.

    Parameters
    ----------
    image : (H, W, 3) uint8 array
    superpixels : (H, W) integer array
        Region of each pixel, 0..n-1, every one used.

    Returns
    -------
    dict of arrays
        As of `segment`, without `network`.
    """
    lab = lab_image(check_image(image))
    graph = adjacency_graph(superpixels, image, lab=lab)
    n = int(superpixels.max()) + 1
    return {
        "superpixels": superpixels.astype(np.uint16 if n <= 1 << 16 else np.uint32),
        "edges": graph.edges,
        "boundary_length": graph.boundary_length,
        "contrast": graph.contrast,
        "areas": graph.areas,
        "region_values": _region_values(lab, superpixels),
    }


def graph_of(arrays: Mapping[str, Any]) -> RegionGraph:
    """The graph among the arrays of `segment`."""
    return RegionGraph(
        arrays["edges"], arrays["boundary_length"], arrays["contrast"], arrays["areas"]
    )


def _region_values(lab: FloatArray, superpixels: Array) -> FloatArray:
    moments = region_mean(np.concatenate([lab, lab[..., :1] ** 2], axis=2), superpixels)
    moments[:, 3] = np.sqrt(np.maximum(0, moments[:, 3] - moments[:, 0] ** 2))
    return moments.astype(np.float32)


def run(job: Job, file: h5py.File) -> None:
    """Write the arrays of `segment` and the `histogram` of labels, (n, C), of each image."""
    dataset = job.data.of(job.part)
    for index, image_id in enumerate(job.part.image_ids):
        sample = dataset[image_id]
        own = None
        if job.recipe.unary.source == "probabilities":
            own = network_labels(job.data.map_of(image_id, sample.image))
        arrays = segment(sample.image, job.recipe.superpixels, own)
        histogram = region_histogram(
            arrays["superpixels"], sample.labels, dataset.n_classes, dataset.ignore_index
        )
        write_image(file, index, {**arrays, "histogram": histogram.astype(np.int32)})
