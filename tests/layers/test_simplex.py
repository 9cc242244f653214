"""Projection onto the simplex: values, Jacobian, ties, shapes, precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rerank.errors import InputError
from rerank.layers import project_simplex
from rerank.layers.simplex import _jacobian_by_masks, _jacobian_product, _project_by_sorting

ROWS = hnp.arrays(
    np.float64,
    st.tuples(st.integers(1, 4), st.integers(1, 6)),
    elements=st.floats(-3, 3, allow_nan=False, width=32),
)


def algorithm_2(row: np.ndarray, leak: float) -> np.ndarray:
    """Larsson et al. 2017, Algorithm 2 with Eq. 12, step by step as printed."""
    ascending = np.sort(row)
    n = len(row)
    k = n - 1
    while k >= 1:
        threshold = (ascending[k:].sum() - 1) / (n - k)
        if threshold >= ascending[k - 1]:
            break
        k -= 1
    else:
        threshold = (row.sum() - 1) / n
    distance = row - threshold
    return np.where(distance >= 0, distance, leak * distance)


def jacobian_of_eq_13(row: np.ndarray, leak: float) -> np.ndarray:
    """Rows are outputs, columns inputs; the sign off the diagonal is the output's."""
    distance = algorithm_2(row, 1.0)
    active = distance > 0
    move = active / active.sum()
    slope = np.where(distance >= 0, 1.0, leak)
    return slope[:, None] * (np.eye(len(row)) - move[None, :])


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, leak=st.sampled_from([0.0, 0.1, 1.0]))
def test_agrees_with_the_printed_algorithm(rows, leak):
    expected = np.stack([algorithm_2(row, leak) for row in rows])
    ours = project_simplex(torch.from_numpy(rows), dim=1, leak=leak).numpy()
    np.testing.assert_allclose(ours, expected, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(rows=ROWS)
def test_is_the_nearest_point_of_the_simplex(rows):
    ours = project_simplex(torch.from_numpy(rows), dim=1).numpy()
    assert (ours >= 0).all()
    np.testing.assert_allclose(ours.sum(axis=1), 1.0, atol=1e-12)
    # Optimality of the nearest point: the way there makes no acute angle with any vertex.
    away = rows - ours
    gain = away - (away * ours).sum(axis=1, keepdims=True)
    assert gain.max() <= 1e-12


@pytest.mark.parametrize("leak", [0.0, 0.3])
def test_the_two_implementations_agree(leak):
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(50, 7, generator=generator, dtype=torch.float64)
    rows[0] = 0.25
    rows[1] = torch.eye(7, dtype=torch.float64)[2]
    rows[2, :] = -torch.inf
    rows[2, 3] = 2.0
    rows[3, 4] = torch.nan
    by_sorting, sign = _project_by_sorting(rows, leak)
    ours = project_simplex(rows, dim=1, leak=leak)
    torch.testing.assert_close(ours, by_sorting, rtol=0, atol=1e-14, equal_nan=True)
    vectors = torch.randn(50, 7, generator=generator, dtype=torch.float64)
    for transposed in (False, True):
        torch.testing.assert_close(
            _jacobian_product(vectors, sign, leak, transposed),
            _jacobian_by_masks(vectors, sign, leak, transposed),
            rtol=0,
            atol=1e-14,
        )


@pytest.mark.parametrize("leak", [0.0, 0.2])
def test_jacobian_is_that_of_eq_13(leak):
    generator = np.random.default_rng(3)
    for row in generator.normal(size=(10, 5)):
        jacobian = torch.autograd.functional.jacobian(
            lambda q: project_simplex(q, dim=0, leak=leak), torch.from_numpy(row)
        )
        np.testing.assert_allclose(jacobian.numpy(), jacobian_of_eq_13(row, leak), atol=1e-13)


@pytest.mark.parametrize("leak", [0.0, 0.2])
@pytest.mark.parametrize("shape, dim", [((2, 4, 3), 1), ((5,), 0), ((3, 4), -1), ((4, 2), 0)])
def test_gradcheck_to_second_order(shape, dim, leak):
    generator = torch.Generator().manual_seed(1)
    q = torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)

    def project(values):
        return project_simplex(values, dim=dim, leak=leak)

    assert torch.autograd.gradcheck(project, (q,))
    assert torch.autograd.gradgradcheck(project, (q,))


