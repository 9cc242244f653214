from __future__ import annotations

import numpy as np
import pytest

from rerank.datasets.scenes.canvas import Canvas
from rerank.datasets.scenes.composition import KINDS, PLACES, draw_scene
from rerank.datasets.scenes.objects import Stand
from rerank.datasets.scenes.scene_classes import SceneClass


@pytest.mark.parametrize("name", list(KINDS))
@pytest.mark.parametrize("seed", range(3))
def test_each_thing_is_painted_where_it_stands(name: SceneClass, seed: int) -> None:
    canvas = Canvas(120, 160, label=0)
    size = 120 * KINDS[name].size[0]
    KINDS[name].painter(canvas, Stand(80.0, 110.0, size, (0.2, -0.2)), np.random.default_rng(seed))
    rows, columns = np.nonzero(canvas.labels)
    assert set(np.unique(canvas.labels)) == {0, name}
    assert 105 <= rows.max() <= 115
    assert columns.min() < 80 < columns.max()
    assert 0.02 < (canvas.labels == name).mean() < 0.5


def test_places_share_all_things() -> None:
    for things in PLACES.values():
        assert set(things) == set(KINDS)
        assert min(things.values()) > 0


def test_a_scene_depends_on_its_generator_alone() -> None:
    first, again, other = (draw_scene(40, 56, np.random.default_rng(s)) for s in (5, 5, 6))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert (first[0] != other[0]).any()
    assert first[0].dtype == first[1].dtype == np.uint8
