"""The MAP labeling with one of its components given another label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from rerank.crf import contract
from rerank.crf.descent import flip_costs
from rerank.proposals.generator import ProposalGenerator, check_amount, check_count
from rerank.proposals.proposal_context import ProposalContext
from rerank.proposals.proposal_set import ProposalSet
from rerank.types import RandomState


@dataclass(frozen=True)
class LabelSwap(ProposalGenerator):
    """The MAP labeling, then those that differ in the label of one connected component.

    Swaps are ranked by how much they raise the energy for the area that they change.

    Parameters
    ----------
    alternatives : int
        Next best labels tried for each component.
    area_power : float
        Swaps are sorted by ``energy raised / area ** area_power``: 0 puts the cheapest first,
        which are small, and 1 those that are cheapest by area.
    """

    name: ClassVar[str] = "label_swap"
    alternatives: int = 3
    area_power: float = 0.5

    def __post_init__(self) -> None:
        check_count(self.alternatives, "alternatives")
        check_amount(self.area_power, "area_power")

    def generate(
        self, context: ProposalContext, n_proposals: int, random_state: RandomState = None
    ) -> ProposalSet:
        """Make at most one labeling more than components times alternatives."""
        base = context.map_result.labeling
        region = context.regions("components")
        joined = contract(context.energy, region)
        labels = np.zeros(joined.n_nodes, dtype=np.int64)
        labels[region] = base
        costs = flip_costs(joined.arrays(joined.unary.copy()), labels)
        costs[np.arange(joined.n_nodes), labels] = np.inf
        count = min(self.alternatives, context.energy.n_labels - 1)
        best = np.argsort(costs, axis=1, kind="stable")[:, :count]
        raised = np.take_along_axis(costs, best, axis=1)
        area = np.bincount(region, weights=context.node_areas)
        order = np.argsort((raised / area[:, None] ** self.area_power).ravel(), kind="stable")
        rows = [base]
        each: list[dict[str, object]] = [{"component": None, "label": None}]
        for place in order[: n_proposals - 1]:
            component, rank = divmod(int(place), count)
            row = base.copy()
            row[region == component] = best[component, rank]
            rows.append(row)
            each.append({"component": component, "label": int(best[component, rank])})
        return self._wrap(context, np.array(rows), each=each)
