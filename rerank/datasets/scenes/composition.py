"""One scene: backdrop, grounds, things from far to near, and the camera's blur and noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import cv2
import numpy as np
import numpy.typing as npt

from rerank.datasets.scenes import textures
from rerank.datasets.scenes.canvas import Canvas, Points, shape
from rerank.datasets.scenes.materials import hue
from rerank.datasets.scenes.objects import (
    Stand,
    paint_boat,
    paint_bush,
    paint_car,
    paint_cow,
    paint_dog,
    paint_house,
    paint_tree,
    paint_wall,
)
from rerank.datasets.scenes.scene_classes import SceneClass
from rerank.datasets.scenes.textures import Picture, Surface

Painter = Callable[[Canvas, Stand, np.random.Generator], None]


@dataclass(frozen=True)
class Kind:
    """How a thing is painted, how large it is near the viewer, and where it stands.

    Attributes
    ----------
    painter : function
        Paints it.
    size : (float, float)
        Smallest and largest size at the lower edge, as a share of the image's height.
    grounds : tuple of SceneClass
        What it usually stands on.
    faithful : float in 0..1
        How often it stands there; otherwise it stands on any land.
    """

    painter: Painter
    size: tuple[float, float]
    grounds: tuple[SceneClass, ...]
    faithful: float


_LAND = (SceneClass.GRASS, SceneClass.ROAD)

KINDS: Mapping[SceneClass, Kind] = MappingProxyType(
    {
        SceneClass.TREE: Kind(paint_tree, (0.65, 1.00), (SceneClass.GRASS,), 0.85),
        SceneClass.BUSH: Kind(paint_bush, (0.28, 0.48), _LAND, 1.0),
        SceneClass.HOUSE: Kind(paint_house, (0.65, 0.95), _LAND, 1.0),
        SceneClass.WALL: Kind(paint_wall, (0.24, 0.38), _LAND, 1.0),
        SceneClass.CAR: Kind(paint_car, (0.65, 0.95), (SceneClass.ROAD,), 0.85),
        SceneClass.BOAT: Kind(paint_boat, (0.65, 0.95), (SceneClass.WATER,), 0.9),
        SceneClass.COW: Kind(paint_cow, (0.62, 0.82), (SceneClass.GRASS,), 0.85),
        SceneClass.DOG: Kind(paint_dog, (0.55, 0.75), (SceneClass.ROAD,), 0.7),
    }
)

#: How often each thing is drawn in each kind of place. Every thing occurs in every place, so that
#: no place determines a thing, and some are more frequent than others.
PLACES: Mapping[str, Mapping[SceneClass, float]] = MappingProxyType(
    {
        # tree, bush, house, wall, car, boat, cow, dog
        "farm": dict(zip(KINDS, (3, 2.5, 1, 1.5, 1.2, 0.4, 4, 1.5))),
        "street": dict(zip(KINDS, (1.5, 2.5, 2, 1.5, 5, 0.4, 0.5, 3))),
        "shore": dict(zip(KINDS, (2, 1.5, 0.7, 0.8, 1, 7, 1, 2))),
    }
)

#: The grounds of each place: what covers everything below the horizon, and what may lie over it.
GROUNDS: Mapping[str, tuple[SceneClass, SceneClass]] = MappingProxyType(
    {
        "farm": (SceneClass.GRASS, SceneClass.ROAD),
        "street": (SceneClass.ROAD, SceneClass.GRASS),
        "shore": (SceneClass.WATER, SceneClass.GRASS),
    }
)


def draw_scene(
    height: int, width: int, rng: np.random.Generator
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Draw an image and its labels.

    Parameters
    ----------
    height, width : int, at least 32
        Size in pixels.
    rng : numpy.random.Generator
        The scene depends on its state alone.

    Returns
    -------
    image : ndarray of shape (height, width, 3), uint8
    labels : ndarray of shape (height, width), uint8
        Members of `SceneClass`.
    """
    canvas = Canvas(height, width, SceneClass.BACKGROUND)
    light = (float(rng.uniform(-0.45, 0.45)), float(rng.uniform(-0.5, -0.1)))
    horizon = height * float(rng.uniform(0.30, 0.48))
    place = str(rng.choice(list(PLACES)))
    _paint_backdrop(canvas, horizon, rng)
    _paint_grounds(canvas, horizon, place, rng)
    _paint_things(canvas, horizon, place, rng, light)
    return _photograph(canvas.image, rng), canvas.labels


def _paint_backdrop(canvas: Canvas, horizon: float, rng: np.random.Generator) -> None:
    """Sky and, often, hills; both are background."""
    blue = (0.53, 0.62, 0.25, 0.60, 0.65, 0.92)
    sky = hue(
        rng, blue, blue, (0.55, 0.70, 0.02, 0.12, 0.55, 0.85), (0.03, 0.12, 0.25, 0.55, 0.75, 0.92)
    )
    everything = shape((0, 0), (canvas.width, 0), (canvas.width, horizon + 2), (0, horizon + 2))
    canvas.fill([everything], textures.clouds, sky, SceneClass.BACKGROUND, rng)
    if rng.random() < 0.6:
        hill = hue(rng, (0.25, 0.65, 0.10, 0.35, 0.35, 0.60))
        rise = canvas.height * float(rng.uniform(0.04, 0.16))
        crest = _ridge(canvas.width, horizon - rise, rise, rng)
        foot = shape((canvas.width + 1, horizon + 2), (-1, horizon + 2))
        canvas.fill(
            [np.concatenate([crest, foot])], textures.plain, hill, SceneClass.BACKGROUND, rng
        )


