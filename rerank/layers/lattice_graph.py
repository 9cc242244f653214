"""The linear operators of a permutohedral lattice, compiled on the CPU, in torch elsewhere.

N is the number of points, M that of lattice points, d that of feature dimensions, K that of
neighbour offsets and C that of channels. Values of points are tensors (N, C), those of lattice
points (M, C), float32 or float64. `weights` without more are those of the points' corners, blur
weights (K,) or (K, C_in, C_out).
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch

from rerank.layers import lattice_kernels as kernels
from rerank.layers.lattice_build import Simplices, neighbours
from rerank.layers.neighbourhood import neighbour_offsets, opposite_offsets
from rerank.types import Array, FloatArray, IntArray

Rows = torch.Tensor

#: Points whose label-by-label matrices are held at a time off the CPU.
_CHUNK = 1 << 16


class LatticeGraph:
    """The points of a lattice and their neighbours, without values or weights.

    Neighbour tables are looked up when first needed, and copied to a device when first used
    there.

    Parameters
    ----------
    simplices : Simplices
    radius : int
        How many steps along each axis the neighbours of a blur are away at most.
    """

    def __init__(self, simplices: Simplices, radius: int) -> None:
        self._simplices = simplices
        self.indices = simplices.corners.indices
        self.directions = simplices.corners.directions
        self.n_points: int = len(simplices.corners.indices)
        self.n_dims: int = self.directions.shape[1]
        self.n_vertices = len(simplices.table.keys)
        self.radius = radius
        self._copies: dict[tuple[str, torch.device], torch.Tensor] = {}

    @cached_property
    def offsets(self) -> IntArray:
        """(K, d + 1), see `neighbour_offsets`."""
        return neighbour_offsets(self.n_dims, self.radius)

    @cached_property
    def opposite(self) -> IntArray:
        """(K,), the position of each offset's negative."""
        return opposite_offsets(self.offsets)

    @cached_property
    def along_axes(self) -> IntArray:
        """(2, d + 1, M), the neighbours one step along each direction and one step back."""
        steps = np.eye(self.n_dims + 1, dtype=np.int64)
        both = neighbours(self._simplices, np.concatenate([steps, -steps]))
        return both.reshape(2, self.n_dims + 1, self.n_vertices)

    @cached_property
    def table(self) -> IntArray:
        """(K, M), the neighbour at each offset, M where there is none."""
        return neighbours(self._simplices, self.offsets)

    @cached_property
    def grouped(self) -> kernels.NeighbourLists:
        """`table` by lattice point, without the absent."""
        return kernels.group_by_row(self.table)

    @cached_property
    def pairs(self) -> Array:
        """(N, d (d + 1) / 2), the offsets between the corners of each point's simplex."""
        position = {tuple(c): k for k, c in enumerate(self.offsets.tolist())}
        corners = self.n_dims + 1
        # Every subset of the directions, as bits; all of them together lead nowhere.
        subsets = np.array(
            [
                position.get(tuple((bits >> j) & 1 for j in range(corners)), 0)
                for bits in range(1 << corners)
            ],
            dtype=np.int64,
        )
        pairs = np.empty(
            (self.n_points, self.n_dims * corners // 2), np.min_scalar_type(len(self.offsets))
        )
        kernels.pair_offsets(self.directions, subsets, pairs)
        return pairs

    def copy_on(self, device: torch.device, name: str) -> torch.Tensor:
        """An index table on a device.

        Parameters
        ----------
        device : torch.device
        name : str
            Name of an attribute that is an array of integers.

        Returns
        -------
        int64 tensor of the table's shape
        """
        key = (name, device)
        if key not in self._copies:
            values: Array = getattr(self, name)
            self._copies[key] = torch.from_numpy(values.astype(np.int64)).to(device)
        return self._copies[key]


class PointWeights:
    """The weights (N, d + 1) of a lattice's points, in each type asked for.

    Parameters
    ----------
    barycentric : (N, d + 1) float64
    factor : (N,) float64, optional
        What each point's weights are multiplied by.
    """

    def __init__(self, barycentric: FloatArray, factor: FloatArray | None = None) -> None:
        self.barycentric = barycentric
        self.factor = factor
        self._copies: dict[tuple[torch.dtype, torch.device], torch.Tensor] = {}

    @property
    def float64(self) -> FloatArray:
        """The weights as an array."""
        return self.like(torch.empty(0, dtype=torch.float64)).numpy()

    def like(self, values: torch.Tensor) -> torch.Tensor:
        """The weights in the type and on the device of `values`."""
        key = (values.dtype, values.device)
        if key not in self._copies:
            weights = torch.from_numpy(self.barycentric).to(values.device, values.dtype)
            if self.factor is not None:
                factor = torch.from_numpy(self.factor).to(values.device, values.dtype)
                weights = weights * factor[:, None]
            self._copies[key] = weights
        return self._copies[key]


def splat(graph: LatticeGraph, weights: PointWeights, values: Rows) -> Rows:
    """Spread the values of points over the corners of their simplices.

    Adams et al. 2010, section 3: each corner gets the value times its barycentric weight.

    Parameters
    ----------
    graph : LatticeGraph
    weights : PointWeights
    values : (N, C) tensor

    Returns
    -------
    (M, C) tensor
    """
    out = values.new_zeros(graph.n_vertices, values.shape[1])
    share = weights.like(values)
    if _compiled(values):
        kernels.splat(values.numpy(), graph.indices.view(np.uint32), share.numpy(), out.numpy())
        return out
    indices = graph.copy_on(values.device, "indices")
    for k in range(graph.n_dims + 1):
        out.index_add_(0, indices[:, k], share[:, k : k + 1] * values)
    return out


def slice_(graph: LatticeGraph, weights: PointWeights, lattice: Rows, base: Rows) -> Rows:
    """Gather the values of points from the corners of their simplices: the transpose of `splat`.

    Parameters
    ----------
    graph : LatticeGraph
    weights : PointWeights
    lattice : (M, C) tensor
    base : (N, C) tensor
        Is added to the result.

    Returns
    -------
    (N, C) tensor
    """
    share = weights.like(lattice)
    if _compiled(lattice):
        out = torch.empty_like(base)
        kernels.slice_(
            lattice.numpy(), graph.indices.view(np.uint32), share.numpy(), base.numpy(), out.numpy()
        )
        return out
    out = base.clone()
    indices = graph.copy_on(lattice.device, "indices")
    for k in range(graph.n_dims + 1):
        out.addcmul_(share[:, k : k + 1], lattice[indices[:, k]])
    return out


def blur_axes(graph: LatticeGraph, lattice: Rows, scale: float, reverse: bool) -> Rows:
    """Blur along each direction of the lattice in turn, with the taps (1 2 1)/4.

    Parameters
    ----------
    graph : LatticeGraph
    lattice : (M, C) tensor
    scale : float
        Factor on the result.
    reverse : bool
        Take the directions in the reverse order, which gives the transposed operator.

    Returns
    -------
    (M, C) tensor
    """
    order = range(graph.n_dims, -1, -1) if reverse else range(graph.n_dims + 1)
    on_cpu = _compiled(lattice)
    for step, axis in enumerate(order):
        factor = scale if step == 0 else 1.0
        if on_cpu:
            blurred = torch.empty_like(lattice)
            ahead, behind = graph.along_axes[:, axis]
            number = blurred.numpy().dtype.type
            kernels.blur_direction(
                lattice.numpy(),
                ahead,
                behind,
                number(0.5 * factor),
                number(0.25 * factor),
                blurred.numpy(),
            )
            lattice = blurred
        else:
            ahead_on, behind_on = graph.copy_on(lattice.device, "along_axes")[:, axis]
            padded = _with_absent(lattice)
            lattice = factor * (0.5 * lattice + 0.25 * (padded[ahead_on] + padded[behind_on]))
    return lattice


class Blur:
    """Weights for each neighbour offset, times the lattice points: bilinear in both."""

    def __init__(self, graph: LatticeGraph) -> None:
        self._graph = graph

    def apply(self, lattice: Rows, weights: torch.Tensor, base: Rows | None = None) -> Rows:
        """Add the weighted neighbours of each lattice point.

        Parameters
        ----------
        lattice : (M, C_in) tensor
        weights : (K,) or (K, C_in, C_out) tensor
            The weight of each offset; with (K,), C_out is C_in.
        base : (M, C_out) tensor, optional
            Is added to the result.

        Returns
        -------
        (M, C_out) tensor
        """
        graph = self._graph
        n_out = lattice.shape[1] if weights.dim() == 1 else weights.shape[2]
        out = lattice.new_zeros(graph.n_vertices, n_out) if base is None else base.clone()
        if _compiled(lattice):
            loop = kernels.blur_shared if weights.dim() == 1 else kernels.blur_mixing
            loop(lattice.numpy(), weights.numpy(), graph.grouped, out.numpy())
            return out
        table, padded = graph.copy_on(lattice.device, "table"), _with_absent(lattice)
        for k in range(len(table)):
            moved = padded[table[k]]
            if weights.dim() == 1:
                out += weights[k] * moved
            else:
                out.addmm_(moved, weights[k])
        return out

    def weight_grad(self, grad: Rows, lattice: Rows, shared: bool) -> torch.Tensor:
        """The gradient of ``(grad * apply(lattice, weights)).sum()`` to the weights.

        Parameters
        ----------
        grad : (M, C_out) tensor
        lattice : (M, C_in) tensor
        shared : bool
            Whether the weights are (K,).

        Returns
        -------
        (K,) or (K, C_in, C_out) tensor
        """
        graph = self._graph
        n_offsets = len(graph.offsets)
        shape = (n_offsets,) if shared else (n_offsets, lattice.shape[1], grad.shape[1])
        out = lattice.new_zeros(shape)
        if _compiled(lattice):
            loop = kernels.blur_shared_weight_grad if shared else kernels.blur_mixing_weight_grad
            loop(grad.numpy(), lattice.numpy(), graph.grouped, out.numpy())
            return out
        table, padded = graph.copy_on(lattice.device, "table"), _with_absent(lattice)
        for k in range(n_offsets):
            moved = padded[table[k]]
            out[k] = (moved * grad).sum() if shared else moved.T @ grad
        return out

    def adjoint(self, weights: torch.Tensor) -> torch.Tensor:
        """The weights of the transposed operator."""
        return _reversed(self._graph, weights)


class SelfInteraction:
    """The share of a point's own value in its result of `splat`, `Blur` and `slice_`.

    The corners of a point's simplex are all neighbours of one another, so that a point's own
    value reaches it through every pair of them.

    Parameters
    ----------
    graph : LatticeGraph
    weights : PointWeights
    """

    def __init__(self, graph: LatticeGraph, weights: PointWeights) -> None:
        self._graph = graph
        self._weights = weights

    def diagonal(self, kernel: FloatArray) -> FloatArray:
        """(N,) for weights (K,) that all channels share, float64."""
        out = np.empty(self._graph.n_points)
        kernels.self_shared(
            self._both_ways(torch.from_numpy(kernel)).numpy(),
            self._weights.float64,
            self._graph.pairs,
            out,
        )
        return out

    def apply(self, values: Rows, kernel: torch.Tensor, base: Rows | None = None) -> Rows:
        """What each point gets from itself.

        Parameters
        ----------
        values : (N, C_in) tensor
        kernel : (K, C_in, C_out) tensor
            The blur's weights.
        base : (N, C_out) tensor, optional
            Is added to the result.

        Returns
        -------
        (N, C_out) tensor
        """
        graph, share = self._graph, self._weights.like(values)
        both = self._both_ways(kernel).flatten(1).contiguous()
        start = values.new_zeros(len(values), kernel.shape[2]) if base is None else base
        out = torch.empty_like(start)
        if _compiled(values):
            kernels.self_mixing(
                values.numpy(), both.numpy(), share.numpy(), graph.pairs, start.numpy(), out.numpy()
            )
            return out
        for part in _chunks(len(values)):
            matrices = (self._pair_weights(share, part) @ both).view(-1, *kernel.shape[1:])
            out[part] = torch.baddbmm(
                start[part].unsqueeze(1), values[part].unsqueeze(1), matrices
            ).squeeze(1)
        return out

    def weight_grad(self, grad: Rows, values: Rows, shared: bool) -> torch.Tensor:
        """The gradient of ``(grad * apply(values, kernel)).sum()`` to the kernel.

        Parameters
        ----------
        grad : (N, C_out) tensor
        values : (N, C_in) tensor
        shared : bool
            Not used: the kernel is (K, C_in, C_out).

        Returns
        -------
        (K, C_in, C_out) tensor
        """
        graph, share = self._graph, self._weights.like(values)
        shape = (len(graph.offsets), values.shape[1], grad.shape[1])
        out = values.new_zeros(shape[0], shape[1] * shape[2])
        if _compiled(values):
            kernels.self_mixing_weight_grad(
                grad.numpy(), values.numpy(), share.numpy(), graph.pairs, out.numpy()
            )
        else:
            for part in _chunks(len(values)):
                outer = torch.einsum("ni,no->nio", values[part], grad[part]).flatten(1)
                out += self._pair_weights(share, part).T @ outer
        return self._both_ways(out).view(shape)

    def adjoint(self, kernel: torch.Tensor) -> torch.Tensor:
        """The weights of the transposed operator."""
        return _reversed(self._graph, kernel)

    def _both_ways(self, kernel: torch.Tensor) -> torch.Tensor:
        both = kernel + kernel[self._graph.copy_on(kernel.device, "opposite")]
        both[0] = kernel[0]
        return both

    def _pair_weights(self, share: torch.Tensor, part: slice) -> torch.Tensor:
        """(n, K): for each offset, the product of the weights of the corners it connects."""
        graph = self._graph
        offsets = graph.copy_on(share.device, "pairs")[part]
        share = share[part]
        sums = share.new_zeros(len(share), len(graph.offsets))
        sums[:, 0] = share.square().sum(dim=1)
        first, second = torch.triu_indices(graph.n_dims + 1, graph.n_dims + 1, 1)
        return sums.scatter_add_(1, offsets, share[:, first] * share[:, second])


Bilinear = Blur | SelfInteraction


def _reversed(graph: LatticeGraph, weights: torch.Tensor) -> torch.Tensor:
    turned = weights[graph.copy_on(weights.device, "opposite")]
    return turned if turned.dim() == 1 else turned.transpose(1, 2)


def _compiled(values: torch.Tensor) -> bool:
    return values.device.type == "cpu"


def _with_absent(lattice: Rows) -> Rows:
    """A row of zeros after the last, where the tables send what is absent."""
    return torch.cat([lattice, lattice.new_zeros(1, lattice.shape[1])])


def _chunks(n_points: int) -> list[slice]:
    return [slice(start, start + _CHUNK) for start in range(0, n_points, _CHUNK)]
