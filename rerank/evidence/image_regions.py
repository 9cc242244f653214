"""The regions of one image: their map, their graph and their colours."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from rerank.errors import InputError
from rerank.superpixels import RegionGraph
from rerank.types import Array
from rerank.validation import check_finite


@dataclass(frozen=True, eq=False)
class ImageRegions:
    """The n superpixels of one image.

    Attributes
    ----------
    superpixels : (H, W) int
        Region of each pixel, 0..n-1.
    graph : RegionGraph
        The regions' neighbours and areas. Its `contrast` must be given.
    values : (n, D) float or None
        Means over regions, such as colours and filter responses.
    value_names : tuple of D str
    image_id : str
        Names the image in errors and in tables.
    """

    superpixels: Array
    graph: RegionGraph
    values: Array | None = None
    value_names: tuple[str, ...] = ()
    image_id: str = ""

    def __len__(self) -> int:
        return len(self.graph.areas)

    def error(self, message: str) -> InputError:
        """An `InputError` that names the image."""
        return InputError(f"{self.image_id}: {message}" if self.image_id else message)

    def checked(self) -> ImageRegions:
        """The same regions with a contiguous graph: int32 edges, and float64 for the rest.

        Raises
        ------
        InputError
            If shapes disagree, or a number is not finite or out of its range.
        """
        graph, names = self.graph, ("boundary_length", "contrast", "areas")
        if graph.contrast is None:
            raise self.error("the graph must have a contrast; make it from an image")
        floats = {}
        for name in names:
            floats[name] = np.ascontiguousarray(getattr(graph, name), dtype=np.float64)
            check_finite(floats[name], name, self.image_id)
        edges = np.ascontiguousarray(graph.edges, dtype=np.int32).reshape(-1, 2)
        n, n_edges = len(floats["areas"]), len(edges)
        for name, shape in zip(names, ((n_edges,), (n_edges,), (n,))):
            if floats[name].shape != shape:
                raise self.error(f"{name} must be {shape}, got {floats[name].shape}")
        if not n or not (floats["areas"] > 0).all():
            raise self.error("there must be a region, and every region must have an area above 0")
        if np.ndim(self.superpixels) != 2 or int(np.max(self.superpixels)) != n - 1:
            raise self.error(f"superpixels must be an (H, W) map of regions 0..{n - 1}")
        if n_edges and not (edges.min() >= 0 and edges.max() < n):
            raise self.error(f"edges must join regions 0..{n - 1}")
        if n_edges and (floats["boundary_length"].min() < 0 or floats["contrast"].min() < 0):
            raise self.error("boundary_length and contrast must be at least 0")
        if self.values is not None and np.shape(self.values)[1:] != (len(self.value_names),):
            raise self.error(
                f"values must be (n, {len(self.value_names)}) as there are "
                f"{len(self.value_names)} value_names, got {np.shape(self.values)}"
            )
        return replace(self, graph=RegionGraph(edges=edges, **floats))
