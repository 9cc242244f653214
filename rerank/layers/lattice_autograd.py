"""Gradients of the lattice's operators; each backward pass is made of the same operators."""

from __future__ import annotations

from typing import Any

import torch

from rerank.layers.lattice_graph import (
    Bilinear,
    LatticeGraph,
    PointWeights,
    blur_axes,
    slice_,
    splat,
)


class _Function(torch.autograd.Function):
    @classmethod
    def apply(cls, *arguments: Any) -> Any:
        # torch leaves it without types.
        return super().apply(*arguments)  # type: ignore[no-untyped-call]


class Splat(_Function):
    """Values (N, C) of the points to (M, C) of the lattice points."""

    @staticmethod
    def forward(
        ctx: Any, graph: LatticeGraph, weights: PointWeights, values: torch.Tensor
    ) -> torch.Tensor:
        ctx.lattice = graph, weights
        return splat(graph, weights, _plain(values))

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[None, None, torch.Tensor]:
        graph, weights = ctx.lattice
        base = grads[0].new_zeros(grads[0].shape[1]).expand(graph.n_points, -1)
        return None, None, Slice.apply(graph, weights, grads[0], base)


class Slice(_Function):
    """Values (M, C) of the lattice points to (N, C) of the points, plus `base`."""

    @staticmethod
    def forward(
        ctx: Any,
        graph: LatticeGraph,
        weights: PointWeights,
        values: torch.Tensor,
        base: torch.Tensor,
    ) -> torch.Tensor:
        ctx.lattice = graph, weights
        return slice_(graph, weights, _plain(values), _plain(base))

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[None, None, torch.Tensor, torch.Tensor]:
        return None, None, Splat.apply(*ctx.lattice, grads[0]), grads[0]


class BlurAxes(_Function):
    """`blur_axes`."""

    @staticmethod
    def forward(
        ctx: Any, graph: LatticeGraph, values: torch.Tensor, scale: float, reverse: bool
    ) -> torch.Tensor:
        ctx.settings = graph, scale, reverse
        return blur_axes(graph, _plain(values), scale, reverse)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[None, torch.Tensor, None, None]:
        graph, scale, reverse = ctx.settings
        return None, BlurAxes.apply(graph, grads[0], scale, not reverse), None, None


class Weighted(_Function):
    """`operator.apply(values, weights)` plus `base`, if there is one."""

    @staticmethod
    def forward(
        ctx: Any,
        operator: Bilinear,
        values: torch.Tensor,
        weights: torch.Tensor,
        base: torch.Tensor | None,
    ) -> torch.Tensor:
        ctx.operator = operator
        ctx.save_for_backward(values, weights)
        return operator.apply(
            _plain(values), _plain(weights), None if base is None else _plain(base)
        )

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        values, weights = ctx.saved_tensors
        to_values = to_weights = None
        if ctx.needs_input_grad[1]:
            to_values = Weighted.apply(ctx.operator, grads[0], ctx.operator.adjoint(weights), None)
        if ctx.needs_input_grad[2]:
            to_weights = WeightGrad.apply(ctx.operator, grads[0], values, weights.dim() == 1)
        return None, to_values, to_weights, grads[0] if ctx.needs_input_grad[3] else None


class WeightGrad(_Function):
    """`operator.weight_grad(grad, values)`, linear in both."""

    @staticmethod
    def forward(
        ctx: Any, operator: Bilinear, grad: torch.Tensor, values: torch.Tensor, shared: bool
    ) -> torch.Tensor:
        ctx.operator = operator
        ctx.save_for_backward(grad, values)
        return operator.weight_grad(_plain(grad), _plain(values), shared)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[None, torch.Tensor, torch.Tensor, None]:
        grad, values = ctx.saved_tensors
        weights = grads[0]
        to_grad = Weighted.apply(ctx.operator, values, weights, None)
        to_values = Weighted.apply(ctx.operator, grad, ctx.operator.adjoint(weights), None)
        return None, to_grad, to_values, None


def _plain(values: torch.Tensor) -> torch.Tensor:
    return values.detach().contiguous()
