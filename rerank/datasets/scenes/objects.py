"""The things of the drawn scenes, in pairs that look alike close up.

Tree and bush share foliage, house and wall masonry, car and boat paint, and cow and dog coats, with
the same colours. The whole distinguishes them: a trunk, a roof, wheels, a mast, the build of an
animal, the size for its distance, and the ground below.

Each function paints one thing on a `canvas`, where `stand` says. The random generator `rng` draws
its details.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rerank.datasets.scenes import textures
from rerank.datasets.scenes.canvas import Canvas, Points, box, ellipse, shape
from rerank.datasets.scenes.materials import foliage, fur, hue, masonry, roofing, varnish
from rerank.datasets.scenes.scene_classes import SceneClass


class Stand(NamedTuple):
    """Where a thing stands, how large it is, and how it is lit.

    Attributes
    ----------
    x, y : float
        The middle of its foot, in pixels.
    size : float
        Its height or length in pixels.
    light : (float, float)
        As in `Canvas.fill`.
    """

    x: float
    y: float
    size: float
    light: tuple[float, float]


def paint_tree(canvas: Canvas, stand: Stand, rng: np.random.Generator) -> None:
    """A crown of foliage on a trunk that shows."""
    x, y, size, light = stand
    trunk = size * rng.uniform(0.22, 0.34)
    thick = size * rng.uniform(0.045, 0.07)
    lean = size * rng.uniform(-0.05, 0.05)
    stem = shape(
        (x - thick, y),
        (x + thick, y),
        (x + lean + 0.6 * thick, y - 1.4 * trunk),
        (x + lean - 0.6 * thick, y - 1.4 * trunk),
    )
    wood = hue(rng, (0.04, 0.10, 0.25, 0.5, 0.25, 0.42), (0.05, 0.12, 0.05, 0.2, 0.3, 0.55))
    canvas.darken([ellipse(x, y, 0.35 * size, 0.05 * size)], 0.35)
    canvas.fill([stem], textures.bark, wood, SceneClass.TREE, rng, light)
    crown = size - trunk
    if rng.random() < 0.25:
        half = crown * rng.uniform(0.28, 0.38)
        parts = [shape((x + lean, y - size), (x + half, y - trunk), (x - half, y - trunk))]
    else:
        parts = _clump(x + lean, y - trunk - 0.5 * crown, 0.42 * crown, 0.5 * crown, rng)
    canvas.fill(parts, textures.leaves, foliage(rng), SceneClass.TREE, rng, light)


def paint_bush(canvas: Canvas, stand: Stand, rng: np.random.Generator) -> None:
    """Foliage that sits on the ground, wider than high."""
    x, y, size, light = stand
    half = size * rng.uniform(0.6, 1.0)
    canvas.darken([ellipse(x, y, half, 0.10 * size)], 0.35)
    parts = _clump(x, y - 0.48 * size, half, 0.5 * size, rng)
    level = [np.stack([part[:, 0], np.minimum(part[:, 1], y)], axis=1) for part in parts]
    canvas.fill(level, textures.leaves, foliage(rng), SceneClass.BUSH, rng, light)


def paint_house(canvas: Canvas, stand: Stand, rng: np.random.Generator) -> None:
    """A front with a roof, windows and a door."""
    x, y, size, light = stand
    half = size * rng.uniform(0.45, 0.75)
    eaves = y - size * rng.uniform(0.52, 0.64)
    surface, colour = masonry(rng, boards=0.25)
    label = SceneClass.HOUSE
    canvas.darken([ellipse(x, y, 1.1 * half, 0.05 * size)], 0.35)
    canvas.fill([box(x - half, eaves, x + half, y)], surface, colour, label, rng, light)
    over = 0.10 * half
    ridge = half * rng.choice([0.0, 0.55])
    roof = shape(
        (x - half - over, eaves),
        (x - ridge, y - size),
        (x + ridge, y - size),
        (x + half + over, eaves),
    )
    canvas.fill([roof], textures.tiles, roofing(rng), label, rng, light)
    wall = y - eaves
    glass = hue(rng, (0.5, 0.65, 0.1, 0.4, 0.15, 0.4), (0.1, 0.16, 0.2, 0.5, 0.7, 0.95))
    count = int(rng.integers(2, 4))
    for index in range(count):
        middle = x + half * (2.0 * (index + 0.5) / count - 1.0)
        wide = 0.42 * half / count
        if index == count // 2 and rng.random() < 0.7:
            door = hue(rng, (0.0, 1.0, 0.3, 0.7, 0.2, 0.5))
            canvas.fill(
                [box(middle - wide, y - 0.62 * wall, middle + wide, y)],
                textures.plain,
                door,
                label,
                rng,
            )
        else:
            canvas.fill(
                [box(middle - wide, y - 0.78 * wall, middle + wide, y - 0.36 * wall)],
                textures.plain,
                glass,
                label,
                rng,
            )


def paint_wall(canvas: Canvas, stand: Stand, rng: np.random.Generator) -> None:
    """Long, low masonry with a coping."""
    x, y, size, light = stand
    half = size * rng.uniform(1.1, 2.4)
    slope = size * rng.uniform(-0.12, 0.12)
    surface, colour = masonry(rng, boards=0.5)
    canvas.darken([ellipse(x, y, half, 0.08 * size)], 0.35)
    front = shape(
        (x - half, y - size - slope),
        (x + half, y - size + slope),
        (x + half, y + slope),
        (x - half, y - slope),
    )
    canvas.fill([front], surface, colour, SceneClass.WALL, rng, light)
    cap = 0.10 * size
    top, ends = y - size, (x - half - cap, x + half + cap)
    coping = shape(
        (ends[0], top - slope - cap),
        (ends[1], top + slope - cap),
        (ends[1], top + slope),
        (ends[0], top - slope),
    )
    canvas.fill(
        [coping],
        textures.plain,
        colour * np.float32(rng.uniform(0.7, 1.2)),
        SceneClass.WALL,
        rng,
        light,
    )


def paint_car(canvas: Canvas, stand: Stand, rng: np.random.Generator) -> None:
    """A painted body with a cabin, on wheels."""
    x, y, size, light = stand
    half, label = 0.5 * size, SceneClass.CAR
    high = size * rng.uniform(0.17, 0.22)
    wheel = size * rng.uniform(0.085, 0.11)
    floor = y - 0.7 * wheel
    facing = float(rng.choice([-1.0, 1.0]))
    colour = varnish(rng)
    canvas.darken([ellipse(x, y, 1.05 * half, 0.07 * size)], 0.5)
    body = shape(
        (x - half, floor - 0.9 * high),
        (x + 0.98 * half, floor - high),
        (x + half, floor),
        (x - half, floor),
    )
    cabin = shape(
        (x - 0.62 * half, floor - high),
        (x - 0.42 * half, floor - 1.95 * high),
        (x + 0.30 * half, floor - 1.95 * high),
        (x + 0.60 * half, floor - high),
    )
    body, cabin = (_mirror(part, x, facing) for part in (body, cabin))
    canvas.fill([body, cabin], textures.paint, colour, label, rng, light)
    _windows(
        canvas, x - 0.42 * half, x + 0.32 * half, floor - 1.8 * high, floor - 1.1 * high, label, rng
    )
    rubber = hue(rng, (0.0, 1.0, 0.0, 0.1, 0.08, 0.16))
    steel = hue(rng, (0.0, 1.0, 0.0, 0.1, 0.5, 0.8))
    for side in (-0.58, 0.58):
        middle = x + side * half
        canvas.fill([ellipse(middle, y - wheel, wheel, wheel)], textures.plain, rubber, label, rng)
        canvas.fill(
            [ellipse(middle, y - wheel, 0.45 * wheel, 0.45 * wheel)],
            textures.plain,
            steel,
            label,
            rng,
        )


def paint_boat(canvas: Canvas, stand: Stand, rng: np.random.Generator) -> None:
    """A painted hull with a cabin or a sail."""
    x, y, size, light = stand
    half, label = 0.5 * size, SceneClass.BOAT
    high = size * rng.uniform(0.17, 0.24)
    facing = float(rng.choice([-1.0, 1.0]))
    canvas.darken([ellipse(x, y, half, 0.07 * size)], 0.4)
    hull = shape(
        (x - half, y - high),
        (x + 1.06 * half, y - 1.15 * high),
        (x + 0.62 * half, y),
        (x - 0.78 * half, y),
    )
    parts = [_mirror(hull, x, facing)]
    colour = varnish(rng)
    if rng.random() < 0.5:
        cabin = shape(
            (x - 0.6 * half, y - high),
            (x - 0.5 * half, y - 1.85 * high),
            (x + 0.15 * half, y - 1.85 * high),
            (x + 0.3 * half, y - high),
        )
        canvas.fill([_mirror(cabin, x, facing), *parts], textures.paint, colour, label, rng, light)
        ends = sorted((x - 0.42 * half * facing, x + 0.1 * half * facing))
        _windows(canvas, ends[0], ends[1], y - 1.7 * high, y - 1.15 * high, label, rng)
    else:
        mast = size * rng.uniform(0.65, 0.95)
        pole = box(x - 0.02 * size, y - high - mast, x + 0.02 * size, y - high)
        wood = hue(rng, (0.05, 0.12, 0.2, 0.5, 0.3, 0.6))
        canvas.fill([pole], textures.bark, wood, label, rng)
        sail = shape(
            (x + 0.05 * half, y - high - 0.96 * mast),
            (x + 0.8 * half, y - 1.25 * high),
            (x + 0.05 * half, y - 1.25 * high),
        )
        cloth = hue(rng, (0.1, 0.2, 0.02, 0.15, 0.8, 0.98), (0.0, 1.0, 0.3, 0.7, 0.5, 0.9))
        canvas.fill([_mirror(sail, x, facing)], textures.plain, cloth, label, rng, light)
        canvas.fill(parts, textures.paint, colour, label, rng, light)


def paint_cow(canvas: Canvas, stand: Stand, rng: np.random.Generator) -> None:
    """A deep, level body on short legs, the head low, with horns."""
    x, y, size, light = stand
    facing, label = float(rng.choice([-1.0, 1.0])), SceneClass.COW
    leg, deep = 0.24 * size, 0.19 * size
    middle = y - leg - 0.85 * deep
    canvas.darken([ellipse(x, y, 0.5 * size, 0.06 * size)], 0.4)
    body = [_slab(x, middle, 0.42 * size, deep)]
    head = x + facing * 0.50 * size
    body.append(ellipse(head, middle - 0.02 * size, 0.13 * size, 0.085 * size, facing * 0.7))
    for at in (-0.34, -0.22, 0.22, 0.34):
        foot = x + at * size
        body.append(box(foot - 0.04 * size, middle, foot + 0.04 * size, y))
    colour = fur(rng)
    canvas.fill(body, textures.broad_coat, colour, label, rng, light)
    horn = hue(rng, (0.08, 0.14, 0.1, 0.3, 0.7, 0.95))
    tip = middle - 0.20 * size
    for side in (-0.05, 0.05):
        root = head + side * size
        canvas.fill(
            [
                shape(
                    (root - 0.02 * size, tip + 0.12 * size),
                    (root + 2.2 * side * size * 0.4, tip),
                    (root + 0.02 * size, tip + 0.12 * size),
                )
            ],
            textures.plain,
            horn,
            label,
            rng,
        )


def paint_dog(canvas: Canvas, stand: Stand, rng: np.random.Generator) -> None:
    """A slender body on long legs, the head and the tail high."""
    x, y, size, light = stand
    facing, label = float(rng.choice([-1.0, 1.0])), SceneClass.DOG
    leg, deep = 0.33 * size, 0.125 * size
    middle = y - leg - 0.8 * deep
    canvas.darken([ellipse(x, y, 0.42 * size, 0.05 * size)], 0.4)
    body = [
        ellipse(x - facing * 0.05 * size, middle, 0.34 * size, deep),
        ellipse(x + facing * 0.16 * size, middle - 0.01 * size, 0.17 * size, 1.2 * deep),
    ]
    neck = shape(
        (x + facing * 0.18 * size, middle),
        (x + facing * 0.30 * size, middle - 0.30 * size),
        (x + facing * 0.42 * size, middle - 0.26 * size),
        (x + facing * 0.32 * size, middle + 0.04 * size),
    )
    skull = ellipse(
        x + facing * 0.42 * size, middle - 0.28 * size, 0.13 * size, 0.075 * size, facing * 0.15
    )
    ear = shape(
        (x + facing * 0.32 * size, middle - 0.31 * size),
        (x + facing * 0.34 * size, middle - 0.45 * size),
        (x + facing * 0.41 * size, middle - 0.33 * size),
    )
    tail = shape(
        (x - facing * 0.34 * size, middle - 0.03 * size),
        (x - facing * 0.55 * size, middle - 0.28 * size),
        (x - facing * 0.50 * size, middle - 0.30 * size),
        (x - facing * 0.28 * size, middle - 0.07 * size),
    )
    legs = [
        box(x + at * size - 0.033 * size, middle, x + at * size + 0.033 * size, y)
        for at in (-0.30, -0.20, 0.14, 0.24)
    ]
    parts = [*body, neck, skull, ear, tail, *legs]
    canvas.fill(parts, textures.narrow_coat, fur(rng), label, rng, light)


def _clump(
    x: float, y: float, across: float, down: float, rng: np.random.Generator
) -> list[Points]:
    """Ellipses that overlap in a cloud of about the given half-axes."""
    parts = [ellipse(x, y, 0.75 * across, 0.75 * down)]
    for turn in np.arange(7) * (2.0 * np.pi / 7.0) + rng.uniform(0.0, 1.0):
        reach = rng.uniform(0.5, 0.7)
        grow = rng.uniform(0.32, 0.48)
        parts.append(
            ellipse(
                x + reach * across * np.cos(turn),
                y + reach * down * np.sin(turn),
                grow * across,
                grow * down,
            )
        )
    return parts


def _slab(x: float, y: float, across: float, down: float) -> Points:
    """A box with rounded corners (a superellipse of order four)."""
    turn = np.linspace(0.0, 2.0 * np.pi, 32, endpoint=False)
    cosine, sine = np.cos(turn), np.sin(turn)
    return np.stack(
        [
            x + across * np.sign(cosine) * np.sqrt(np.abs(cosine)),
            y + down * np.sign(sine) * np.sqrt(np.abs(sine)),
        ],
        axis=1,
    )


def _windows(
    canvas: Canvas,
    left: float,
    right: float,
    top: float,
    bottom: float,
    label: int,
    rng: np.random.Generator,
) -> None:
    glass = hue(rng, (0.5, 0.65, 0.1, 0.4, 0.2, 0.5), (0.5, 0.6, 0.1, 0.3, 0.6, 0.9))
    middle, gap = 0.5 * (left + right), 0.05 * (right - left)
    canvas.fill(
        [box(left, top, middle - gap, bottom), box(middle + gap, top, right, bottom)],
        textures.plain,
        glass,
        label,
        rng,
    )


def _mirror(points: Points, x: float, facing: float) -> Points:
    return np.stack([x + facing * (points[:, 0] - x), points[:, 1]], axis=1)
