"""DivMBest as a generator: diversity counted by superpixel, by area or by whole region."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from rerank.crf import contract
from rerank.errors import InputError
from rerank.proposals.context import ProposalContext, Regions, check_kind
from rerank.proposals.divmbest import div_mbest
from rerank.proposals.generator import ProposalGenerator, check_amount, check_count
from rerank.proposals.proposal_set import ProposalSet
from rerank.types import RandomState


@dataclass(frozen=True)
class DivMBest(ProposalGenerator):
    """Labelings one after another, each pushed away from all earlier ones (`div_mbest`).

    With regions other than superpixels the labelings are constant on each region, so that whole
    objects change their label; bounds then hold among such labelings.

    Parameters
    ----------
    diversity : float
        Cost of a repeated label, at least 0.
    per : {"node", "area"}
        Count each superpixel or region once, or by its share of the area (a superpixel of average
        size counts 1).
    regions : {"superpixels", "components"} or int
        What changes its label as a whole; see `ProposalContext.regions`.
    class_weights : tuple of L floats, optional
        Factor for each label that is repeated, at least 0.
    iterations : int
        TRW-S iterations a labeling.
    """

    name: ClassVar[str] = "div_mbest"
    diversity: float = 0.2
    per: str = "node"
    regions: Regions = "superpixels"
    class_weights: tuple[float, ...] | None = None
    iterations: int = 2

    def __post_init__(self) -> None:
        check_amount(self.diversity, "diversity")
        check_count(self.iterations, "iterations")
        check_kind(self.regions)
        if self.per not in ("node", "area"):
            raise InputError(f"per must be 'node' or 'area', got {self.per!r}")

    def generate(
        self, context: ProposalContext, n_proposals: int, random_state: RandomState = None
    ) -> ProposalSet:
        """Make exactly `n_proposals` labelings; they may repeat where the diversity is small."""
        region = context.regions(self.regions)
        whole = self.regions == "superpixels"
        energy = context.energy if whole else contract(context.energy, region)
        weights = np.bincount(region, weights=context.node_areas) if self.per == "area" else None
        classes = None if self.class_weights is None else np.asarray(self.class_weights)
        found = div_mbest(
            energy,
            n_proposals,
            self.diversity,
            node_weights=weights,
            class_weights=classes,
            iterations=self.iterations,
        )
        each = [{"mode": k} for k in range(n_proposals)]
        bounds = found.lower_bounds
        rows = found.labelings[:, region]
        if not whole:
            # The contracted sums round differently.
            bounds = np.minimum(bounds, context.energy.evaluate(rows))
        return self._wrap(context, rows, bounds, each)
