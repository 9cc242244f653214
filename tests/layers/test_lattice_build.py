"""Placing points in the lattice: corners, barycentric weights, keys, neighbours, ties."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank.errors import InputError
from rerank.layers import lattice_build
from rerank.layers.lattice_build import neighbours, place
from rerank.layers.neighbourhood import binomial_weights, neighbour_offsets, opposite_offsets

VARIANCE = 2 / 3


def elevated(features: np.ndarray) -> np.ndarray:
    """Positions in the hyperplane, from an explicit orthogonal basis of it."""
    d = features.shape[1]
    basis = np.zeros((d + 1, d))
    for j in range(d):
        basis[: j + 1, j] = 1.0
        basis[j + 1, j] = -(j + 1)
    basis /= np.linalg.norm(basis, axis=0)
    return (d + 1) * math.sqrt(VARIANCE) * features @ basis.T


def corners_and_weights(position: np.ndarray) -> dict[tuple[int, ...], float]:
    """The simplex around one position, after Conway and Sloane, by sorting."""
    size = len(position)
    base = np.round(position / size) * size
    while base.sum() != 0:
        off = position - base
        if base.sum() > 0:
            base[np.argmin(off)] -= size
        else:
            base[np.argmax(off)] += size
    order = np.argsort(-(position - base), kind="stable")
    sorted_off = (position - base)[order]
    found: dict[tuple[int, ...], float] = {}
    for k in range(size):
        corner = base.copy()
        corner[order[: size - k]] += k
        corner[order[size - k :]] += k - size
        if k == 0:
            weight = 1 - (sorted_off[0] - sorted_off[-1]) / size
        else:
            weight = (sorted_off[size - 1 - k] - sorted_off[size - k]) / size
        found[tuple(int(c) for c in corner)] = weight
    return found


def placed(features: np.ndarray, **kwargs):
    return place(np.ascontiguousarray(features, dtype=np.float64), VARIANCE, 1, **kwargs)


def full_coordinates(simplices) -> np.ndarray:
    """All d + 1 coordinates of the lattice points, which sum to zero."""
    first = simplices.table.coordinates
    return np.concatenate([first, -first.sum(axis=1, keepdims=True)], axis=1)


@pytest.mark.parametrize("n_dims", [1, 2, 3, 5])
def test_agrees_with_a_placement_by_sorting(n_dims):
    features = np.random.default_rng(n_dims).normal(size=(40, n_dims)) * 3
    simplices = placed(features, exact_keys=False)
    coordinates = full_coordinates(simplices)
    for p, position in enumerate(elevated(features)):
        expected = corners_and_weights(position)
        ours = {
            tuple(int(c) for c in coordinates[m]): w
            for m, w in zip(simplices.corners.indices[p], simplices.corners.weights[p])
        }
        assert set(ours) == set(expected)
        for corner, weight in expected.items():
            assert ours[corner] == pytest.approx(weight, abs=1e-12)


GRIDS = st.tuples(st.integers(1, 5), st.integers(0, 10**6), st.sampled_from([0.0, 0.5, 1.0, 7.0]))


@settings(max_examples=40, deadline=None)
@given(case=GRIDS)
def test_ties_still_give_a_simplex_that_holds_the_point(case):
    # Features on a coarse grid, so that many coordinates in the lattice are equal or halfway.
    n_dims, seed, step = case
    features = np.random.default_rng(seed).integers(-3, 4, size=(12, n_dims)) * step
    simplices = placed(features, exact_keys=False)
    assert (simplices.corners.weights >= 0).all()
    np.testing.assert_allclose(simplices.corners.weights.sum(axis=1), 1.0, atol=1e-14)
    coordinates = full_coordinates(simplices)
    assert (coordinates % (n_dims + 1) == coordinates[:, :1] % (n_dims + 1)).all()
    corners = coordinates[simplices.corners.indices].astype(float)
    np.testing.assert_allclose(
        (simplices.corners.weights[..., None] * corners).sum(axis=1), elevated(features), atol=1e-10
    )
    for p in range(len(features)):
        assert len(set(simplices.corners.indices[p])) == n_dims + 1
        for k, j in enumerate(simplices.corners.directions[p]):
            step_taken = np.ones(n_dims + 1)
            step_taken[j] -= n_dims + 1
            np.testing.assert_array_equal(corners[p, k + 1] - corners[p, k], step_taken)


def test_points_on_lattice_points_have_one_corner_each():
    # In one dimension the lattice points are the multiples of 1 / sqrt(2 * 2/3) * sqrt(2) / 2.
    spacing = math.sqrt(2) / (2 * math.sqrt(VARIANCE))
    simplices = placed(np.arange(-4, 5)[:, None] * spacing)
    np.testing.assert_allclose(np.sort(simplices.corners.weights, axis=1), [[0, 1]] * 9, atol=1e-12)


@pytest.mark.parametrize("n_dims", [1, 2, 5])
def test_both_kinds_of_keys_find_the_same(n_dims):
    features = np.random.default_rng(1).normal(size=(300, n_dims)) * 2
    exact, random = placed(features, exact_keys=True), placed(features, exact_keys=False)
    np.testing.assert_array_equal(exact.corners.indices, random.corners.indices)
    np.testing.assert_array_equal(exact.corners.weights, random.corners.weights)
    offsets = neighbour_offsets(n_dims, 1)
    np.testing.assert_array_equal(neighbours(exact, offsets), neighbours(random, offsets))


def test_keys_that_collide_are_drawn_again(monkeypatch):
    features = np.random.default_rng(4).normal(size=(100, 3)) * 2
    expected = placed(features, exact_keys=False)
    seeds: list[int] = []
    place_once = lattice_build._place

    def first_with_equal_strides(columns, scale, rule):
        seeds.append(len(seeds))
        if len(seeds) == 1:
            # All digits weigh the same: points whose coordinates sum alike share a key.
            strides = np.array([1, 1, 1, 0], np.uint64)
            steps = strides.sum(dtype=np.uint64) - np.uint64(4) * strides
            rule = rule._replace(strides=strides, steps=steps)
        return place_once(columns, scale, rule)

    monkeypatch.setattr(lattice_build, "_place", first_with_equal_strides)
    found = placed(features, exact_keys=False)
    assert len(seeds) == 2
    np.testing.assert_array_equal(found.corners.indices, expected.corners.indices)
    np.testing.assert_array_equal(found.table.coordinates, expected.table.coordinates)


@pytest.mark.parametrize("exact_keys", [True, False])
def test_neighbours_are_those_at_the_offset(exact_keys):
    features = np.random.default_rng(2).normal(size=(60, 3))
    simplices = placed(features, exact_keys=exact_keys)
    coordinates = full_coordinates(placed(features, exact_keys=False))
    position = {tuple(c): m for m, c in enumerate(coordinates.tolist())}
    offsets = np.concatenate([neighbour_offsets(3, 1), -np.eye(4, dtype=np.int64)])
    found = neighbours(simplices, offsets)
    for k, c in enumerate(offsets):
        shift = c.sum() - 4 * c
        for m, at in enumerate(coordinates):
            assert found[k, m] == position.get(tuple((at + shift).tolist()), len(coordinates))


def test_many_dimensions_and_many_points_outgrow_the_first_tables():
    features = np.random.default_rng(3).normal(size=(200, 24)) * 4
    simplices = placed(features)
    assert simplices.table.coordinates.shape[1] == 24 and len(simplices.table.coordinates) > 4000
    corners = full_coordinates(simplices)[simplices.corners.indices]
    np.testing.assert_allclose(
        (simplices.corners.weights[..., None] * corners).sum(axis=1), elevated(features), atol=1e-9
    )


def test_far_points_are_refused():
    with pytest.raises(InputError, match="lattice cells of the origin"):
        placed(np.array([[0.0, 1e13]]))


@pytest.mark.parametrize("n_dims, radius", [(1, 1), (2, 1), (2, 3), (3, 2), (5, 1)])
def test_neighbourhoods_have_the_size_of_the_paper(n_dims, radius):
    offsets = neighbour_offsets(n_dims, radius)
    assert len(offsets) == (radius + 1) ** (n_dims + 1) - radius ** (n_dims + 1)
    assert (offsets[0] == 0).all()
    coordinates = offsets.sum(axis=1, keepdims=True) - (n_dims + 1) * offsets
    assert len(np.unique(coordinates, axis=0)) == len(offsets)
    np.testing.assert_array_equal(coordinates[opposite_offsets(offsets)], -coordinates)


@pytest.mark.parametrize("n_dims, radius", [(1, 1), (2, 1), (2, 2), (3, 2), (5, 1)])
def test_binomial_weights_have_unit_mass_and_the_stated_variance(n_dims, radius):
    offsets = neighbour_offsets(n_dims, radius)
    weights = binomial_weights(offsets, radius)
    assert weights.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(weights, weights[opposite_offsets(offsets)])
    coordinates = offsets.sum(axis=1, keepdims=True) - (n_dims + 1) * offsets
    spread = (weights * (coordinates**2).sum(axis=1)).sum() / n_dims
    assert spread == pytest.approx((n_dims + 1) ** 2 * radius / 4)


def test_binomial_weights_are_a_product_over_the_axes():
    # Folding every combination of steps, one binomial factor an axis.
    expected: dict[tuple[int, ...], float] = {}
    for steps in itertools.product(range(3), repeat=3):
        folded = tuple(s - min(steps) for s in steps)
        share = math.prod(math.comb(2, s) / 4 for s in steps)
        expected[folded] = expected.get(folded, 0.0) + share
    offsets = neighbour_offsets(2, 2)
    np.testing.assert_allclose(
        binomial_weights(offsets, 2), [expected[tuple(c)] for c in offsets.tolist()]
    )