def test_a_vertex_passes_gradients_to_the_entries_on_the_threshold():
    q = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64, requires_grad=True)
    (grad,) = torch.autograd.grad(
        (project_simplex(q, dim=0) * torch.tensor([0.0, 1.0, 2.0])).sum(), q
    )
    # J[1, 1] = J[2, 2] = 1 and J[1, 0] = J[2, 0] = -1, whatever the leak.
    np.testing.assert_array_equal(grad.numpy(), [-3.0, 1.0, 2.0])


def test_leak_keeps_a_gradient_where_the_projection_cuts():
    q = torch.tensor([3.0, -2.0, -1.0], dtype=torch.float64, requires_grad=True)
    cut = project_simplex(q, dim=0)
    assert torch.autograd.grad(cut[1], q)[0].abs().max() == 0
    kept = project_simplex(q, dim=0, leak=0.1)
    np.testing.assert_allclose(torch.autograd.grad(kept[1], q)[0].numpy(), [-0.1, 0.1, 0.0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1e4, 1e8, 1e30])
def test_extreme_values_give_exact_vertices(dtype, scale):
    q = torch.tensor([[scale, -scale, 0.0], [scale, scale, -scale]], dtype=dtype)
    expected = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]], dtype=dtype)
    torch.testing.assert_close(project_simplex(q, dim=1), expected, rtol=0, atol=0)


def test_near_ties_far_from_zero_sum_to_one():
    q = torch.full((100, 21), 1e4) + torch.randn(100, 21, generator=torch.manual_seed(0)) * 1e-2
    projected = project_simplex(q, dim=1)
    assert (projected >= 0).all()
    assert (projected.double().sum(dim=1) - 1).abs().max() < 1e-6


def test_one_class_and_one_pixel():
    q = torch.tensor([[[[-7.0]]]])
    assert project_simplex(q, dim=1).item() == 1.0
    assert project_simplex(torch.zeros(1, 4, 1, 1), dim=1).flatten().tolist() == [0.25] * 4


def test_dimensions_and_layouts_do_not_matter():
    q = torch.randn(2, 5, 3, 4, generator=torch.Generator().manual_seed(5))
    expected = project_simplex(q, dim=1)
    torch.testing.assert_close(
        project_simplex(q.contiguous(memory_format=torch.channels_last), dim=-3), expected
    )
    torch.testing.assert_close(project_simplex(q.movedim(1, 3), dim=3).movedim(3, 1), expected)
    assert project_simplex(q[:0], dim=1).shape == (0, 5, 3, 4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_keeps_its_type(dtype):
    q = torch.randn(3, 4, generator=torch.Generator().manual_seed(2)).to(dtype)
    projected = project_simplex(q.requires_grad_(), dim=1)
    assert projected.dtype == dtype
    torch.testing.assert_close(
        projected.float(), project_simplex(q.float(), dim=1), rtol=1e-2, atol=1e-2
    )
    projected.sum().backward()
    assert q.grad is not None and q.grad.dtype == dtype


def test_a_row_with_nan_becomes_nan_and_no_other():
    q = torch.tensor([[0.0, torch.nan], [0.3, 0.7], [torch.inf, 0.0]])
    projected = project_simplex(q, dim=1)
    assert torch.isnan(projected[[0, 2]]).all()
    torch.testing.assert_close(projected[1], q[1])


@pytest.mark.parametrize(
    "q, dim, leak, message",
    [
        (torch.zeros(2, 3, dtype=torch.int64), 1, 0.0, "floating point"),
        (np.zeros((2, 3)), 1, 0.0, "tensor"),
        (torch.zeros(2, 3), 2, 0.0, "dim must be"),
        (torch.zeros(2, 0), 1, 0.0, "empty"),
        (torch.zeros(2, 3), 1, -0.1, "leak"),
        (torch.zeros(2, 3), 1, 1.5, "leak"),
    ],
)
def test_unusable_arguments_are_named(q, dim, leak, message):
    with pytest.raises(InputError, match=message):
        project_simplex(q, dim, leak)


@pytest.mark.gpu
def test_cuda_agrees_with_the_cpu():
    q = torch.randn(2, 11, 5, 7, dtype=torch.float64, requires_grad=True)
    on_gpu = q.detach().cuda().requires_grad_()
    weight = torch.randn(2, 11, 5, 7, dtype=torch.float64)
    (project_simplex(q, dim=1, leak=0.1) * weight).sum().backward()
    (project_simplex(on_gpu, dim=1, leak=0.1) * weight.cuda()).sum().backward()
    assert q.grad is not None and on_gpu.grad is not None
    torch.testing.assert_close(q.grad, on_gpu.grad.cpu())
