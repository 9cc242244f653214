"""Colours of the things that are drawn, and masonry with its surface.

Colours of different materials overlap on purpose; each call draws one colour.
"""

from __future__ import annotations

import colorsys

import numpy as np

from rerank.datasets.scenes import textures
from rerank.datasets.scenes.textures import Picture, Surface


def hue(
    rng: np.random.Generator, *ranges: tuple[float, float, float, float, float, float]
) -> Picture:
    """Draw a colour from one of several ranges.

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws the range and the colour in it.
    *ranges : tuple of 6 floats
        Lowest and highest hue, saturation and value, each in 0..1.

    Returns
    -------
    ndarray of shape (3,), float32 in 0..1
        Red, green and blue.
    """
    low_h, high_h, low_s, high_s, low_v, high_v = ranges[int(rng.integers(len(ranges)))]
    drawn = (
        rng.uniform(low_h, high_h) % 1.0,
        rng.uniform(low_s, high_s),
        rng.uniform(low_v, high_v),
    )
    return np.asarray(colorsys.hsv_to_rgb(*drawn), dtype=np.float32)


def foliage(rng: np.random.Generator) -> Picture:
    """Green, and at times olive, autumn or nearly blue."""
    green = (0.22, 0.38, 0.40, 0.75, 0.25, 0.50)
    return hue(
        rng,
        green,
        green,
        green,
        (0.14, 0.22, 0.40, 0.65, 0.30, 0.50),
        (0.02, 0.11, 0.55, 0.80, 0.40, 0.70),
        (0.38, 0.50, 0.20, 0.45, 0.25, 0.45),
    )


def masonry(rng: np.random.Generator, boards: float) -> tuple[Surface, Picture]:
    """Bricks or boards; red, and at times sandy, grey or blue.

    Parameters
    ----------
    rng : numpy.random.Generator
    boards : float in 0..1
        Probability of boards.

    Returns
    -------
    surface : Surface
    colour : ndarray of shape (3,), float32 in 0..1
    """
    red = (0.0, 0.05, 0.40, 0.65, 0.40, 0.70)
    colour = hue(
        rng,
        red,
        red,
        (0.07, 0.13, 0.20, 0.45, 0.55, 0.80),
        (0.0, 1.0, 0.0, 0.08, 0.40, 0.75),
        (0.50, 0.65, 0.10, 0.25, 0.45, 0.70),
    )
    return textures.planks if rng.random() < boards else textures.bricks, colour


def roofing(rng: np.random.Generator) -> Picture:
    """Red, slate or brown."""
    return hue(
        rng,
        (0.0, 0.04, 0.45, 0.75, 0.40, 0.70),
        (0.55, 0.7, 0.05, 0.25, 0.25, 0.5),
        (0.05, 0.1, 0.3, 0.5, 0.3, 0.5),
    )


def varnish(rng: np.random.Generator) -> Picture:
    """Any colour, mostly a strong one."""
    strong = (0.0, 1.0, 0.60, 0.95, 0.45, 0.90)
    return hue(rng, strong, strong, strong, (0.0, 1.0, 0.0, 0.12, 0.30, 0.90))


def fur(rng: np.random.Generator) -> Picture:
    """Brown, tan, black, white or grey."""
    return hue(
        rng,
        (0.03, 0.08, 0.45, 0.70, 0.28, 0.50),
        (0.06, 0.11, 0.40, 0.60, 0.55, 0.80),
        (0.0, 1.0, 0.0, 0.10, 0.10, 0.20),
        (0.05, 0.15, 0.02, 0.10, 0.78, 0.95),
        (0.0, 1.0, 0.0, 0.05, 0.40, 0.60),
    )
