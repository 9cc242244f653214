"""MAP labelings among those that are constant on ever larger merged regions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from rerank.crf import contract, trws
from rerank.errors import InputError
from rerank.proposals.generator import ProposalGenerator, check_amount, check_count
from rerank.proposals.proposal_context import ProposalContext
from rerank.proposals.proposal_set import ProposalSet
from rerank.types import RandomState


@dataclass(frozen=True)
class RegionMerging(ProposalGenerator):
    """The MAP labeling, then the best labelings that are constant on merged regions.

    Parameters
    ----------
    sizes : tuple of int
        Numbers of regions, in the order of the rows.
    factor : float
        Factor of the weights between regions, at least 0.
    """

    name: ClassVar[str] = "region_merging"
    sizes: tuple[int, ...] = (40, 20, 80, 10, 160, 5, 60, 30, 15)
    factor: float = 1.0

    def __post_init__(self) -> None:
        check_amount(self.factor, "factor")
        if not isinstance(self.sizes, tuple) or not self.sizes:
            raise InputError(f"sizes must be a tuple of at least one number, got {self.sizes!r}")
        for size in self.sizes:
            check_count(size, "sizes")

    def generate(
        self, context: ProposalContext, n_proposals: int, random_state: RandomState = None
    ) -> ProposalSet:
        """Make at most one labeling more than there are sizes."""
        rows = [context.map_result.labeling]
        each: list[dict[str, object]] = [{"size": None}]
        for size in self.sizes[: n_proposals - 1]:
            region = context.regions(size)
            joined = contract(context.energy, region)
            if self.factor != 1.0:
                joined = type(joined)(
                    joined.unary, joined.edges, self.factor * joined.weights, joined.compatibility
                )
            rows.append(trws(joined).labeling[region])
            each.append({"size": size})
        return self._wrap(context, np.array(rows), each=each)
