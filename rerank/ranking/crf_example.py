"""A training image of the CRF learner: the parts of its energy and the truth."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rerank.crf import PottsEnergy
from rerank.errors import InputError
from rerank.types import Array, FloatArray, IntArray
from rerank.validation import check_finite


@dataclass(frozen=True, eq=False)
class CRFExample:
    """An image whose energy is linear in the CRF's parameters, with its labelled pixels.

    ``E(x) = sum_i (u * unary[i, x_i] - sizes[i] * bias[x_i])
    + sum_ij (edge_features[ij] . potts) [x_i != x_j]``

    Attributes
    ----------
    unary : (n, C) float
        Cost of each class at each node, such as that of `unary_from_probabilities`.
    edges : (m, 2) int
        Pairs of different nodes, each pair at most once.
    edge_features : (m, P) float
        Cost of each edge per unit of each Potts weight, 0 or greater: for one weight the result
        of `contrast_potts_weights` with weight 1 as a column.
    histogram : (n, C) int
        Labelled pixels of each class in each node. Nodes without any take no part in learning,
        nor do their edges.
    sizes : (n,) float, optional
        What a class bias counts by, above 0: with unaries by area, the area over the mean area.
        1 by default.

    Raises
    ------
    InputError
        Where a shape does not fit, a value is NaN, infinite or out of range, or no node has a
        labelled pixel.
    """

    unary: FloatArray
    edges: IntArray
    edge_features: FloatArray
    histogram: Array
    sizes: FloatArray | None = None

    def __post_init__(self) -> None:
        unary = np.array(self.unary, dtype=np.float64)
        if unary.ndim != 2 or 0 in unary.shape:
            raise InputError(f"unary must be (n, C), got shape {unary.shape}")
        n_nodes = len(unary)
        sizes = np.ones(n_nodes) if self.sizes is None else np.array(self.sizes, dtype=np.float64)
        edges = np.asarray(self.edges)
        features = np.array(self.edge_features, dtype=np.float64)
        histogram = np.array(self.histogram, dtype=np.float64)
        if features.ndim != 2 or len(features) != len(edges) or features.shape[1] == 0:
            raise InputError(
                f"edge_features must be ({len(edges)}, P), one row an edge, got "
                f"shape {features.shape}"
            )
        if histogram.shape != unary.shape:
            raise InputError(
                f"histogram must have the unary's shape {unary.shape}, got {histogram.shape}"
            )
        if sizes.shape != (n_nodes,):
            raise InputError(f"sizes must be ({n_nodes},), got shape {sizes.shape}")
        for name, values in (
            ("unary", unary),
            ("edge_features", features),
            ("histogram", histogram),
            ("sizes", sizes),
        ):
            check_finite(values, name)
            values.setflags(write=False)
            object.__setattr__(self, name, values)
        for name, lowest in (
            ("edge_features", features.min(initial=0.0)),
            ("histogram", histogram.min()),
        ):
            if lowest < 0:
                raise InputError(f"{name} must be 0 or greater, the lowest is {lowest}")
        if sizes.min() <= 0:
            raise InputError(f"sizes must be above 0, the lowest is {sizes.min()}")
        if not histogram.any():
            raise InputError("no node has a labelled pixel; leave such images out")
        # The energy checks the edges.
        PottsEnergy(unary, edges, np.zeros(len(edges)))
        object.__setattr__(self, "edges", edges)

    @property
    def n_classes(self) -> int:
        """Number of classes, C."""
        return int(self.unary.shape[1])

    @property
    def n_potts(self) -> int:
        """Potts weights, P."""
        return int(self.edge_features.shape[1])

    @cached_property
    def labelled(self) -> CRFExample:
        """The part of the image that has labelled pixels."""
        kept = np.flatnonzero(self.histogram.any(axis=1))
        if len(kept) == len(self.unary):
            return self
        place = np.full(len(self.unary), -1)
        place[kept] = np.arange(len(kept))
        inside = (place[self.edges] >= 0).all(axis=1)
        assert self.sizes is not None
        return CRFExample(
            self.unary[kept],
            place[self.edges[inside]],
            self.edge_features[inside],
            self.histogram[kept],
            self.sizes[kept],
        )

    def energy(
        self, unary_weight: float, potts_weights: FloatArray, class_bias: FloatArray
    ) -> PottsEnergy:
        """The energy under some parameters.

        Parameters
        ----------
        unary_weight : float
        potts_weights : ndarray of shape (P,)
            0 or greater.
        class_bias : ndarray of shape (C,)

        Returns
        -------
        PottsEnergy
        """
        assert self.sizes is not None
        unary = unary_weight * self.unary - np.multiply.outer(self.sizes, class_bias)
        return PottsEnergy(unary, self.edges, self.edge_features @ potts_weights)

    def joint_feature(self, labeling: IntArray) -> FloatArray:
        """What each parameter is multiplied by in the energy, shape (1 + P + C,), per node.

        ``w @ joint_feature(x)`` is ``E(x) / n`` with w the unary weight, the Potts weights and the
        negative class bias.
        """
        assert self.sizes is not None
        cut = labeling[self.edges[:, 0]] != labeling[self.edges[:, 1]]
        parts = (
            self.unary[np.arange(len(labeling)), labeling].sum()[None],
            self.edge_features[cut].sum(axis=0),
            np.bincount(labeling, weights=self.sizes, minlength=self.n_classes),
        )
        return np.concatenate(parts) / len(self.unary)

    def costs(self, class_weights: FloatArray) -> FloatArray:
        """Loss of each class at each node, (n, C): the weighted share of pixels that it mislabels.

        Summed over a labeling it is its Hamming loss by area, in 0..1.
        """
        weighted = self.histogram * class_weights
        return np.asarray((weighted.sum(axis=1, keepdims=True) - weighted) / weighted.sum())
