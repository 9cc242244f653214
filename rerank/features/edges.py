"""Edges of the picture against borders of the labels: chamfer distances both ways."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numba import njit

from rerank.errors import InputError
from rerank.features.feature_table import FeatureTable
from rerank.features.naming import class_names, scalar_names
from rerank.features.statistics import check_labels
from rerank.types import Array, BoolArray, FloatArray, IntArray

EDGE_SCALARS = ("chamfer_to_edges", "border_unsupported", "chamfer_to_labels", "edges_missed")
EDGE_FEATURES = ("chamfer_to_edges", "border_unsupported", "edges_missed")

#: Distances count up to this share of the image's diagonal.
CHAMFER_LIMIT = 0.05

#: An edge and a border at most this many pixels apart are the same.
MATCH_RADIUS = 3.0


class _Contour(NamedTuple):
    """Pixels of the labels' borders or of the picture's edges, and the way to the others."""

    pixels: IntArray  #: (k,) flat indices
    distance: FloatArray  #: (H * W,) from each pixel of the image to the other contour


def detect_edges(image: Array, sigma: float = 1.5, percentile: float = 90.0) -> BoolArray:
    """Canny's edges (1986) of a colour image, by the channel that changes most.

    Parameters
    ----------
    image : (H, W, 3) uint8
    sigma : float above 0, pixels
        Standard deviation of the Gaussian that the image is smoothed with.
    percentile : float in (0, 100)
        Of the gradient's magnitudes; a pixel above it starts an edge, and an edge continues
        over pixels above 0.4 times that.

    Returns
    -------
    (H, W) bool
        An image of one colour has no edges.

    Raises
    ------
    InputError
        If the image is not (H, W, 3) uint8 or a setting is out of range.
    """
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InputError(f"image must be (H, W, 3) uint8, got {image.dtype} {image.shape}")
    if not sigma > 0 or not 0 < percentile < 100:
        raise InputError(
            f"sigma must be above 0 and percentile in (0, 100), got {sigma} and {percentile}"
        )
    smooth = cv2.GaussianBlur(image.astype(np.float32), (0, 0), sigma)
    dx = cv2.Sobel(smooth, cv2.CV_32F, 1, 0).reshape(smooth.shape)
    dy = cv2.Sobel(smooth, cv2.CV_32F, 0, 1).reshape(smooth.shape)
    strongest = (dx**2 + dy**2).argmax(axis=2)[:, :, None]
    # Canny takes integers; a Sobel response of 8-bit values is below 1021, so 16 bits hold it.
    dx = np.round(np.take_along_axis(dx, strongest, axis=2)[:, :, 0] * 16).astype(np.int16)
    dy = np.round(np.take_along_axis(dy, strongest, axis=2)[:, :, 0] * 16).astype(np.int16)
    high = float(np.percentile(np.hypot(dx.astype(np.float64), dy), percentile))
    if not high > 0:
        return np.zeros(image.shape[:2], dtype=bool)
    return np.asarray(
        cv2.Canny(
            np.ascontiguousarray(dx), np.ascontiguousarray(dy), 0.4 * high, high, L2gradient=True
        )
        > 0
    )


def edge_features(
    labelings: Array,
    superpixels: Array,
    edge_map: Array,
    n_classes: int,
    classes: tuple[str, ...],
    image_id: str = "",
    limit: float = CHAMFER_LIMIT,
    radius: float = MATCH_RADIUS,
) -> FeatureTable:
    """Chamfer distances between the image's edges and a proposal's label borders.

    Distances are cut at `limit` times the diagonal (at least a pixel) and divided by that, to
    be in [0, 1]; a distance that was cut counts as farther than any radius.
    `chamfer_to_edges` = mean distance of a border pixel to the next edge;
    `border_unsupported` = share of border pixels farther than `radius` from any edge;
    `chamfer_to_labels` = mean distance of an edge pixel to the next label border;
    `edges_missed` = share of edge pixels farther than `radius` from any border. A class:
    `chamfer_to_edges[c]` and `border_unsupported[c]` over the pixels of its border, and
    `edges_missed[c]` = share of all edge pixels that are missed within c. A mean over no
    pixels is 0; where there is no edge (or no border) to be near, every distance is 1.

    Both pixels at a change of label belong to the border, each to its own class.

    Parameters
    ----------
    labelings : (M, n) int
    superpixels : (H, W) int
    edge_map : (H, W) bool
        From `detect_edges`, or any edge detector.
    n_classes : int
    classes : C names
    image_id : str
    limit : float above 0
    radius : float, pixels

    Returns
    -------
    FeatureTable
        M rows, 4 + 3 C columns of group `proposal`.

    Raises
    ------
    InputError
        If the map of edges is not of the superpixels' size, or a label is out of range.
    """
    regions = np.ascontiguousarray(superpixels)
    edges = np.asarray(edge_map).astype(bool)
    labels = np.ascontiguousarray(labelings)
    if edges.shape != regions.shape:
        raise InputError(
            f"edge_map {edges.shape} must be of the size of superpixels {regions.shape}"
        )
    check_labels(labels, n_classes)
    cap = max(limit * float(np.hypot(*regions.shape)), 1.0)
    to_edges = _distance(edges, cap)
    places = np.flatnonzero(edges)
    values = np.empty((len(labels), 4 + 3 * n_classes))
    for row, labeling in zip(values, labels):
        border = _border_kernel(labeling, regions)
        to_border = _distance(border, cap)
        _edge_kernel(
            labeling,
            regions,
            _Contour(np.flatnonzero(border), to_edges.ravel()),
            _Contour(places, to_border.ravel()),
            cap,
            radius,
            row,
        )
    columns = scalar_names("proposal", EDGE_SCALARS) + class_names(
        "proposal", EDGE_FEATURES, classes
    )
    return FeatureTable.of_image(values, columns, "proposal", image_id)


def _distance(marked: BoolArray, cap: float) -> FloatArray:
    """(H, W) float32 distance to the next marked pixel, at most `cap`."""
    if not marked.any():
        return np.full(marked.shape, cap, dtype=np.float32)
    away = cv2.distanceTransform((~marked).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # Squares of distances are whole numbers: OpenCV's last bits hang on where the array lies.
    exact = np.sqrt(np.rint(away.reshape(marked.shape).astype(np.float64) ** 2))
    return np.minimum(exact, cap).astype(np.float32)


@njit(cache=True)
def _border_kernel(labeling: Array, regions: IntArray) -> BoolArray:
    height, width = regions.shape
    border = np.zeros((height, width), dtype=np.bool_)
    for y in range(height):
        for x in range(width):
            label = labeling[regions[y, x]]
            if x + 1 < width and labeling[regions[y, x + 1]] != label:
                border[y, x] = True
                border[y, x + 1] = True
            if y + 1 < height and labeling[regions[y + 1, x]] != label:
                border[y, x] = True
                border[y + 1, x] = True
    return border


@njit(cache=True)
def _edge_kernel(
    labeling: Array,
    regions: IntArray,
    borders: _Contour,
    picture: _Contour,
    cap: float,
    radius: float,
    row: FloatArray,
) -> None:
    flat = regions.ravel()
    n_classes = (len(row) - 4) // 3
    border, to_edges = borders
    edges, to_border = picture
    row[:] = 0.0
    pixels = np.zeros(n_classes)
    for place in border:
        c = labeling[flat[place]]
        pixels[c] += 1.0
        row[4 + c] += to_edges[place] / cap
        if to_edges[place] > radius or to_edges[place] >= cap:
            row[4 + n_classes + c] += 1.0
    for c in range(n_classes):
        row[0] += row[4 + c] / max(len(border), 1)
        row[1] += row[4 + n_classes + c] / max(len(border), 1)
        row[4 + c] /= max(pixels[c], 1.0)
        row[4 + n_classes + c] /= max(pixels[c], 1.0)
    for place in edges:
        row[2] += to_border[place] / cap / len(edges)
        if to_border[place] > radius or to_border[place] >= cap:
            row[3] += 1.0 / len(edges)
            row[4 + 2 * n_classes + labeling[flat[place]]] += 1.0 / len(edges)
