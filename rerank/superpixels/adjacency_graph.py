"""The graph of touching superpixels, with the length of boundaries and the contrast across them.

Graphs of `skimage.graph` hold no boundary length and take some 30 times as long.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
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
    if image is not None:
        image = check_image(image)
        if image.shape[:2] != superpixels.shape:
            raise InputError(
                f"image and superpixel map must be of one size, got {image.shape[:2]} and "
                f"{superpixels.shape}"
            )
        lab = lab_image(image) if lab is None else lab
    across = lab if image is not None and contrast_of == "boundary" else None
    edges, boundary_length, squared = _touching(
        np.ascontiguousarray(superpixels, dtype=np.int32),
        n,
        np.empty((0, 0, 0)) if across is None else np.ascontiguousarray(across, dtype=np.float64),
    )
    order = np.lexsort((edges[:, 1], edges[:, 0]))
    edges, boundary_length = edges[order], boundary_length[order]
    contrast: FloatArray | None = None
    if across is not None:
        contrast = squared[order] / boundary_length
    elif image is not None and lab is not None:
        means = region_mean(lab, superpixels)
        contrast = np.square(means[edges[:, 0]] - means[edges[:, 1]]).sum(axis=1)
    return RegionGraph(
        edges=edges,
        boundary_length=boundary_length,
        contrast=contrast,
        areas=np.bincount(superpixels.ravel(), minlength=n).astype(np.float64),
    )


@numba.njit(cache=True)
def _touching(
    superpixels: IntArray, n: int, lab: FloatArray
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Pairs (i, j), i < j, of touching superpixels in the order in which they are met: (m, 2).

    Also the number of pixel pairs of each, and their sum of squared differences of Lab if it has
    pixels. The edges of each superpixel to later ones are a linked list, the latest edge first.
    """
    height, width = superpixels.shape
    first = np.full(n, -1, dtype=np.int32)
    most = (superpixels[1:] != superpixels[:-1]).sum()
    most += (superpixels[:, 1:] != superpixels[:, :-1]).sum()
    following = np.empty(most, dtype=np.int32)
    edges = np.empty((most, 2), dtype=np.int32)
    length = np.zeros(most)
    squared = np.zeros(most)
    m = 0
    for down in range(2):
        for y in range(height - down):
            for x in range(width - 1 + down):
                v, u = y + down, x + 1 - down
                i, j = superpixels[y, x], superpixels[v, u]
                if i == j:
                    continue
                i, j = min(i, j), max(i, j)
                e = first[i]
                while e >= 0 and edges[e, 1] != j:
                    e = following[e]
                if e < 0:
                    e = m
                    m += 1
                    edges[e, 0], edges[e, 1] = i, j
                    following[e] = first[i]
                    first[i] = e
                length[e] += 1
                if lab.size:
                    between = 0.0
                    for d in range(lab.shape[2]):
                        between += (lab[y, x, d] - lab[v, u, d]) ** 2
                    squared[e] += between
    return edges[:m], length[:m], squared[:m]
