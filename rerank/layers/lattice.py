"""High-dimensional filtering on the permutohedral lattice."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import numpy as np
import torch

from rerank.errors import InputError
from rerank.layers.lattice_autograd import BlurAxes, Slice, Splat, Weighted
from rerank.layers.lattice_build import place
from rerank.layers.lattice_graph import Blur, LatticeGraph, PointWeights, SelfInteraction
from rerank.layers.lattice_kernels import NeighbourLists
from rerank.layers.neighbourhood import binomial_weights, filter_variance, gaussian_amplitude
from rerank.types import Array, FloatArray, IntArray
from rerank.validation import check_finite

Values = TypeVar("Values", torch.Tensor, Array)


class SparseTables(NamedTuple):
    """The filter of a lattice as sparse tables.

    Attributes
    ----------
    indices : (N, d + 1) int32
        The lattice points at the corners of each point's simplex.
    weights : (N, d + 1) float64
        The weights that `splat` gives them.
    neighbours : NeighbourLists
        The neighbours of each lattice point. Their offsets are rows of
        `PermutohedralLattice.offsets`, to which the blur weights belong.
    """

    indices: IntArray
    weights: FloatArray
    neighbours: NeighbourLists


class PermutohedralLattice:
    """A sparse lattice on which N points of R^d are filtered in time linear in N.

    The filter ``slice(blur(splat(values)))`` approximates the dense sum ::

        out[i] = sum_j exp(-|features[i] - features[j]|^2 / 2) * values[j]

    with i = j included: divide the features by the standard deviations that the kernel should
    have. The blur's weights can be any others, and learned.

    Each point lies in one simplex of the lattice and is splatted onto its d + 1 corners with
    barycentric weights. Only corners of some point's simplex exist; a neighbour that does not
    counts as zero. Sources: Adams et al. 2010 for the lattice and the blur along its axes;
    Jampani et al. 2016 for weights on a whole neighbourhood (Larsson et al. 2017, section 3).

    Values are rows of channels, torch tensors (any device; float32 and float64, half precision is
    computed in float32) or NumPy arrays, and come back as the same kind. Gradients flow to
    values and to blur weights, to any order, and not to the features. On the CPU the loops are
    compiled; on other devices they are plain torch over the same indices, where sums of
    `splat` may differ in the last digits from run to run.

    Parameters
    ----------
    features : array or tensor (N, d), N >= 1, d >= 1
        Finite positions of the points, in standard deviations of the kernel.
    radius : int, optional
        None blurs with (1 2 1)/4 along each of the d + 1 axes in turn. A radius s >= 1 blurs
        with one weight for each of the ``(s + 1)**(d + 1) - s**(d + 1)`` neighbours that are
        at most s steps along each axis away; without other weights, they are the binomial
        ones, nearer to the Gaussian the larger s is. The lattice is as coarse as the blur
        needs, so that a lattice with another radius has other points.

    Attributes
    ----------
    n_dims : int
        d.
    radius : int or None
    amplitude : float
        What the Gaussian weights sum to, so that the filter has the height of the dense sum.

    Raises
    ------
    InputError
        If `features` is not a finite matrix with at least one row and column.
    InputError
        If `radius` is not None or a positive integer.
    InputError
        If a feature lies 2^40 lattice cells or more from the origin.

    Examples
    --------
    >>> import numpy as np
    >>> features = np.random.default_rng(0).uniform(size=(200, 2)) * 4
    >>> values = np.ones((200, 1))
    >>> apart = features[:, None] - features[None]
    >>> dense = np.exp(-(apart ** 2).sum(axis=2) / 2) @ values
    >>> lattice = PermutohedralLattice(features)
    >>> bool(np.abs(lattice.filter(values) / dense - 1).mean() < 0.1)
    True
    """

    def __init__(self, features: torch.Tensor | Array, radius: int | None = None) -> None:
        rows = _as_matrix(features)
        if radius is not None and (not isinstance(radius, int) or radius < 1):
            raise InputError(f"radius must be None or an integer of at least 1, got {radius!r}")
        self.radius = radius
        self.n_dims = rows.shape[1]
        blur_radius = 2 if radius is None else radius
        simplices = place(rows, filter_variance(blur_radius), radius or 1)
        self.amplitude = gaussian_amplitude(self.n_dims, blur_radius)
        self._graph = LatticeGraph(simplices, radius or 1)
        self._weights = PointWeights(simplices.corners.weights)
        self._normalized: PermutohedralLattice | None = None
        self._own: FloatArray | None = None

    @property
    def n_points(self) -> int:
        """N."""
        return self._graph.n_points

    @property
    def n_vertices(self) -> int:
        """M, the number of lattice points."""
        return self._graph.n_vertices

    @property
    def n_weights(self) -> int:
        """K, the number of neighbours; 3 weights along each axis where `radius` is None."""
        return 3 if self.radius is None else len(self._graph.offsets)

    @property
    def offsets(self) -> IntArray:
        """The neighbours that the blur weights belong to.

        Returns
        -------
        (K, d + 1) int64
            Steps along each axis, the first row all zeros; adding one to a whole row would
            change nothing, since the axes sum to zero.
        """
        self._check_has_radius("offsets")
        return self._graph.offsets

    @property
    def opposite(self) -> IntArray:
        """The position (K,) of each offset's negative; a kernel is symmetric if its weights
        are those at the opposite offsets."""
        self._check_has_radius("opposite")
        return self._graph.opposite

    def gaussian_weights(self) -> FloatArray:
        """The blur weights (K,) that approximate the Gaussian; they sum to `amplitude`."""
        self._check_has_radius("gaussian_weights")
        assert self.radius is not None
        return self.amplitude * binomial_weights(self._graph.offsets, self.radius)

    def splat(self, values: Values) -> Values:
        """Spread values of the points over the lattice: (N, C) to (M, C)."""
        rows = self._rows(values, self.n_points, "points")
        return _like(values, Splat.apply(self._graph, self._weights, rows))

    def slice(self, lattice: Values, base: Values | None = None) -> Values:
        """Interpolate lattice values at the points, the transpose of `splat`.

        Parameters
        ----------
        lattice : (M, C)
        base : (N, C), optional
            Is added in the same pass. Tensor or array as `lattice` is.

        Returns
        -------
        (N, C)

        Raises
        ------
        InputError
            If there are not M rows of values, or `base` has not N rows of C channels.
        """
        rows = self._rows(lattice, self.n_vertices, "lattice points")
        if base is None:
            start = rows.new_zeros(self.n_points, rows.shape[1])
        else:
            start = self._rows(base, self.n_points, "points").to(rows)
            if start.shape[1] != rows.shape[1]:
                raise InputError(
                    f"base has {start.shape[1]} channels and lattice "
                    f"{rows.shape[1]}; they must be equal"
                )
        return _like(lattice, Slice.apply(self._graph, self._weights, rows, start))

    def blur(self, lattice: Values, weights: torch.Tensor | Array | None = None) -> Values:
        """Mix each lattice point's value with its neighbours': (M, C) to (M, C').

        Parameters
        ----------
        lattice : (M, C)
        weights : (K,) or (C', C, K), optional
            Weight k multiplies the neighbour at ``offsets[k]``, for all channels alike or from
            channel C to channel C'. None is the Gaussian.

        Returns
        -------
        (M, C'), of the type of `lattice`

        Raises
        ------
        InputError
            If there are not M rows of values, or the weights fit neither shape.
        InputError
            If weights are given and the lattice was made without a radius.
        """
        rows = self._rows(lattice, self.n_vertices, "lattice points")
        if self.radius is None:
            if weights is not None:
                raise InputError(
                    "blur weights need a lattice made with a radius, which says "
                    "how far the neighbours reach; this one has radius None"
                )
            return _like(lattice, BlurAxes.apply(self._graph, rows, self.amplitude, False))
        given = _as_tensor(self.gaussian_weights() if weights is None else weights).to(rows)
        n_weights = self.n_weights
        fits = given.shape == (n_weights,) or (
            given.dim() == 3 and given.shape[1:] == (rows.shape[1], n_weights)
        )
        if not fits:
            raise InputError(
                f"weights must be ({n_weights},) or (any, {rows.shape[1]}, {n_weights}) for "
                f"{rows.shape[1]} channels and radius {self.radius} in {self.n_dims} "
                f"dimensions, got {tuple(given.shape)}"
            )
        return _like(lattice, Weighted.apply(Blur(self._graph), rows, _offset_first(given), None))

    def filter(self, values: Values, weights: torch.Tensor | Array | None = None) -> Values:
        """Splat, blur and slice.

        Parameters
        ----------
        values : (N, C)
        weights : (K,) or (C', C, K), optional
            As for `blur`.

        Returns
        -------
        (N, C')

        Raises
        ------
        InputError
            As for `blur`.
        """
        return self.slice(self.blur(self.splat(values), weights))

    def scaled(self, factor: Array) -> PermutohedralLattice:
        """The lattice whose kernel between i and j is multiplied by ``factor[i] * factor[j]``.

        It shares the lattice points and tables with this one.

        Parameters
        ----------
        factor : (N,) float

        Returns
        -------
        PermutohedralLattice

        Raises
        ------
        InputError
            If there are not N factors, or one is not finite.
        """
        factor = np.asarray(factor, dtype=np.float64)
        if factor.shape != (self.n_points,):
            raise InputError(
                f"factor must be ({self.n_points},), one number a point, got {factor.shape}"
            )
        check_finite(factor, "factor")
        copy = object.__new__(PermutohedralLattice)
        copy.__dict__.update(self.__dict__)
        if self._weights.factor is not None:
            factor = factor * self._weights.factor
        copy._weights = PointWeights(self._weights.barycentric, factor)
        copy._normalized = copy._own = None
        return copy

    def row_sums(self) -> FloatArray:
        """What the Gaussian filter makes of ones: (N,) float64, positive."""
        return self.filter(np.ones((self.n_points, 1)))[:, 0]

    def normalized(self) -> PermutohedralLattice:
        """The lattice whose Gaussian kernel K is D^(-1/2) K D^(-1/2), D its row sums.

        This is the symmetric normalisation of Krähenbühl and Koltun 2013. It is computed once.
        """
        if self._normalized is None:
            self._normalized = self.scaled(1 / np.sqrt(self.row_sums()))
        return self._normalized

    def self_weights(self, weights: Array | None = None) -> FloatArray:
        """The diagonal of the kernel: how much of its own value each point gets back.

        Parameters
        ----------
        weights : (K,), optional
            Blur weights that all channels share. None is the Gaussian.

        Returns
        -------
        (N,) float64

        Raises
        ------
        InputError
            If the weights are not (K,), or the lattice was made without a radius.
        """
        self._check_has_radius("self_weights")
        operator = SelfInteraction(self._graph, self._weights)
        if weights is None:
            if self._own is None:
                self._own = operator.diagonal(self.gaussian_weights())
            return self._own.copy()
        kernel = np.asarray(weights, np.float64)
        if kernel.shape != (self.n_weights,):
            raise InputError(f"weights must be ({self.n_weights},), got {kernel.shape}")
        return operator.diagonal(kernel)

    def filter_others(
        self,
        values: Values,
        weights: torch.Tensor | Array | None = None,
        base: Values | None = None,
    ) -> Values:
        """As `filter`, summed over the other points only: the pairs i != j.

        Parameters
        ----------
        values : (N, C)
        weights : (K,) or (C', C, K), optional
            As for `blur`.
        base : (N, C'), optional
            Is added.

        Returns
        -------
        (N, C')

        Raises
        ------
        InputError
            As for `blur`, or if the lattice was made without a radius.
        """
        self._check_has_radius("filter_others")
        rows = self._rows(values, self.n_points, "points")
        given = _as_tensor(self.gaussian_weights() if weights is None else weights).to(rows)
        filtered = self.slice(
            self.blur(self.splat(rows), given), None if base is None else _as_tensor(base)
        )
        if weights is None:
            own = torch.from_numpy(self.self_weights()).to(rows)
            return _like(values, filtered - own[:, None] * rows)
        if given.dim() == 1:
            # The own weights are linear in `weights`: all channels alike, one at a time.
            given = torch.eye(rows.shape[1]).to(rows)[:, :, None] * given
        operator = SelfInteraction(self._graph, self._weights)
        return _like(values, Weighted.apply(operator, rows, -_offset_first(given), filtered))

    def sparse_tables(self) -> SparseTables:
        """The filter as sparse tables, for algorithms that change one point at a time."""
        self._check_has_radius("sparse_tables")
        return SparseTables(self._graph.indices, self._weights.float64, self._graph.grouped)

    def _check_has_radius(self, name: str) -> None:
        if self.radius is None:
            raise InputError(
                f"{name} needs a lattice made with a radius; this one blurs along "
                "its axes (radius None)"
            )

    def _rows(self, values: torch.Tensor | Array, expected: int, of_what: str) -> torch.Tensor:
        rows = _as_tensor(values)
        if rows.dim() != 2 or rows.shape[0] != expected:
            raise InputError(
                f"values must be ({expected}, C), one row for each of the "
                f"{expected} {of_what}, got {tuple(rows.shape)}"
            )
        if not rows.is_floating_point():
            raise InputError(f"values must be floating point, got {rows.dtype}")
        return rows if rows.dtype == torch.float64 else rows.float()


def _as_matrix(features: torch.Tensor | Array) -> FloatArray:
    if isinstance(features, torch.Tensor):
        features = features.detach().cpu().numpy()
    rows = np.asarray(features, dtype=np.float64)
    if rows.ndim != 2 or 0 in rows.shape:
        raise InputError(
            f"features must be (N, d) with at least one point and one dimension, got {rows.shape}"
        )
    check_finite(rows, "features")
    return rows


def _as_tensor(values: torch.Tensor | Array) -> torch.Tensor:
    return values if isinstance(values, torch.Tensor) else torch.from_numpy(np.asarray(values))


def _like(given: Values, result: torch.Tensor) -> Values:
    if isinstance(given, torch.Tensor):
        return result.to(given.dtype)
    return result.numpy().astype(given.dtype, copy=False)


def _offset_first(weights: torch.Tensor) -> torch.Tensor:
    """(C', C, K) as torch holds it to (K, C, C') as the loops read it."""
    return weights if weights.dim() == 1 else weights.permute(2, 1, 0)
