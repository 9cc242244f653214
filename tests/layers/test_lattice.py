"""The permutohedral filter: dense sums, adjoints, gradients, devices, self-interaction."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from rerank.errors import InputError
from rerank.layers import PermutohedralLattice, lattice_graph


def uniform(n_points: int, n_dims: int, side: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(size=(n_points, n_dims)) * side


def dense_gaussian(features: np.ndarray) -> np.ndarray:
    return np.exp(-((features[:, None] - features[None]) ** 2).sum(axis=2) / 2)


def splat_matrix(lattice: PermutohedralLattice) -> np.ndarray:
    return lattice.splat(np.eye(lattice.n_points))


def blur_matrix(
    lattice: PermutohedralLattice, features: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """The blur by looking for every pair of lattice points at every offset."""
    position = vertex_positions(lattice, features)
    d = features.shape[1]
    size = lattice.n_vertices
    matrix = np.zeros((size, size))
    for k, c in enumerate(lattice.offsets):
        shift = c.sum() - (d + 1) * c
        for m in range(size):
            matches = np.flatnonzero((position == position[m] + shift).all(axis=1))
            for n in matches:
                matrix[m, n] += weights[k]
    return matrix


def vertex_positions(lattice: PermutohedralLattice, features: np.ndarray) -> np.ndarray:
    """Integer coordinates of the lattice points, solved from where the features lie."""
    d = features.shape[1]
    basis = np.zeros((d + 1, d))
    for j in range(d):
        basis[: j + 1, j] = 1.0
        basis[j + 1, j] = -(j + 1)
    basis /= np.linalg.norm(basis, axis=0)
    assert lattice.radius is not None
    elevated = (d + 1) * math.sqrt(1 / 6 + lattice.radius / 4) * features @ basis.T
    solved = np.linalg.lstsq(splat_matrix(lattice).T, elevated, rcond=None)[0]
    rounded = np.round(solved)
    np.testing.assert_allclose(solved, rounded, atol=1e-6)
    return rounded.astype(np.int64)


# Worst relative errors (in the 2-norm) of the unnormalised and the normalised sum, some way
# above those measured: 0.017, 0.035, 0.066, 0.21 along the axes, 0.017, 0.045, 0.071, 0.23 with
# radius 1, 0.010, 0.030, 0.047, 0.14 with radius 2 in 1, 2, 3 and 5 dimensions.
@pytest.mark.parametrize(
    "n_dims, radius, error",
    [
        (1, None, 0.03),
        (2, None, 0.06),
        (3, None, 0.1),
        (5, None, 0.3),
        (1, 1, 0.03),
        (2, 1, 0.07),
        (3, 1, 0.1),
        (5, 1, 0.3),
        (1, 2, 0.02),
        (2, 2, 0.05),
        (3, 2, 0.07),
        (5, 2, 0.2),
    ],
)
def test_agrees_with_the_dense_gaussian_sum(n_dims, radius, error):
    features = uniform(150, n_dims, 4 / math.sqrt(n_dims))
    values = np.random.default_rng(1).uniform(size=(150, 3))
    kernel = dense_gaussian(features)
    expected = kernel @ values
    lattice = PermutohedralLattice(features, radius)
    ours = lattice.filter(values)
    assert np.linalg.norm(ours - expected) < error * np.linalg.norm(expected)
    mean = ours / lattice.row_sums()[:, None]
    np.testing.assert_allclose(mean, expected / kernel.sum(axis=1, keepdims=True), atol=0.05)


def test_far_points_do_not_meet():
    features = np.array([[0.0, 0.0], [100.0, 0.0], [0.0, 50.0]])
    out = PermutohedralLattice(features).filter(np.eye(3))
    assert (out[~np.eye(3, dtype=bool)] == 0).all()


def test_one_point_and_equal_points():
    lattice = PermutohedralLattice(np.zeros((5, 2)), radius=1)
    assert lattice.n_vertices == 3
    np.testing.assert_allclose(lattice.filter(np.ones((5, 1))), 5 * lattice.self_weights()[0])
    assert PermutohedralLattice([[0.3]]).n_points == 1


def test_a_full_lattice_blurs_along_axes_as_with_radius_two():
    # Far from the border of a densely covered square no neighbour is missing.
    grid = np.stack(np.meshgrid(np.arange(60), np.arange(60), indexing="ij"), -1)
    features = grid.reshape(-1, 2) / 4.0
    values = np.random.default_rng(0).uniform(size=(3600, 2))
    along_axes = PermutohedralLattice(features).filter(values).reshape(60, 60, 2)
    whole = PermutohedralLattice(features, radius=2).filter(values).reshape(60, 60, 2)
    np.testing.assert_allclose(along_axes[25:35, 25:35], whole[25:35, 25:35], rtol=1e-12)
    assert np.abs(along_axes / whole - 1).max() > 1e-3


@pytest.mark.parametrize("n_dims, radius", [(1, 1), (2, 1), (2, 2), (3, 1)])
def test_any_weights_agree_with_explicit_matrices(n_dims, radius):
    features = uniform(120, n_dims, 2.0, seed=5)
    lattice = PermutohedralLattice(features, radius)
    rng = np.random.default_rng(0)
    values = rng.normal(size=(120, 2))
    splat = splat_matrix(lattice)
    np.testing.assert_allclose(lattice.slice(splat), splat.T @ splat, atol=1e-13)
    shared = rng.normal(size=lattice.n_weights)
    expected = splat.T @ blur_matrix(lattice, features, shared) @ splat
    np.testing.assert_allclose(lattice.filter(values, shared), expected @ values, atol=1e-12)
    np.testing.assert_allclose(lattice.self_weights(shared), np.diag(expected), atol=1e-12)
    mixing = rng.normal(size=(3, 2, lattice.n_weights))
    expected_mixed = np.zeros((120, 3))
    expected_others = np.zeros((120, 3))
    for o in range(3):
        for i in range(2):
            pair = splat.T @ blur_matrix(lattice, features, mixing[o, i]) @ splat
            expected_mixed[:, o] += pair @ values[:, i]
            expected_others[:, o] += (pair - np.diag(np.diag(pair))) @ values[:, i]
    np.testing.assert_allclose(lattice.filter(values, mixing), expected_mixed, atol=1e-12)
    np.testing.assert_allclose(lattice.filter_others(values, mixing), expected_others, atol=1e-12)
    base = rng.normal(size=(120, 3))
    np.testing.assert_allclose(
        lattice.filter_others(values, mixing, base), expected_others + base, atol=1e-12
    )


def test_mostly_zero_values_give_the_same_as_others():
    # The loop over a point's own interaction skips zeros where there are many.
    lattice = PermutohedralLattice(uniform(40, 3, 1.0), radius=1)
    rng = np.random.default_rng(0)
    values = np.zeros((40, 9))
    values[np.arange(40), rng.integers(0, 9, 40)] = rng.normal(size=40)
    mixing = rng.normal(size=(9, 9, lattice.n_weights))
    dense = values + 1e-200
    np.testing.assert_allclose(
        lattice.filter_others(values, mixing), lattice.filter_others(dense, mixing), atol=1e-12
    )


def test_the_gaussian_is_the_default_weight():
    lattice = PermutohedralLattice(uniform(30, 2, 3.0), radius=1)
    values = np.random.default_rng(0).normal(size=(30, 4))
    weights = lattice.gaussian_weights()
    assert weights.sum() == pytest.approx(lattice.amplitude)
    np.testing.assert_allclose(lattice.filter(values), lattice.filter(values, weights))
    diagonal = np.eye(4)[:, :, None] * weights
    np.testing.assert_allclose(lattice.filter(values), lattice.filter(values, diagonal))
    np.testing.assert_allclose(lattice.self_weights(), lattice.self_weights(weights))
    others = lattice.filter(values) - lattice.self_weights()[:, None] * values
    for given in (None, weights, diagonal):
        np.testing.assert_allclose(lattice.filter_others(values, given), others, atol=1e-13)


@pytest.mark.parametrize("radius", [None, 1])
def test_splat_and_slice_are_adjoint_and_so_are_the_blurs(radius):
    lattice = PermutohedralLattice(uniform(20, 3, 3.0), radius)
    rng = np.random.default_rng(0)
    values, vertices = rng.normal(size=(20, 2)), rng.normal(size=(lattice.n_vertices, 2))
    assert np.vdot(lattice.splat(values), vertices) == pytest.approx(
        np.vdot(values, lattice.slice(vertices))
    )
    # The gradient of <u, B x> to x is the transpose of B applied to u.
    start = torch.randn(lattice.n_vertices, 2, dtype=torch.float64, requires_grad=True)
    (transposed,) = torch.autograd.grad(lattice.blur(start), start, torch.from_numpy(vertices))
    other = rng.normal(size=(lattice.n_vertices, 2))
    assert np.vdot(lattice.blur(other), vertices) == pytest.approx(
        np.vdot(other, transposed.numpy())
    )


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("radius", [None, 1])
def test_gradcheck(radius, compiled, monkeypatch):
    monkeypatch.setattr(lattice_graph, "_compiled", lambda values: compiled)
    lattice = PermutohedralLattice(uniform(6, 2, 2.0), radius)
    generator = torch.Generator().manual_seed(0)

    def random(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)

    values = random(6, 2)
    assert torch.autograd.gradcheck(lattice.filter, (values,))
    assert torch.autograd.gradgradcheck(lattice.filter, (values,))
    if radius is not None:
        for weights in (random(7), random(3, 2, 7)):
            assert torch.autograd.gradcheck(lattice.filter, (values, weights))
            assert torch.autograd.gradgradcheck(lattice.filter, (values, weights))
        assert torch.autograd.gradcheck(lattice.filter_others, (values, weights, random(6, 3)))
        assert torch.autograd.gradgradcheck(lattice.filter_others, (values, weights, random(6, 3)))


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_the_compiled_and_the_torch_loops_agree(dtype, tolerance, monkeypatch):
    features = uniform(50, 5, 1.5)
    rng = np.random.default_rng(0)
    values = torch.from_numpy(rng.normal(size=(50, 3))).to(dtype)
    mixing = torch.from_numpy(rng.normal(size=(2, 3, 63))).to(dtype)
    results = []
    for compiled in (True, False):
        monkeypatch.setattr(lattice_graph, "_compiled", lambda values, c=compiled: c)
        axes, whole = PermutohedralLattice(features), PermutohedralLattice(features, 1)
        results.append(
            [
                axes.filter(values),
                whole.filter(values),
                whole.filter(values, mixing),
                whole.filter_others(values, mixing),
            ]
        )
    for compiled_result, torch_result in zip(*results):
        torch.testing.assert_close(compiled_result, torch_result, rtol=tolerance, atol=tolerance)


def test_scaling_multiplies_rows_and_columns():
    lattice = PermutohedralLattice(uniform(15, 2, 2.0), radius=1)
    factor = np.random.default_rng(0).uniform(0.5, 2.0, size=15)
    kernel = lattice.filter(np.eye(15))
    np.testing.assert_allclose(
        lattice.scaled(factor).filter(np.eye(15)), factor[:, None] * kernel * factor, rtol=1e-12
    )
    sums = kernel.sum(axis=1)
    np.testing.assert_allclose(lattice.row_sums(), sums, rtol=1e-12)
    normalized = lattice.normalized().filter(np.eye(15))
    np.testing.assert_allclose(normalized, kernel / np.sqrt(np.outer(sums, sums)), rtol=1e-12)
    np.testing.assert_allclose(lattice.filter(np.eye(15)), kernel)


def test_types_come_back_as_given():
    lattice = PermutohedralLattice(torch.from_numpy(uniform(10, 2, 2.0)), radius=1)
    values = np.random.default_rng(0).uniform(size=(10, 3))
    expected = lattice.filter(values)
    assert isinstance(expected, np.ndarray) and expected.dtype == np.float64
    assert lattice.filter(values.astype(np.float32)).dtype == np.float32
    for dtype, tolerance in ((torch.float16, 1e-2), (torch.bfloat16, 5e-2)):
        half = lattice.filter(torch.from_numpy(values).to(dtype))
        assert half.dtype == dtype
        torch.testing.assert_close(
            half.double(), torch.from_numpy(expected), rtol=tolerance, atol=tolerance
        )
    # Rows need not be contiguous.
    turned = torch.from_numpy(np.ascontiguousarray(values.T)).T
    np.testing.assert_allclose(lattice.filter(turned).numpy(), expected)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: PermutohedralLattice(np.zeros((0, 2))), "at least one point"),
        (lambda: PermutohedralLattice(np.zeros((3, 0))), "at least one point"),
        (lambda: PermutohedralLattice(np.zeros(3)), r"got \(3,\)"),
        (lambda: PermutohedralLattice(np.full((2, 2), np.nan)), "features must be finite"),
        (lambda: PermutohedralLattice(np.zeros((2, 2)), radius=0), "radius"),
        (lambda: PermutohedralLattice(np.zeros((2, 2)), radius=1.5), "radius"),
        (lambda: PermutohedralLattice(np.zeros((2, 2))).filter(np.zeros((3, 1))), r"\(2, C\)"),
        (lambda: PermutohedralLattice(np.zeros((2, 2))).filter(np.zeros(2)), r"got \(2,\)"),
        (lambda: PermutohedralLattice(np.zeros((2, 2))).slice(np.zeros((2, 1))), r"\(3, C\)"),
        (lambda: PermutohedralLattice(np.zeros((2, 2))).filter(np.zeros((2, 1), int)), "floating"),
        (
            lambda: PermutohedralLattice(np.zeros((2, 2))).filter(np.zeros((2, 1)), np.zeros(7)),
            "radius None",
        ),
        (lambda: PermutohedralLattice(np.zeros((2, 2))).gaussian_weights(), "radius None"),
        (
            lambda: PermutohedralLattice(np.zeros((2, 2)), 1).filter(np.zeros((2, 1)), np.zeros(6)),
            r"weights must be \(7,\).*got \(6,\)",
        ),
        (
            lambda: PermutohedralLattice(np.zeros((2, 2)), 1).filter(
                np.zeros((2, 1)), np.zeros((1, 2, 7))
            ),
            r"\(any, 1, 7\)",
        ),
        (
            lambda: PermutohedralLattice(np.zeros((2, 2)), 1).filter_others(
                np.zeros((2, 1)), np.zeros(6)
            ),
            r"weights must be \(7,\)",
        ),
        (
            lambda: PermutohedralLattice(np.zeros((2, 2))).filter_others(np.zeros((2, 1))),
            "radius None",
        ),
        (
            lambda: PermutohedralLattice(np.zeros((2, 2))).slice(
                np.zeros((3, 1)), np.zeros((2, 2))
            ),
            "base has 2 channels",
        ),
        (lambda: PermutohedralLattice(np.zeros((2, 2)), 1).self_weights(np.zeros(3)), r"\(7,\)"),
        (lambda: PermutohedralLattice(np.zeros((2, 2))).scaled(np.zeros(3)), r"\(2,\)"),
        (lambda: PermutohedralLattice(np.zeros((2, 2))).scaled(np.array([1, np.inf])), "finite"),
    ],
)
def test_unusable_arguments_are_named(call, message):
    with pytest.raises(InputError, match=message):
        call()


@pytest.mark.gpu
def test_cuda_agrees_with_the_cpu():
    lattice = PermutohedralLattice(uniform(200, 5, 1.5), radius=1)
    values = torch.randn(200, 4, dtype=torch.float64)
    weights = torch.randn(4, 4, 63, dtype=torch.float64)
    torch.testing.assert_close(
        lattice.filter(values.cuda(), weights.cuda()).cpu(), lattice.filter(values, weights)
    )
    torch.testing.assert_close(
        lattice.filter_others(values.cuda(), weights.cuda()).cpu(),
        lattice.filter_others(values, weights),
    )
