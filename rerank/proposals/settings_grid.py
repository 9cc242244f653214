"""MAP labelings under other settings of the pairwise costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from rerank.crf import trws
from rerank.errors import InputError
from rerank.proposals.generator import ProposalGenerator, check_amount, check_count
from rerank.proposals.proposal_context import ProposalContext
from rerank.proposals.proposal_set import ProposalSet
from rerank.types import RandomState


@dataclass(frozen=True)
class SettingsGrid(ProposalGenerator):
    """The MAP labeling, then the minimisers under weaker, stronger, flatter or steeper weights.

    Parameters
    ----------
    factors : tuple of float
        Factors of the weights, at least 0.
    exponents : tuple of float
        Powers of the weights relative to their mean, at least 0: 0 makes them equal, so that
        contrast counts no more, and 2 makes contrast count twice. All factors are run through for
        the first exponent, then for the next.
    iterations : int
        TRW-S iterations a labeling.
    """

    name: ClassVar[str] = "settings_grid"
    factors: tuple[float, ...] = (0.5, 2.0, 0.25, 4.0, 0.0, 8.0, 0.7, 1.4)
    exponents: tuple[float, ...] = (1.0, 0.0, 2.0)
    iterations: int = 20

    def __post_init__(self) -> None:
        check_count(self.iterations, "iterations")
        for name in ("factors", "exponents"):
            values = getattr(self, name)
            if not isinstance(values, tuple) or not values:
                raise InputError(f"{name} must be a tuple of at least one number, got {values!r}")
            for value in values:
                check_amount(value, name)

    def generate(
        self, context: ProposalContext, n_proposals: int, random_state: RandomState = None
    ) -> ProposalSet:
        """Make at most one labeling more than the grid has points."""
        energy, start = context.energy, context.map_result
        mean = energy.weights.mean() if len(energy.weights) else 1.0
        relative = energy.weights / mean if mean > 0 else energy.weights
        rows = [start.labeling]
        each = [{"factor": 1.0, "exponent": 1.0}]
        grid = [(factor, exponent) for exponent in self.exponents for factor in self.factors]
        for factor, exponent in grid[: n_proposals - 1]:
            # A weight of zero stays zero under every exponent: it says that there is no tie.
            powers = np.where(relative > 0, relative, 1.0) ** exponent * (relative > 0)
            other = energy.with_weights(factor * mean * powers)
            rows.append(trws(other, start.labeling, max_iterations=self.iterations).labeling)
            each.append({"factor": float(factor), "exponent": float(exponent)})
        return self._wrap(context, np.array(rows), each=each)
