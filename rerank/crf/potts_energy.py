"""The energy of a labeling of a graph: unary costs plus pairwise costs on the edges."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from rerank.crf.adjacency import Adjacency, first_fault
from rerank.crf.energy_arrays import EnergyArrays, PairwiseCosts, evaluate_rows
from rerank.crf.label_rows import Lanes, lanes_for, padded
from rerank.errors import InputError
from rerank.types import Array, FloatArray, IntArray
from rerank.validation import check_finite


@dataclass(frozen=True, eq=False)
class PottsEnergy:
    """E(x) = sum_i unary[i, x_i] + sum_(i,j) weights[ij] * [x_i != x_j], to be minimised.

    With `compatibility` the bracket becomes a table: an edge ``(i, j)`` of weight w costs
    ``w * compatibility[x_i, x_j]``, the first index being the label of ``edges[:, 0]``.

    The arrays are copied, checked once and made read-only.

    Parameters
    ----------
    unary : (n, L) float
        Cost of each label at each node; any finite values, negative ones too.
    edges : (m, 2) int
        Pairs of different nodes in 0..n-1, each pair at most once in either order; m may be 0.
    weights : (m,) float
        Cost of a label change along each edge, at least 0.
    compatibility : (L, L) or (m, L, L) float, optional
        Cost of each pair of labels in units of the edge's weight, one table for all edges or one
        an edge. Any finite values, asymmetric ones too; None means Potts. A method that needs
        more (a metric, for example) says so.

    Raises
    ------
    InputError
        If a shape or type is not as above, there is no node or no label, a value is NaN or
        infinite, a weight is negative, an edge leaves the graph, joins a node to itself or occurs
        twice.

    Examples
    --------
    >>> import numpy as np
    >>> energy = PottsEnergy(np.array([[0.0, 1.0], [2.0, 0.5]]), np.array([[0, 1]]),
    ...                      np.array([0.7]))
    >>> energy.evaluate(np.array([0, 1]))
    1.2
    >>> energy.evaluate(np.array([[0, 0], [1, 1]]))
    array([2. , 1.5])
    """

    unary: FloatArray
    edges: IntArray
    weights: FloatArray
    compatibility: FloatArray | None = None

    def __post_init__(self) -> None:
        unary = _checked_unary(self.unary)
        edges = _checked_edges(self.edges, len(unary))
        weights = _checked_weights(self.weights, len(edges))
        self._store("unary", unary)
        self._store("edges", edges)
        self._store("weights", weights)
        if self.compatibility is not None:
            n_labels = unary.shape[1]
            table = _real_array(self.compatibility, "compatibility")
            if table.shape not in ((n_labels, n_labels), (len(edges), n_labels, n_labels)):
                raise InputError(
                    f"compatibility must have shape ({n_labels}, {n_labels}) or ({len(edges)}, "
                    f"{n_labels}, {n_labels}), got {table.shape}"
                )
            check_finite(table, "compatibility")
            self._store("compatibility", table)

    def _store(self, name: str, values: Array) -> None:
        values.setflags(write=False)
        object.__setattr__(self, name, values)

    @property
    def n_nodes(self) -> int:
        """Number of nodes, n."""
        return len(self.unary)

    @property
    def n_labels(self) -> int:
        """Number of labels, L."""
        return int(self.unary.shape[1])

    @cached_property
    def adjacency(self) -> Adjacency:
        """The neighbours of each node, made at first use; energies made from this share it."""
        return Adjacency.from_edges(self.n_nodes, self.edges)

    @cached_property
    def pairwise(self) -> PairwiseCosts:
        """`weights` and `compatibility` as the compiled solvers take them."""
        if self.compatibility is None:
            table: FloatArray = np.zeros((0, 1, 1))
        elif self.compatibility.ndim == 2:
            table = self.compatibility[None].copy()
        else:
            table = self.compatibility.copy()
        table.setflags(write=False)
        return PairwiseCosts(self.weights, table)

    @cached_property
    def lowest(self) -> FloatArray:
        """Lowest unary cost of each node, (n,)."""
        found: FloatArray = self.unary.min(axis=1)
        found.setflags(write=False)
        return found

    def arrays(self, theta: FloatArray | None = None) -> EnergyArrays:
        """This energy as the compiled solvers take it.

        Parameters
        ----------
        theta : (n, L) float64, optional
            Unary costs to use; `unary` less the lowest cost of each node by default.

        Returns
        -------
        EnergyArrays
        """
        if theta is None:
            theta = self.unary - self.lowest[:, None]
        return EnergyArrays(theta, self.adjacency, self.pairwise)

    def rows(self) -> tuple[EnergyArrays, Lanes]:
        """This energy for solvers that hold the labels of a node in a row.

        Returns
        -------
        EnergyArrays
            Unary costs are less the lowest of each node; with Potts costs there are further labels
            of infinite cost up to a row's width, W.
        tuple
            `lanes_for` these labels.
        """
        theta: FloatArray = self.unary - self.lowest[:, None]
        if not len(self.pairwise.tables):
            theta = padded(theta, np.inf)
        return self.arrays(theta), lanes_for(self.n_labels)

    @overload
    def evaluate(self, labeling: npt.NDArray[Any]) -> Any: ...

    @overload
    def evaluate(self, labeling: Any) -> Any: ...

    def evaluate(self, labeling: Any) -> float | FloatArray:
        """Energy of one labeling (n,), or of each row of (M, n), in float64.

        Raises
        ------
        InputError
            If `labeling` is not of one of these shapes or holds anything but 0..n_labels-1.
        """
        labels = check_labeling(labeling, self.n_nodes, self.n_labels, stacked=True)
        rows = labels if labels.ndim == 2 else labels[None]
        totals = np.empty(len(rows))
        evaluate_rows(self.unary, self.edges, self.pairwise, rows, totals)
        return totals if labels.ndim == 2 else float(totals[0])

    def with_unary(self, unary: Array) -> PottsEnergy:
        """The same graph and pairwise costs under other unary costs of the same shape.

        Raises
        ------
        InputError
            If `unary` has another shape than this energy's, or is not finite.
        """
        checked = _checked_unary(unary)
        if checked.shape != self.unary.shape:
            raise InputError(f"unary must have shape {self.unary.shape}, got {checked.shape}")
        twin = object.__new__(PottsEnergy)
        twin.__dict__.update(self.__dict__, adjacency=self.adjacency, pairwise=self.pairwise)
        twin.__dict__.pop("lowest", None)
        twin._store("unary", checked)
        return twin

    def with_weights(self, weights: Array) -> PottsEnergy:
        """The same graph, unary costs and tables under other weights of the edges, (m,).

        Raises
        ------
        InputError
            If `weights` has another shape than this energy's, is not finite or is negative.
        """
        checked = _checked_weights(weights, len(self.edges))
        twin = object.__new__(PottsEnergy)
        twin.__dict__.update(self.__dict__, adjacency=self.adjacency)
        twin.__dict__.pop("pairwise", None)
        twin._store("weights", checked)
        return twin


def _checked_weights(values: Any, n_edges: int) -> FloatArray:
    weights = _real_array(values, "weights")
    if weights.shape != (n_edges,):
        raise InputError(f"weights must have shape ({n_edges},), one an edge, got {weights.shape}")
    check_finite(weights, "weights")
    if (weights < 0).any():
        at = int(np.argmax(weights < 0))
        raise InputError(f"weights must be at least 0, weights[{at}] is {weights[at]}")
    return weights


def check_labeling(
    labeling: Any, n_nodes: int, n_labels: int, stacked: bool = False, name: str = "labeling"
) -> IntArray:
    """Return `labeling` as an int64 array if it is one of this graph.

    Parameters
    ----------
    labeling : (n,) int, or (M, n) where `stacked`
    n_nodes, n_labels : int
    stacked : bool
        Whether several labelings in rows are allowed.
    name : str
        What the message calls it.

    Returns
    -------
    int64 array of the same shape

    Raises
    ------
    InputError
        If it has another shape or type, or holds a label out of range.
    """
    labels = np.asarray(labeling)
    if labels.ndim not in ((1, 2) if stacked else (1,)) or labels.shape[-1] != n_nodes:
        several = f" or (M, {n_nodes})" if stacked else ""
        raise InputError(f"{name} must have shape ({n_nodes},){several}, got {labels.shape}")
    if not np.issubdtype(labels.dtype, np.integer):
        raise InputError(f"{name} must be integers, got {labels.dtype}")
    if labels.size and (labels.min() < 0 or labels.max() >= n_labels):
        bad = int(labels[(labels < 0) | (labels >= n_labels)][0])
        raise InputError(f"{name} must hold labels 0..{n_labels - 1}, found {bad}")
    return np.array(labels, dtype=np.int64, order="C")


def _real_array(values: Any, name: str) -> FloatArray:
    array = np.asarray(values)
    if not (np.issubdtype(array.dtype, np.floating) or np.issubdtype(array.dtype, np.integer)):
        raise InputError(f"{name} must be real numbers, got {array.dtype}")
    return np.array(array, dtype=np.float64, order="C")


def _checked_unary(values: Any) -> FloatArray:
    unary = _real_array(values, "unary")
    if unary.ndim != 2 or 0 in unary.shape:
        raise InputError(
            f"unary must have shape (n_nodes, n_labels), both at least 1, got {unary.shape}"
        )
    check_finite(unary, "unary")
    return unary


def _checked_edges(values: Any, n_nodes: int) -> IntArray:
    array = np.asarray(values)
    if array.size == 0 and array.shape in ((0,), (0, 2)):
        return np.zeros((0, 2), dtype=np.int64)
    if array.ndim != 2 or array.shape[1] != 2:
        raise InputError(f"edges must have shape (m, 2), got {array.shape}")
    if not np.issubdtype(array.dtype, np.integer):
        raise InputError(f"edges must be integers, got {array.dtype}")
    edges = np.array(array, dtype=np.int64, order="C")
    fault, at = first_fault(edges, n_nodes)
    if fault:
        rule = (
            f"an edge must join nodes in 0..{n_nodes - 1}",
            "an edge must join two different nodes",
            "an edge must occur once, in one of its two orders",
        )[fault - 1]
        raise InputError(f"{rule}; edges[{at}] is ({edges[at, 0]}, {edges[at, 1]})")
    return edges
