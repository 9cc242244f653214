"""Probabilities in half precision: what is lost, and that new images lose the same."""

from __future__ import annotations

import io

import numpy as np

from rerank.engine.hdf5 import new_file
from rerank.stages.stored_probabilities import (
    as_stored,
    halved,
    read_regions,
    widened,
    write_regions,
)


def test_little_is_lost() -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.full(21, 0.1), size=500)
    found = as_stored(p)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-6)
    large = p > 1e-4
    np.testing.assert_allclose(found[large], p[large], rtol=1e-3)
    np.testing.assert_allclose(found, p, atol=5e-4)
    assert (found.argmax(axis=1) == p.argmax(axis=1)).mean() > 0.99
    # What was rounded once is not rounded again.
    np.testing.assert_array_equal(as_stored(halved(np.eye(4))), np.eye(4))


def test_what_is_read_is_what_a_new_image_would_have() -> None:
    p = np.random.default_rng(1).dirichlet(np.ones(3), size=7)
    with new_file(io.BytesIO()) as file:
        write_regions(file, 5, p)
        np.testing.assert_array_equal(read_regions(file, 5), as_stored(p))
    assert widened(halved(np.zeros((0, 3)))).shape == (0, 3)
