"""Colour of an image, as channels to be averaged over superpixels."""

from __future__ import annotations

import numba
import numpy as np
from skimage.color import rgb2hsv

from rerank.types import Array, FloatArray

#: Centres of the histogram bins of L, a and b.
LIGHTNESS_BINS = np.linspace(5, 95, 8)
OPPONENT_BINS = np.array([-48.0, -28.0, -16.0, -8.0, 0.0, 8.0, 16.0, 28.0, 48.0])


def colour_channels(image: Array, lab: FloatArray) -> tuple[FloatArray, list[str]]:
    """Lab, and hue and saturation of HSV with hue as a point on the circle.

    Parameters
    ----------
    image : (H, W, 3) uint8
        RGB.
    lab : (H, W, 3) float32
        The same image in Lab.

    Returns
    -------
    channels : (H, W, 6) float32
        L, a, b, saturation, and saturation times cosine and sine of the hue.
    names : list of 6 str
    """
    hsv = rgb2hsv(image.astype(np.float32) / np.float32(255))
    hue, saturation = hsv[..., 0] * np.float32(2 * np.pi), hsv[..., 1]
    channels = np.concatenate(
        [lab, np.stack([saturation, saturation * np.cos(hue), saturation * np.sin(hue)], axis=-1)],
        axis=-1,
        dtype=np.float32,
    )
    return channels, ["L", "a", "b", "saturation", "hue_cos", "hue_sin"]


def histogram_channels(lab: FloatArray) -> tuple[FloatArray, list[str]]:
    """Membership of each pixel in bins of L, a and b, shared linearly between two bins.

    Parameters
    ----------
    lab : (H, W, 3) float32

    Returns
    -------
    channels : (H, W, 26) float32
        Each of the three groups sums to 1 at every pixel; values beyond the outer bins belong to
        them.
    names : list of 26 str
    """
    blocks: list[FloatArray] = []
    names: list[str] = []
    for axis, (name, centres) in enumerate(
        (("L", LIGHTNESS_BINS), ("a", OPPONENT_BINS), ("b", OPPONENT_BINS))
    ):
        block = np.zeros(lab.shape[:2] + (centres.size,), dtype=np.float32)
        _share_bins(np.ascontiguousarray(lab[..., axis]), centres.astype(np.float32), block)
        blocks.append(block)
        names += [f"{name}_near_{centre:g}" for centre in centres.round()]
    return np.concatenate(blocks, axis=-1), names


@numba.njit(cache=True)
def _share_bins(values: FloatArray, centres: FloatArray, channels: FloatArray) -> None:
    height, width, n_bins = channels.shape
    for y in range(height):
        for x in range(width):
            value = min(max(values[y, x], centres[0]), centres[n_bins - 1])
            lower = 0
            while lower < n_bins - 2 and value >= centres[lower + 1]:
                lower += 1
            share = (value - centres[lower]) / (centres[lower + 1] - centres[lower])
            channels[y, x, lower] = 1 - share
            channels[y, x, lower + 1] = share