def _paint_grounds(canvas: Canvas, horizon: float, place: str, rng: np.random.Generator) -> None:
    """The first ground up to the horizon, and perhaps the second beside, before or across it."""
    height, width = canvas.height, canvas.width
    first, second = GROUNDS[place]
    floor = shape((0, horizon), (width, horizon), (width, height + 1), (0, height + 1))
    light = (float(rng.uniform(-0.2, 0.2)), float(rng.uniform(0.0, 0.3)))
    surface, colour = _ground(first, rng)
    canvas.fill([floor], surface, colour, first, rng, light)
    if rng.random() < (0.95 if place == "shore" else 0.7):
        if rng.random() < 0.35:
            second = SceneClass.ROAD if place == "shore" else second
        surface, colour = _ground(second, rng)
        span = height - horizon
        if place == "farm":
            far, near = rng.uniform(0.15, 0.85, 2) * width
            wide = rng.uniform(0.25, 0.5) * width
            strip = shape(
                (far, horizon),
                (far + 0.1 * wide, horizon),
                (near + wide, height + 1),
                (near - 0.4 * wide, height + 1),
            )
        else:
            start = horizon + span * rng.uniform(0.35, 0.65)
            crest = _ridge(width, start, 0.12 * span, rng)
            strip = np.concatenate([crest, shape((width + 1, height + 1), (-1, height + 1))])
            if rng.random() < 0.4:
                strip = np.concatenate([crest, shape((width + 1, horizon), (-1, horizon))])
        canvas.fill([strip], surface, colour, second, rng, light)


def _ground(label: SceneClass, rng: np.random.Generator) -> tuple[Surface, Picture]:
    """The surface and colour of a ground; the colours of the three overlap."""
    if label == SceneClass.GRASS:
        green = (0.20, 0.34, 0.40, 0.70, 0.40, 0.68)
        return textures.blades, hue(
            rng,
            green,
            green,
            (0.10, 0.17, 0.30, 0.60, 0.45, 0.70),
            (0.06, 0.10, 0.25, 0.45, 0.35, 0.55),
        )
    if label == SceneClass.WATER:
        blue = (0.50, 0.64, 0.30, 0.65, 0.35, 0.70)
        return textures.waves, hue(
            rng,
            blue,
            blue,
            (0.28, 0.48, 0.15, 0.45, 0.30, 0.55),
            (0.05, 0.70, 0.05, 0.15, 0.40, 0.65),
        )
    grey = (0.0, 1.0, 0.0, 0.10, 0.35, 0.65)
    return textures.gravel, hue(
        rng, grey, grey, (0.06, 0.13, 0.20, 0.45, 0.40, 0.70), (0.55, 0.65, 0.08, 0.25, 0.35, 0.60)
    )


def _paint_things(
    canvas: Canvas, horizon: float, place: str, rng: np.random.Generator, light: tuple[float, float]
) -> None:
    """Up to seven things, the far ones first, larger towards the viewer."""
    height = canvas.height
    names = list(PLACES[place])
    weights = np.array([PLACES[place][name] for name in names])
    floor = canvas.labels.copy()
    taken: list[float] = []
    for depth in np.sort(rng.uniform(0.25, 1.0, int(rng.integers(4, 8)))):
        name = names[int(rng.choice(len(names), p=weights / weights.sum()))]
        kind = KINDS[name]
        y = horizon + depth * (height - horizon)
        row = floor[min(int(y), height - 1)]
        stands = np.isin(row, kind.grounds)
        if rng.random() >= kind.faithful:
            stands = np.isin(row, _LAND)
        if not stands.any():
            continue
        tries = rng.choice(np.flatnonzero(stands), 3)
        gaps = [min((abs(x - other) for other in taken), default=0.0) for x in tries]
        x = float(tries[int(np.argmax(gaps))])
        taken.append(x)
        size = height * rng.uniform(*kind.size) * (0.5 + 0.5 * depth)
        kind.painter(canvas, Stand(x, y, size, light), rng)


def _photograph(image: Picture, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Light of one colour and direction, blur and noise."""
    height, width = image.shape[:2]
    cast = rng.uniform(0.85, 1.12, 3).astype(np.float32) * np.float32(rng.uniform(0.8, 1.1))
    across = np.linspace(-0.5, 0.5, width, dtype=np.float32)[np.newaxis, :]
    down = np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, np.newaxis]
    slopes = rng.uniform(-0.3, 0.3, 2).astype(np.float32)
    shade = 1.0 + slopes[0] * across + slopes[1] * down
    lit = np.clip(image, 0.0, 1.2) * cast * shade[:, :, np.newaxis]
    lit = cv2.GaussianBlur(lit, (0, 0), sigmaX=float(rng.uniform(0.3, 0.6)))
    noise = rng.standard_normal(lit.shape, dtype=np.float32) * np.float32(rng.uniform(0.008, 0.028))
    levels = np.rint(255.0 * np.clip(lit + noise, 0.0, 1.0))
    return np.asarray(levels, dtype=np.uint8)


def _ridge(width: int, level: float, swing: float, rng: np.random.Generator) -> Points:
    """A wavy line from left to right about a level."""
    across = np.linspace(-1.0, width + 1.0, 33)
    wave = textures.noise(1, 33, 9.0, rng)[0].astype(np.float64)
    return np.stack([across, level + 0.5 * swing * wave], axis=1)
