"""Texture of an image, as channels to be averaged over superpixels."""

from __future__ import annotations

import cv2
import numba
import numpy as np

from rerank.types import FloatArray

#: Widths of the Gaussians under the derivative filters, in pixels.
SCALES = (1.0, 2.0, 4.0)
N_ORIENTATIONS = 8
#: Patterns of 8 neighbours: 0..8 of them brighter in one run, or several runs.
N_PATTERNS = 10
# differences of lightness below this are taken for noise
_PATTERN_THRESHOLD = 2.0


def filter_bank(lightness: FloatArray) -> tuple[FloatArray, list[str]]:
    """Strength of edges, bars and blobs at several scales, and local deviation.

    For each scale the absolute derivatives across and down, and the absolute Laplacian, all of
    the Gaussian-smoothed lightness and multiplied by the scale's power so that scales compare
    (the filters of TextonBoost, Shotton et al. 2009, rectified); then the standard deviation in
    windows of 5 and 13 pixels.

    Parameters
    ----------
    lightness : (H, W) float32
        L of Lab, 0..100.

    Returns
    -------
    channels : (H, W, D) float32
    names : list of D str
    """
    channels: list[FloatArray] = []
    names: list[str] = []
    for sigma in SCALES:
        smooth = _smooth(lightness, sigma)
        across, down = _derivatives(smooth)
        laplacian = cv2.Laplacian(smooth, cv2.CV_32F, ksize=1, borderType=cv2.BORDER_REPLICATE)
        channels += [
            np.abs(across) * np.float32(sigma),
            np.abs(down) * np.float32(sigma),
            np.abs(laplacian) * np.float32(sigma**2),
        ]
        names += [f"{kind}_{sigma:g}" for kind in ("edge_across", "edge_down", "laplacian")]
    for side in (5, 13):
        mean = _box_mean(lightness, side)
        variance = _box_mean(np.square(lightness), side) - np.square(mean)
        channels.append(np.sqrt(np.maximum(variance, 0)))
        names.append(f"deviation_{side}")
    return np.stack(channels, axis=-1), names


def orientation_channels(lightness: FloatArray, sigma: float) -> tuple[FloatArray, list[str]]:
    """Gradient strength split over unsigned orientations, as in HOG (Dalal & Triggs 2005).

    scikit-image's `hog` gives histograms of cells, not of the superpixels that follow.

    Parameters
    ----------
    lightness : (H, W) float32
        L of Lab, 0..100.
    sigma : float
        Width of the Gaussian that smooths it first, in pixels.

    Returns
    -------
    channels : (H, W, 8) float32
        Each pixel's strength, shared linearly between the two nearest orientations; orientation
        0 is a vertical edge.
    names : list of 8 str
    """
    across, down = _derivatives(_smooth(lightness, sigma))
    strength = np.hypot(across, down)
    angle = np.arctan2(down, across) * np.float32(N_ORIENTATIONS / np.pi)
    channels = np.zeros(lightness.shape + (N_ORIENTATIONS,), dtype=np.float32)
    _share_orientations(strength, angle % np.float32(N_ORIENTATIONS), channels)
    return channels, [f"orientation_{sigma:g}_{k}" for k in range(N_ORIENTATIONS)]


def pattern_channels(lightness: FloatArray, radius: int) -> tuple[FloatArray, list[str]]:
    """Rotation-invariant uniform local binary patterns (Ojala et al. 2002), one-hot.

    scikit-image's `local_binary_pattern` has no threshold, so that noise makes patterns of flat
    areas.

    Parameters
    ----------
    lightness : (H, W) float32
        L of Lab, 0..100; the border is repeated outwards.
    radius : int
        Distance of the 8 neighbours in pixels.

    Returns
    -------
    channels : (H, W, 10) float32
        Channel k = 0..8 is 1 where k of the neighbours are brighter by at least 2 of 100 and lie
        in one run, channel 9 for all other patterns.
    names : list of 10 str
    """
    padded = np.pad(lightness, radius, mode="edge")
    channels = np.zeros(lightness.shape + (N_PATTERNS,), dtype=np.float32)
    _mark_patterns(padded, radius, np.float32(_PATTERN_THRESHOLD), channels)
    return channels, [f"pattern_{radius}_{k}" for k in range(N_PATTERNS)]


def _smooth(values: FloatArray, sigma: float) -> FloatArray:
    blurred = cv2.GaussianBlur(values, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    return blurred.astype(np.float32, copy=False)


def _box_mean(values: FloatArray, side: int) -> FloatArray:
    mean = cv2.blur(values, (side, side), borderType=cv2.BORDER_REPLICATE)
    return mean.astype(np.float32, copy=False)


def _derivatives(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    padded = np.pad(values, 1, mode="edge")
    half = np.float32(0.5)
    across = (padded[1:-1, 2:] - padded[1:-1, :-2]) * half
    down = (padded[2:, 1:-1] - padded[:-2, 1:-1]) * half
    return across, down


@numba.njit(cache=True)
def _share_orientations(strength: FloatArray, angle: FloatArray, channels: FloatArray) -> None:
    height, width, n_orientations = channels.shape
    for y in range(height):
        for x in range(width):
            lower = int(angle[y, x])
            upper_share = angle[y, x] - lower
            channels[y, x, lower % n_orientations] += strength[y, x] * (1 - upper_share)
            channels[y, x, (lower + 1) % n_orientations] += strength[y, x] * upper_share


@numba.njit(cache=True)
def _mark_patterns(
    padded: FloatArray, radius: int, threshold: np.float32, channels: FloatArray
) -> None:
    height, width, n_patterns = channels.shape
    steps = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))
    for y in range(height):
        for x in range(width):
            level = padded[y + radius, x + radius] + threshold
            brighter = 0
            changes = 0
            dy, dx = steps[7]
            before = padded[y + radius + radius * dy, x + radius + radius * dx] >= level
            for dy, dx in steps:
                now = padded[y + radius + radius * dy, x + radius + radius * dx] >= level
                brighter += now
                changes += now != before
                before = now
            channels[y, x, brighter if changes <= 2 else n_patterns - 1] = 1
