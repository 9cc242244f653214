"""MAP labelings under other settings of the pairwise costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from rerank.crf import PottsEnergy, expand_each, trws
from rerank.errors import InputError
from rerank.proposals.generator import ProposalGenerator, check_amount, check_count
from rerank.proposals.proposal_context import ProposalContext
from rerank.proposals.proposal_set import ProposalSet
from rerank.types import FloatArray, IntArray, RandomState


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
        TRW-S iterations a labeling where pairwise costs are tables; expansion moves from the MAP
        labeling find those of Potts costs.
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
        each = [{"factor": 1.0, "exponent": 1.0}]
        grid = [(factor, exponent) for exponent in self.exponents for factor in self.factors]
        grid = grid[: n_proposals - 1]
        weights = np.empty((len(grid), len(relative)))
        for k, (factor, exponent) in enumerate(grid):
            # A weight of zero stays zero under every exponent: it says that there is no tie.
            powers = np.where(relative > 0, relative, 1.0) ** exponent * (relative > 0)
            weights[k] = factor * mean * powers
            each.append({"factor": float(factor), "exponent": float(exponent)})
        if energy.compatibility is None:
            others = expand_each(energy, weights, start.labeling)
        else:
            others = self._by_messages(energy, weights, start.labeling)
        rows = np.concatenate([start.labeling[None], others])
        return self._wrap(context, rows, each=each)

    def _by_messages(self, energy: PottsEnergy, weights: FloatArray, start: IntArray) -> IntArray:
        others = np.empty((len(weights), energy.n_nodes), dtype=np.int64)
        for row, each in zip(others, weights):
            other = energy.with_weights(each)
            row[:] = trws(other, start, max_iterations=self.iterations).labeling
        return others
