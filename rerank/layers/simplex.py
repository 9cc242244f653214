"""Projection onto the probability simplex, with a leak that keeps gradients alive."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import njit

from rerank.errors import InputError
from rerank.types import Array

_COMPUTED = (torch.float32, torch.float64)


def project_simplex(q: torch.Tensor, dim: int, leak: float = 0.0) -> torch.Tensor:
    """Project onto the simplex along one dimension (Larsson et al. 2017, Algorithm 2, Eq. 12).

    With ``leak=0`` the result is the nearest point, in Euclidean distance, whose entries are
    not negative and sum to one. With a leak, what the projection would cut to zero keeps the
    fraction `leak` of its distance below zero, so that it still has a gradient; the result then
    sums to a little less than one.

    The backward pass uses the Jacobian of Eq. 13 and can itself be differentiated. Printed
    Eq. 13 takes the sign of ``q[mu] - t`` also for the entries off the diagonal; differentiating
    Eq. 12 gives the sign of ``q[lambda] - t`` there, and that is what is computed. An entry that
    lies exactly on the threshold has slope one and does not move the threshold, as printed.

    Parameters
    ----------
    q : torch.Tensor
        Any shape, at least one dimension, floating point, any finite values. Half precisions
        are computed in float32.
    dim : int
        The dimension that is projected, such as 1 for logits (B, L, H, W).
    leak : float
        The slope alpha of Eq. 12 below the threshold, from 0 to 1.

    Returns
    -------
    torch.Tensor
        Shape, type and device of `q`. A slice that holds NaN or +infinity becomes NaN.

    Raises
    ------
    InputError
        If `q` is not of a floating type.
    InputError
        If `dim` is not a dimension of `q`, or is empty.
    InputError
        If `leak` is not in [0, 1].

    Examples
    --------
    >>> project_simplex(torch.tensor([1.0, 0.8, -3.0]), dim=0)
    tensor([0.6000, 0.4000, 0.0000])
    >>> project_simplex(torch.tensor([1.0, 0.8, -3.0]), dim=0, leak=0.1)
    tensor([ 0.6000,  0.4000, -0.3400])
    """
    if not isinstance(q, torch.Tensor) or not q.is_floating_point():
        kind = q.dtype if isinstance(q, torch.Tensor) else type(q).__name__
        raise InputError(f"q must be a tensor of floating point values, got {kind}")
    if not -q.dim() <= dim < q.dim():
        raise InputError(f"dim must be a dimension of q, which has {q.dim()}; got {dim}")
    if q.shape[dim] == 0:
        raise InputError(f"dimension {dim} of q is empty (shape {tuple(q.shape)})")
    if not 0.0 <= leak <= 1.0:
        raise InputError(f"leak must be in [0, 1], got {leak}")
    computed = q if q.dtype in _COMPUTED else q.float()
    last = computed.movedim(dim, -1)
    rows = last.reshape(-1, last.shape[-1]).contiguous()
    projected: torch.Tensor = _Projection.apply(rows, float(leak))  # type: ignore[no-untyped-call]
    return projected.reshape(last.shape).movedim(-1, dim).to(q.dtype)


class _Projection(torch.autograd.Function):
    """Rows to rows; keeps the sign of each entry's distance from its row's threshold."""

    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor, leak: float) -> torch.Tensor:
        projected, sign = _project(rows.detach(), leak)
        ctx.save_for_backward(sign)
        ctx.leak = leak
        return projected

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        (sign,) = ctx.saved_tensors
        return _JacobianProduct.apply(grads[0], sign, ctx.leak, True), None  # type: ignore[no-untyped-call]


class _JacobianProduct(torch.autograd.Function):
    """The Jacobian of Eq. 13, or its transpose, times a vector for each row."""

    @staticmethod
    def forward(
        ctx: Any, vectors: torch.Tensor, sign: torch.Tensor, leak: float, transposed: bool
    ) -> torch.Tensor:
        ctx.save_for_backward(sign)
        ctx.leak, ctx.transposed = leak, transposed
        return _jacobian_product(vectors.detach().contiguous(), sign, leak, transposed)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        (sign,) = ctx.saved_tensors
        product = _JacobianProduct.apply(grads[0], sign, ctx.leak, not ctx.transposed)  # type: ignore[no-untyped-call]
        return product, None, None, None


def _project(rows: torch.Tensor, leak: float) -> tuple[torch.Tensor, torch.Tensor]:
    if rows.device.type != "cpu":
        return _project_by_sorting(rows, leak)
    projected = torch.empty_like(rows)
    sign = torch.empty_like(rows, dtype=torch.int8)
    _project_rows(rows.numpy(), leak, projected.numpy(), sign.numpy())
    return projected, sign


def _jacobian_product(
    vectors: torch.Tensor, sign: torch.Tensor, leak: float, transposed: bool
) -> torch.Tensor:
    if vectors.device.type != "cpu":
        return _jacobian_by_masks(vectors, sign, leak, transposed)
    product = torch.empty_like(vectors)
    _jacobian_rows(vectors.numpy(), sign.numpy(), leak, transposed, product.numpy())
    return product


def _project_by_sorting(rows: torch.Tensor, leak: float) -> tuple[torch.Tensor, torch.Tensor]:
    # Measured from the row's maximum, no entry of the support is below -1: whatever the scale
    # of q, the sums below stay small and exact.
    below = rows - rows.amax(dim=1, keepdim=True)
    ordered = below.sort(dim=1, descending=True).values
    count = torch.arange(1, rows.shape[1] + 1, device=rows.device, dtype=rows.dtype)
    threshold = (ordered.cumsum(dim=1) - 1) / count
    support = (ordered > threshold).sum(dim=1, keepdim=True).clamp(min=1)
    distance = below - threshold.gather(1, support - 1)
    kept = distance.clamp(min=0)
    if leak > 0:
        kept = torch.where(distance < 0, leak * distance, kept)
    return kept, distance.sign().nan_to_num().to(torch.int8)


def _jacobian_by_masks(
    vectors: torch.Tensor, sign: torch.Tensor, leak: float, transposed: bool
) -> torch.Tensor:
    slope = torch.ones_like(vectors).masked_fill(sign < 0, leak)
    active = (sign > 0).to(vectors.dtype)
    share = active / active.sum(dim=1, keepdim=True).clamp(min=1)
    if transposed:
        scaled = slope * vectors
        return scaled - share * scaled.sum(dim=1, keepdim=True)
    return slope * (vectors - (share * vectors).sum(dim=1, keepdim=True))


@njit(cache=True, nogil=True)
def _project_rows(rows: Array, leak: float, projected: Array, sign: Array) -> None:
    # Michelot's fixed point: the threshold only rises, so that a pass over the row needs no
    # record of which entries are still in the support.
    n, width = rows.shape
    for p in range(n):
        top = rows[p, 0]
        valid = True
        for j in range(width):
            value = rows[p, j]
            top = max(top, value)
            valid = valid and value == value
        if not valid or np.isinf(top):
            for j in range(width):
                projected[p, j] = np.nan
                sign[p, j] = 0
            continue
        threshold = -1.0
        last = -1
        while True:
            total = 0.0
            count = 0
            for j in range(width):
                below = float(rows[p, j]) - top
                if below > threshold:
                    total += below
                    count += 1
            if 0 <= last <= count:
                break
            last = count
            threshold = (total - 1.0) / count
        for j in range(width):
            distance = float(rows[p, j]) - top - threshold
            if distance > 0.0:
                projected[p, j] = distance
                sign[p, j] = 1
            elif distance == 0.0 or leak == 0.0:
                projected[p, j] = 0.0
                sign[p, j] = 0 if distance == 0.0 else -1
            else:
                projected[p, j] = leak * distance
                sign[p, j] = -1


@njit(cache=True, nogil=True)
def _jacobian_rows(
    vectors: Array, sign: Array, leak: float, transposed: bool, product: Array
) -> None:
    n, width = vectors.shape
    for p in range(n):
        total = 0.0
        count = 0
        for j in range(width):
            value = float(vectors[p, j])
            if sign[p, j] > 0:
                count += 1
                total += value
            elif transposed:
                total += value if sign[p, j] == 0 else leak * value
        mean = total / max(count, 1)
        for j in range(width):
            value = float(vectors[p, j])
            if transposed:
                scaled = leak * value if sign[p, j] < 0 else value
                product[p, j] = scaled - mean if sign[p, j] > 0 else scaled
            else:
                product[p, j] = (value - mean) * (leak if sign[p, j] < 0 else 1.0)
