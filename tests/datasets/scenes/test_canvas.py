from __future__ import annotations

import numpy as np
import pytest

from rerank.datasets.scenes.canvas import Canvas, box, ellipse, shape
from rerank.datasets.scenes.textures import plain

RED = np.array([0.8, 0.1, 0.1], dtype=np.float32)


def test_a_box_covers_its_pixels_and_gets_its_label() -> None:
    canvas = Canvas(20, 30, label=0)
    canvas.fill([box(5, 4, 15, 12)], plain, RED, 3, np.random.default_rng(0))
    assert (canvas.labels[5:12, 6:15] == 3).all()
    outside = np.ones((20, 30), dtype=bool)
    outside[3:14, 4:17] = False
    assert (canvas.labels[outside] == 0).all() and (canvas.image[outside] == 0).all()
    assert canvas.image[8, 10, 0] > 0.5 > canvas.image[8, 10, 1]


def test_overlapping_polygons_are_a_union() -> None:
    canvas = Canvas(20, 30, label=0)
    canvas.fill([box(5, 5, 15, 15), box(10, 5, 25, 15)], plain, RED, 1, np.random.default_rng(0))
    assert (canvas.labels[6:15, 6:25] == 1).all()


def test_what_leaves_the_picture_is_cut_off() -> None:
    canvas = Canvas(20, 30, label=0)
    rng = np.random.default_rng(0)
    canvas.fill([ellipse(0, 0, 6, 6)], plain, RED, 1, rng)
    assert canvas.labels[0, 0] == 1
    canvas.fill([box(-50, -50, -40, -40)], plain, RED, 2, rng)
    canvas.fill([shape((40, 5), (60, 5), (50, 30))], plain, RED, 2, rng)
    assert not (canvas.labels == 2).any()


def test_later_things_hide_earlier_ones_and_shadows_hide_nothing() -> None:
    canvas = Canvas(20, 30, label=0)
    rng = np.random.default_rng(0)
    canvas.fill([box(2, 2, 28, 18)], plain, RED, 1, rng)
    canvas.fill([box(8, 2, 28, 18)], plain, RED, 2, rng)
    before = canvas.labels.copy()
    light = canvas.image.copy()
    canvas.darken([box(4, 4, 20, 16)], 0.5)
    np.testing.assert_array_equal(canvas.labels, before)
    assert canvas.image[10, 12, 0] == pytest.approx(0.5 * light[10, 12, 0], rel=0.02)


def test_light_brightens_from_left_to_right() -> None:
    canvas = Canvas(20, 40, label=0)
    canvas.fill([box(0, 0, 40, 20)], plain, RED, 1, np.random.default_rng(0), (0.6, 0.0))
    assert canvas.image[:, -8:, 0].mean() > 1.4 * canvas.image[:, :8, 0].mean()
