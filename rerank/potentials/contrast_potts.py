"""Contrast-sensitive Potts weights."""

from __future__ import annotations

import numpy as np

from rerank.errors import InputError
from rerank.superpixels import RegionGraph
from rerank.types import FloatArray


def contrast_potts_weights(
    graph: RegionGraph,
    weight: float,
    *,
    beta: float | None = None,
    contrast_scale: float = 4.0,
    length_exponent: float = 1.0,
    base: float = 0.0,
) -> FloatArray:
    """Weigh the edges of a graph: high where colours agree, low where they differ.

    ``w_ij = weight * (l_ij / s)^length_exponent * (base + (1 - base) * exp(-k * beta * d_ij))``,
    with the boundary length l_ij, the squared colour difference d_ij, k = `contrast_scale`, and
    the side s of a square of the mean area, so that a weight means the same at any size of image
    or superpixel. The contrast term is that of Boykov & Jolly 2001 with the scale that the image
    itself gives, ``beta = 1 / (2 <d>)``, the mean over its boundary pixel pairs; a constant beside
    it (`base`) is as in the edge potential of TextonBoost (Shotton et al. 2009).

    Parameters
    ----------
    graph : RegionGraph
        With contrast, unless `beta` is 0.
    weight : float
        Cost of cutting a boundary without contrast as long as a mean superpixel's side; 0 or
        greater. In units of the unary's cost of a mean superpixel.
    beta : float, optional
        Inverse scale of the contrast, 0 or greater, in 1 / squared Lab units; by default from the
        image's own mean contrast (0 in an image of one colour).
    contrast_scale : float
        Factor on `beta`, 0 or greater. Mean colours of superpixels hold less noise than pixels,
        so that a higher value than the 1 of pixel grids does better.
    length_exponent : float
        0 counts each edge alike, 1 by its length, so that the energy counts pixels.
    base : float
        Share of the weight that contrast cannot take away, in 0..1.

    Returns
    -------
    (m,) float64
        Weights, 0 or greater.

    Raises
    ------
    InputError
        If a setting is out of its range.
    InputError
        If the graph has no contrast and neither `beta` nor `contrast_scale` is 0.

    Examples
    --------
    >>> from rerank.superpixels import adjacency_graph
    >>> graph = adjacency_graph(np.array([[0, 0, 1, 1], [0, 0, 1, 1]]))
    >>> contrast_potts_weights(graph, weight=3.0, beta=0.0)
    array([3.])
    """
    for name, value in (
        ("weight", weight),
        ("contrast_scale", contrast_scale),
        ("length_exponent", length_exponent),
    ):
        if not (value >= 0 and np.isfinite(value)):
            raise InputError(f"{name} must be a finite number of 0 or greater, got {value}")
    if not 0 <= base <= 1:
        raise InputError(f"base must be in 0..1, got {base}")
    if beta is not None and not (beta >= 0 and np.isfinite(beta)):
        raise InputError(f"beta must be a finite number of 0 or greater, got {beta}")
    side = np.sqrt(graph.areas.mean())
    lengths = (graph.boundary_length / side) ** length_exponent
    if beta == 0 or contrast_scale == 0:
        plain: FloatArray = weight * lengths
        return plain
    if graph.contrast is None:
        raise InputError(
            "the graph has no contrast: give adjacency_graph the image, or set beta to 0"
        )
    if beta is None:
        beta = contrast_beta(graph)
    likeness = np.exp(-contrast_scale * beta * graph.contrast)
    weights: FloatArray = weight * lengths * (base + (1 - base) * likeness)
    return weights


def contrast_beta(graph: RegionGraph) -> float:
    """Inverse contrast scale of an image, 1 / (2 <d>) over its boundary pixel pairs.

    Parameters
    ----------
    graph : RegionGraph
        With contrast.

    Returns
    -------
    float
        0 where the image has no contrast, or the graph no edge.

    Raises
    ------
    InputError
        If the graph has no contrast.
    """
    if graph.contrast is None:
        raise InputError("the graph has no contrast: give adjacency_graph the image")
    if graph.n_edges == 0:
        return 0.0
    mean = float(np.average(graph.contrast, weights=graph.boundary_length))
    return 1 / (2 * mean) if mean > 0 else 0.0
