"""MAP labelings under a bias for or against one class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from rerank.proposals.generator import ProposalGenerator, check_amount, check_count
from rerank.proposals.proposal_context import ProposalContext
from rerank.proposals.proposal_set import ProposalSet
from rerank.types import RandomState


@dataclass(frozen=True)
class ClassBias(ProposalGenerator):
    """The MAP labeling, then one where the likeliest class is cheaper and one where it is dearer,
    then the same for the second likeliest class, and so on.

    Classes are ranked by the area that their label probabilities add up to. A class that the MAP
    labeling lacks is not made dearer, which would change nothing.

    Parameters
    ----------
    strength : float
        How much cheaper or dearer the class becomes at every node, at least 0.
    iterations : int
        TRW-S iterations a labeling.
    """

    name: ClassVar[str] = "class_bias"
    strength: float = 0.5
    iterations: int = 2

    def __post_init__(self) -> None:
        check_amount(self.strength, "strength")
        check_count(self.iterations, "iterations")

    def generate(
        self, context: ProposalContext, n_proposals: int, random_state: RandomState = None
    ) -> ProposalSet:
        """Make at most ``1 + 2 L`` labelings."""
        mass = context.node_areas @ context.probabilities
        present = set(context.map_result.labeling.tolist())
        changes = [
            (int(label), sign)
            for label in np.argsort(-mass, kind="stable")
            for sign in (-1, 1)
            if sign < 0 or int(label) in present
        ]
        each: list[dict[str, object]] = [{"label": None, "bias": 0.0}]
        n, n_labels = context.energy.unary.shape
        changes = changes[: n_proposals - 1]
        shifts = np.zeros((len(changes), 1, n_labels))
        for k, (label, sign) in enumerate(changes):
            shifts[k, 0, label] = -sign * self.strength
            each.append({"label": label, "bias": sign * self.strength})
        everywhere = np.zeros(n, dtype=np.int64)
        others = context.solve_shifted(shifts, everywhere, np.ones(n), self.iterations)
        rows = np.concatenate([context.map_result.labeling[None], others])
        return self._wrap(context, rows, each=each)
