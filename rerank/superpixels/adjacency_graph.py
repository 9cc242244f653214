"""The graph of touching superpixels, with the length of boundaries and the contrast across them.

Graphs of `skimage.graph` hold no boundary length and take some 30 times as long.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rerank.errors import InputError
from rerank.superpixels.cie_lab import lab_image
from rerank.superpixels.region_map import count_superpixels
from rerank.superpixels.region_mean import region_mean
from rerank.superpixels.slic import check_image
from rerank.types import Array, FloatArray, IntArray


@dataclass(frozen=True)
class RegionGraph:
    """Adjacency of superpixels under 4-neighbourhood.

    Attributes
    ----------
    edges : (m, 2) int32
        Pairs (i, j) of touching superpixels, i < j, unique and sorted.
    boundary_length : (m,) float64
        Length of the common boundary: the number of 4-neighbour pixel pairs across it.
    contrast : (m,) float64 or None
        Squared Lab colour difference across the edge; None where no image was given.
    areas : (n,) float64
        Area of each superpixel in pixels.
    """

    edges: IntArray
    boundary_length: FloatArray
    contrast: FloatArray | None
    areas: FloatArray

    @property
    def n_nodes(self) -> int:
        """Number of superpixels."""
        return int(self.areas.size)

    @property
    def n_edges(self) -> int:
        """Number of pairs that touch."""
        return int(self.edges.shape[0])


def adjacency_graph(
    superpixels: IntArray,
    image: Array | None = None,
    contrast_of: str = "mean",
    *,
    lab: FloatArray | None = None,
) -> RegionGraph:
    """Build the adjacency graph of a superpixel map.

    Parameters
    ----------
    superpixels : (H, W) integer array
        Superpixel of each pixel, 0..n-1, every one used.
    image : (H, W, 3) uint8, optional
        RGB image; without it the graph has no contrast.
    contrast_of : {"mean", "boundary"}
        What `contrast` compares: the mean Lab colours of the two superpixels, or the Lab colours
        of the pixel pairs across their boundary (the mean of the squared differences).
    lab : (H, W, 3) float array, optional
        `lab_image` of the image, where it is there already.

    Returns
    -------
    RegionGraph
        Of n nodes; a map of one superpixel gives a graph without edges.

    Raises
    ------
    InputError
        If the map is not a gapless superpixel map.
    InputError
        If the image is not (H, W, 3) uint8 of the map's size.
    InputError
        If `contrast_of` is unknown.

    Examples
    --------
    >>> graph = adjacency_graph(np.array([[0, 0, 1], [2, 2, 1]]))
    >>> graph.edges.tolist(), graph.boundary_length.tolist()
    ([[0, 1], [0, 2], [1, 2]], [1.0, 2.0, 1.0])
    """
    superpixels = np.asarray(superpixels)
    n = count_superpixels(superpixels)
    if contrast_of not in ("mean", "boundary"):
        raise InputError(f"contrast_of must be 'mean' or 'boundary', got {contrast_of!r}")
    flat = superpixels.ravel().astype(np.int64)
    left, right = _neighbour_pixels(*superpixels.shape)
    across = flat[left] != flat[right]
    left, right = left[across], right[across]
    low = np.minimum(flat[left], flat[right])
    high = np.maximum(flat[left], flat[right])
    keys, edge_of_pair, pairs = np.unique(low * n + high, return_inverse=True, return_counts=True)
    edges = np.stack([keys // n, keys % n], axis=1).astype(np.int32)
    contrast: FloatArray | None = None
    if image is not None:
        image = check_image(image)
        if image.shape[:2] != superpixels.shape:
            raise InputError(
                f"image and superpixel map must be of one size, got {image.shape[:2]} and "
                f"{superpixels.shape}"
            )
        lab = (lab_image(image) if lab is None else lab).astype(np.float64)
        if contrast_of == "mean":
            means = region_mean(lab, superpixels)
            contrast = np.square(means[edges[:, 0]] - means[edges[:, 1]]).sum(axis=1)
        else:
            pixel_lab = lab.reshape(-1, 3)
            squared = np.square(pixel_lab[left] - pixel_lab[right]).sum(axis=1)
            contrast = np.bincount(edge_of_pair, squared, minlength=keys.size) / pairs
    return RegionGraph(
        edges=edges,
        boundary_length=pairs.astype(np.float64),
        contrast=contrast,
        areas=np.bincount(flat, minlength=n).astype(np.float64),
    )


def _neighbour_pixels(height: int, width: int) -> tuple[IntArray, IntArray]:
    """Flat indices of both pixels of each 4-neighbour pair."""
    index = np.arange(height * width).reshape(height, width)
    first = np.concatenate([index[:, :-1].ravel(), index[:-1].ravel()])
    second = np.concatenate([index[:, 1:].ravel(), index[1:].ravel()])
    return first, second
