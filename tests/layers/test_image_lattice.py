"""Lattices over pixels, and the cache of them."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from rerank.errors import InputError
from rerank.layers import LatticeCache, PermutohedralLattice
from rerank.layers.image_lattice import bilateral_lattice, position_lattice


def test_points_are_the_valid_pixels_row_by_row():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, size=(3, 5, 3)).astype(np.uint8)
    valid = rng.uniform(size=(3, 5)) < 0.6
    features = np.array(
        [
            [x / 2, y / 4, *(image[y, x] / [10, 20, 30])]
            for y in range(3)
            for x in range(5)
            if valid[y, x]
        ]
    )
    values = rng.uniform(size=(valid.sum(), 2))
    for radius in (None, 1):
        np.testing.assert_allclose(
            bilateral_lattice(image, valid, (2, 4), (10, 20, 30), radius).filter(values),
            PermutohedralLattice(features, radius).filter(values),
        )
        np.testing.assert_allclose(
            position_lattice(valid, (2, 4), radius).filter(values),
            PermutohedralLattice(features[:, :2], radius).filter(values),
        )


def test_the_cache_drops_what_was_used_longest_ago():
    cache = LatticeCache(2)
    lattices = {key: PermutohedralLattice(np.zeros((1, 1))) for key in (b"a", b"b", b"c")}
    for key in (b"a", b"b", b"a", b"c", b"a", b"b"):
        assert cache.get(key, lambda key=key: lattices[key]) is lattices[key]
    assert (cache.hits, cache.misses, len(cache)) == (2, 4, 2)
    nothing = LatticeCache(0)
    nothing.get(b"a", lambda: lattices[b"a"])
    assert len(nothing) == 0


def test_arguments_of_the_same_bytes_are_told_apart():
    cache = LatticeCache(10)
    wide, tall = np.ones((2, 3), bool), np.ones((3, 2), bool)
    assert position_lattice(wide, 1.0, None, cache) is position_lattice(wide, 1.0, None, cache)
    made = [
        position_lattice(wide, 1.0, None, cache),
        position_lattice(tall, 1.0, None, cache),
        position_lattice(wide, (1.0, 2.0), None, cache),
        position_lattice(wide, 1.0, 1, cache),
    ]
    assert len({id(lattice) for lattice in made}) == 4


def test_copies_start_empty():
    cache = LatticeCache(2)
    cache.get(b"a", lambda: PermutohedralLattice(np.zeros((1, 1))))
    for copied in (copy.deepcopy(cache), pickle.loads(pickle.dumps(cache))):
        assert len(copied) == 0 and copied.max_lattices == 2


def test_unusable_arguments_are_named():
    with pytest.raises(InputError, match="max_lattices"):
        LatticeCache(-1)
    with pytest.raises(InputError, match="at least one pixel"):
        position_lattice(np.zeros((2, 2), bool), 1.0)
    with pytest.raises(InputError, match=r"valid \(2, 2\), got \(2, 3, 3\)"):
        bilateral_lattice(np.zeros((2, 3, 3)), np.ones((2, 2), bool), 1.0, 1.0)
    with pytest.raises(InputError, match="position_std"):
        position_lattice(np.ones((2, 2), bool), -1.0)
