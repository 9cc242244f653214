from __future__ import annotations

import numpy as np
import pytest

from rerank.errors import InputError
from rerank.superpixels import draw_boundaries


def test_draws_on_the_boundary_alone():
    superpixels = np.array([[0, 0, 1], [0, 0, 1]])
    image = np.full((2, 3, 3), 10, dtype=np.uint8)
    picture = draw_boundaries(superpixels, image, colour=(1, 2, 3))
    assert picture.shape == (2, 3, 3) and picture.dtype == np.uint8
    assert (picture[:, 1] == (1, 2, 3)).all() and (picture[:, [0, 2]] == 10).all()
    assert (image == 10).all()


def test_enlarges_and_keeps_lines_thin():
    picture = draw_boundaries(np.array([[0, 1]]), scale=4, colour=(0, 0, 0))
    assert picture.shape == (4, 8, 3)
    assert (picture == 0).all(axis=2).sum(axis=1).tolist() == [1, 1, 1, 1]


def test_refusals():
    with pytest.raises(InputError, match="scale"):
        draw_boundaries(np.array([[0, 1]]), scale=0)
    with pytest.raises(InputError, match="one size"):
        draw_boundaries(np.array([[0, 1]]), np.zeros((2, 2, 3), dtype=np.uint8))
