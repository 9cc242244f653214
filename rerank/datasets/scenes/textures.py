"""Surfaces of the drawn scenes, one function per surface.

A surface takes `height` and `width` in pixels, `colour`, (3,) float32 in 0..1, and a random
generator `rng`. It returns its texture, (height, width, 3) float32 in about 0..1. Colours of
different surfaces overlap on purpose: grass differs from foliage, and water from sky, in its grain
and not in its hue.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.float32]
Surface = Callable[[int, int, Picture, np.random.Generator], Picture]


def noise(
    height: int, width: int, cell: float, rng: np.random.Generator, stretch: float = 1.0
) -> Picture:
    """Smooth noise.

    Parameters
    ----------
    height, width : int
        Size in pixels.
    cell : float
        Height of the features in pixels.
    rng : numpy.random.Generator
    stretch : float
        Width of the features as a multiple of their height.

    Returns
    -------
    ndarray of shape (height, width), float32 in about -1..1
    """
    rows = max(2, int(np.ceil(height / cell)) + 1)
    columns = max(2, int(np.ceil(width / (cell * stretch))) + 1)
    coarse = rng.uniform(-1.0, 1.0, (rows, columns)).astype(np.float32)
    return np.asarray(
        cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), dtype=np.float32
    )


def grain(
    height: int, width: int, rng: np.random.Generator, across: float = 0.0, down: float = 0.0
) -> Picture:
    """Blurred white noise.

    Parameters
    ----------
    height, width : int
        Size in pixels.
    rng : numpy.random.Generator
    across, down : float
        Standard deviations of the Gaussian blur in pixels; both 0 means no blur.

    Returns
    -------
    ndarray of shape (height, width), float32 of standard deviation 1
    """
    white = rng.standard_normal((height, width), dtype=np.float32)
    if across <= 0.0 and down <= 0.0:
        return white
    soft = cv2.GaussianBlur(
        white,
        (0, 0),
        sigmaX=max(across, 0.05),
        sigmaY=max(down, 0.05),
        borderType=cv2.BORDER_REFLECT,
    )
    return np.asarray(soft / max(float(soft.std()), 1e-6), dtype=np.float32)


def blades(height: int, width: int, colour: Picture, rng: np.random.Generator) -> Picture:
    """Grass: short upright strokes over soft patches."""
    value = 0.12 * grain(height, width, rng, across=0.35, down=2.0)
    value += 0.08 * noise(height, width, 18.0, rng, stretch=1.8)
    return _shade(colour, value)


def waves(height: int, width: int, colour: Picture, rng: np.random.Generator) -> Picture:
    """Water: level streaks that grow towards the viewer."""
    value = 0.10 * grain(height, width, rng, across=5.0, down=0.6)
    depth = np.linspace(0.0, 1.0, height, dtype=np.float32)[:, np.newaxis]
    bend = noise(height, width, 14.0, rng, stretch=2.5)
    value += 0.07 * np.sin(26.0 * np.sqrt(depth + 0.05) * 2.0 + 2.5 * bend)
    return _shade(colour, value)


def gravel(height: int, width: int, colour: Picture, rng: np.random.Generator) -> Picture:
    """Road: fine isotropic grain and faint wear."""
    white = grain(height, width, rng)
    value = 0.09 * white + 0.10 * (white > 1.6) - 0.10 * (white < -1.6)
    value += 0.07 * noise(height, width, 24.0, rng, stretch=2.5)
    return _shade(colour, value)


def leaves(height: int, width: int, colour: Picture, rng: np.random.Generator) -> Picture:
    """Foliage: clumps of light and dark blobs of two or three pixels."""
    value = 0.21 * np.tanh(1.6 * grain(height, width, rng, across=1.4, down=1.4))
    value += 0.12 * noise(height, width, 9.0, rng) - 0.05
    return _shade(colour, value)


def bricks(height: int, width: int, colour: Picture, rng: np.random.Generator) -> Picture:
    """Masonry: courses of bricks, each of its own shade, with light or dark mortar."""
    course = float(rng.uniform(4.0, 5.5))
    length = course * float(rng.uniform(1.9, 2.4))
    row = np.floor(np.arange(height) / course).astype(np.int64)
    down = np.arange(height) % course
    shifted = np.arange(width)[np.newaxis, :] + 0.5 * length * (row % 2)[:, np.newaxis]
    column = np.floor(shifted / length).astype(np.int64)
    shades = rng.uniform(-0.11, 0.11, (int(row.max()) + 1, int(column.max()) + 1))
    value = shades[row[:, np.newaxis], column].astype(np.float32)
    joint = (down < 1.0)[:, np.newaxis] | (shifted % length < 1.0)
    value = np.where(joint, float(rng.choice([-0.28, 0.28])), value).astype(np.float32)
    return _shade(colour, value + 0.03 * grain(height, width, rng))


def planks(height: int, width: int, colour: Picture, rng: np.random.Generator) -> Picture:
    """Boards, with dark gaps and a fine level grain."""
    board = float(rng.uniform(4.0, 6.0))
    row = np.floor(np.arange(height) / board).astype(np.int64)
    shades = rng.uniform(-0.09, 0.09, int(row.max()) + 1)[row]
    value = np.where(np.arange(height) % board < 1.2, -0.38, shades)[:, np.newaxis]
    streaks = 0.03 * grain(height, width, rng, across=4.0, down=0.5)
    return _shade(colour, value.astype(np.float32) + streaks)


def paint(height: int, width: int, colour: Picture, rng: np.random.Generator) -> Picture:
    """Painted metal or wood: smooth, with a bright band where it catches the light."""
    down = np.linspace(0.0, 1.0, height, dtype=np.float32)[:, np.newaxis]
    at = float(rng.uniform(0.15, 0.4))
    value = 0.30 * np.exp(-(((down - at) / 0.14) ** 2)) - 0.32 * down + 0.06
    value = value + 0.03 * noise(height, width, 12.0, rng)
    return _shade(colour, value.astype(np.float32))


def broad_coat(height: int, width: int, colour: Picture, rng: np.random.Generator) -> Picture:
    """Fur, often with large patches of another colour."""
    return _coat(height, width, colour, float(rng.uniform(6.0, 12.0)), rng)


def narrow_coat(height: int, width: int, colour: Picture, rng: np.random.Generator) -> Picture:
    """Fur, often with patches that are mostly smaller than those of a broad coat."""
    return _coat(height, width, colour, float(rng.uniform(4.0, 8.0)), rng)


def tiles(height: int, width: int, colour: Picture, rng: np.random.Generator) -> Picture:
    """Roofs: narrow courses."""
    course = float(rng.uniform(2.6, 3.6))
    phase = (np.arange(height, dtype=np.float32) % course) / course
    value = 0.16 * (phase - 0.5)[:, np.newaxis]
    return _shade(colour, value + 0.05 * grain(height, width, rng, across=0.8, down=0.3))


def bark(height: int, width: int, colour: Picture, rng: np.random.Generator) -> Picture:
    """Trunks and posts: upright ridges."""
    return _shade(colour, 0.16 * grain(height, width, rng, across=0.6, down=4.0))


def plain(height: int, width: int, colour: Picture, rng: np.random.Generator) -> Picture:
    """Glass, rubber and cloth: hardly any texture."""
    return _shade(colour, 0.03 * grain(height, width, rng, across=1.0, down=1.0))


def clouds(height: int, width: int, colour: Picture, rng: np.random.Generator) -> Picture:
    """Sky: paler towards the horizon, with soft clouds."""
    down = np.linspace(0.0, 1.0, height, dtype=np.float32)[:, np.newaxis, np.newaxis]
    pale = colour + (1.0 - colour) * 0.45
    sky = (1.0 - down) * colour + down * pale
    billows = noise(height, width, 26.0, rng, stretch=2.0)
    billows = billows + 0.5 * noise(height, width, 11.0, rng, stretch=2.0)
    cover = np.clip(billows + float(rng.uniform(-0.9, 0.5)), 0.0, 1.0)[:, :, np.newaxis]
    return np.asarray(sky * (1.0 - 0.7 * cover) + 0.66 * cover, dtype=np.float32)


def _coat(
    height: int, width: int, colour: Picture, cell: float, rng: np.random.Generator
) -> Picture:
    """A base colour, patches of `cell` pixels of a light or a dark one, and fine hair."""
    other = np.asarray(
        [0.92, 0.90, 0.86] if colour.mean() < 0.45 else [0.16, 0.13, 0.11], dtype=np.float32
    )
    share = float(rng.choice([2.0, 0.25, 0.1, -0.05]))
    patches = noise(height, width, cell, rng) + 0.3 * noise(height, width, 0.4 * cell, rng)
    blend = np.clip((patches - share) * 6.0, 0.0, 1.0)[:, :, np.newaxis]
    base = (1.0 - blend) * colour + blend * other
    hair = 0.04 * grain(height, width, rng, across=0.9, down=0.5)
    return base * (1.0 + hair[:, :, np.newaxis])


def _shade(colour: Picture, value: Picture) -> Picture:
    """Make a colour lighter and darker in proportion, and its highlights a little paler."""
    lit = colour * (1.0 + 1.6 * value[:, :, np.newaxis])
    return (lit + 0.12 * np.maximum(value, 0.0)[:, :, np.newaxis]).astype(np.float32)
