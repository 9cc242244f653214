"""What the generators know of one image: its energy, and results that they share."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from rerank.crf import InferenceResult, PottsEnergy, graph_cut, is_submodular, trws
from rerank.crf.potts_energy import check_labeling
from rerank.crf.warm_start import UnaryChange, WarmStart
from rerank.errors import InputError
from rerank.potentials.appearance_affinity import affinity_weights
from rerank.proposals.regions import MergeHierarchy, label_components, merge_hierarchy
from rerank.types import Array, FloatArray, IntArray
from rerank.validation import check_finite

#: Regions by which a generator works: each superpixel, the components of the MAP labeling, or
#: superpixels merged down to that number.
Regions = str | int


@dataclass(frozen=True, eq=False)
class ProposalContext:
    """An energy with the areas of its nodes, and results that several generators share.

    Parameters
    ----------
    energy : PottsEnergy
    areas : (n,) float, optional
        Number of pixels of each node, positive; equal by default.
    features : (n, D) float, optional
        By which superpixels are merged to regions; the label probabilities
        ``softmax(-unary)`` by default.
    masks : (K, n) int, optional
        Labelings from elsewhere (the user's own), for the generator `user_masks`.
    appearance : (n, D) float, optional
        What nodes look like, for the generator `image_colours`: mean colours and the like.

    Raises
    ------
    InputError
        If an array has another shape, is not finite, or an area is not positive.
    """

    energy: PottsEnergy
    areas: Array | None = None
    features: Array | None = None
    masks: Array | None = None
    appearance: Array | None = None
    _regions: dict[Regions, IntArray] = field(default_factory=dict, init=False, repr=False)
    _affinities: dict[float, FloatArray] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        n = self.energy.n_nodes
        if self.areas is not None:
            areas = np.asarray(self.areas, dtype=np.float64)
            if areas.shape != (n,):
                raise InputError(f"areas must have shape ({n},), got {areas.shape}")
            check_finite(areas, "areas")
            if (areas <= 0).any():
                raise InputError(f"areas must be positive, the least is {areas.min()}")
        for name in ("features", "appearance"):
            given = getattr(self, name)
            if given is not None:
                if np.ndim(given) != 2 or len(given) != n:
                    raise InputError(f"{name} must have shape ({n}, D), got {np.shape(given)}")
                check_finite(np.asarray(given), name)
        if self.masks is not None:
            check_labeling(
                np.atleast_2d(self.masks), n, self.energy.n_labels, stacked=True, name="masks"
            )

    def beside(self, energy: PottsEnergy) -> ProposalContext:
        """The same image under another energy: what its looks decide is made once for both."""
        other = replace(self, energy=energy)
        object.__setattr__(other, "_affinities", self._affinities)
        return other

    def affinity(self, bandwidth: float) -> FloatArray:
        """`affinity_weights` (n, n) of the appearance, at a bandwidth, in float32.

        Raises
        ------
        InputError
            If there is no appearance.
        """
        if self.appearance is None:
            raise InputError(
                "image_colours needs the appearance of the nodes; give it to ProposalContext"
            )
        if bandwidth not in self._affinities:
            self._affinities[bandwidth] = affinity_weights(
                self.appearance, self.node_areas, bandwidth
            ).astype(np.float32)
        return self._affinities[bandwidth]

    @cached_property
    def node_areas(self) -> FloatArray:
        """Areas (n,), of mean 1."""
        if self.areas is None:
            return np.ones(self.energy.n_nodes)
        areas = np.asarray(self.areas, dtype=np.float64)
        relative: FloatArray = areas / areas.mean()
        return relative

    @cached_property
    def probabilities(self) -> FloatArray:
        """``softmax(-unary)`` (n, L): the probabilities without the pairwise costs."""
        below = self.energy.unary.min(axis=1, keepdims=True) - self.energy.unary
        likelihood = np.exp(below)
        found: FloatArray = likelihood / likelihood.sum(axis=1, keepdims=True)
        return found

    @cached_property
    def map_result(self) -> InferenceResult:
        """The labeling of least energy: exact for two labels, by TRW-S for more."""
        return graph_cut(self.energy) if self._cuts else trws(self.energy)

    @cached_property
    def _cuts(self) -> bool:
        return self.energy.n_labels == 2 and is_submodular(self.energy)

    def solve(self, unary: Array, iterations: int = 2) -> IntArray:
        """Find a labeling of low energy under other unary costs, from the MAP's messages.

        The answer depends on the arguments alone, not on what was solved before.

        Parameters
        ----------
        unary : (n, L) float
        iterations : int
            TRW-S iterations; two labels are solved exactly.

        Returns
        -------
        (n,) int64
        """
        if self._cuts:
            return graph_cut(self.energy.with_unary(unary)).labeling
        return self._warm_start.solve_one(unary, iterations)

    def solve_shifted(
        self, shifts: FloatArray, regions: IntArray, factors: FloatArray, iterations: int = 2
    ) -> IntArray:
        """Solve under the costs ``unary[i] - factors[i] * shifts[k, regions[i]]`` for each k.

        Parameters
        ----------
        shifts : (K, R, L) float64
        regions : (n,) int64
            In 0..R-1.
        factors : (n,) float64
        iterations : int
            As `solve` takes it.

        Returns
        -------
        (K, n) int64
            What `solve` finds for each k.
        """
        if self._cuts:
            unary, factor = self.energy.unary, factors[:, None]
            return np.array(
                [self.solve(unary - factor * shift[regions]) for shift in shifts], dtype=np.int64
            ).reshape(len(shifts), len(unary))
        return self._warm_start.solve(UnaryChange(shifts, regions, factors), iterations)

    @cached_property
    def _warm_start(self) -> WarmStart:
        return WarmStart(self.energy, self.map_result)

    @cached_property
    def hierarchy(self) -> MergeHierarchy:
        """Superpixels merged step by step, by `features` or by the label probabilities."""
        if self.features is None:
            features = self.probabilities
        else:
            given = np.asarray(self.features, dtype=np.float64)
            spread = given.std(axis=0)
            features = given / np.where(spread > 0, spread, 1.0)
        return merge_hierarchy(features, self.node_areas, self.energy.edges)

    def regions(self, kind: Regions) -> IntArray:
        """Region of each node (n,).

        Parameters
        ----------
        kind : {"superpixels", "components"} or int
            Each node by itself, the connected components of the MAP labeling, or that many merged
            regions.

        Raises
        ------
        InputError
            If `kind` is none of these.
        """
        check_kind(kind)
        if kind not in self._regions:
            if kind == "superpixels":
                found: IntArray = np.arange(self.energy.n_nodes)
            elif isinstance(kind, str):
                found = label_components(self.map_result.labeling, self.energy.edges)
            else:
                found = self.hierarchy.regions(kind)
            self._regions[kind] = found
        return self._regions[kind]


def check_kind(kind: Regions) -> None:
    """Raise `InputError` unless `kind` names a kind of regions."""
    if isinstance(kind, str) and kind in ("superpixels", "components"):
        return
    if isinstance(kind, (int, np.integer)) and not isinstance(kind, bool) and kind >= 1:
        return
    raise InputError(
        f"regions must be 'superpixels', 'components' or a number of at least 1, got {kind!r}"
    )
