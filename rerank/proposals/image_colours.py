"""MAP labelings under a model of the classes' looks that is fitted to the image itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from rerank.errors import InputError
from rerank.proposals.generator import ProposalGenerator, check_amount, check_count
from rerank.proposals.proposal_context import ProposalContext
from rerank.proposals.proposal_set import ProposalSet
from rerank.types import FloatArray, IntArray, RandomState

#: Added to the share of a class among the superpixels that look alike, before its logarithm.
FLOOR = 0.02


@dataclass(frozen=True)
class ImageColours(ProposalGenerator):
    """The MAP labeling, then those that agree with how their own classes look in this image.

    As in GrabCut (Rother et al. 2004) the labeling and a model of each class's colours are
    fitted by turns. The model is a kernel density: a class costs a superpixel
    ``-weight * area * log(share of the class among the superpixels that look like it + 0.02)``
    beside its unary (`ProposalContext.affinity`); the first turn counts the unaries' probabilities,
    later ones the labeling before. Needs `ProposalContext.appearance`.

    Parameters
    ----------
    bandwidths : tuple of float
        Of the kernel, above 0.
    weights : tuple of float
        Of the colour model against the unaries, at least 0.
    turns : tuple of int
        After which turns the labelings are taken.
    iterations : int
        TRW-S iterations a labeling.
    """

    name: ClassVar[str] = "image_colours"

    bandwidths: tuple[float, ...] = (0.1, 0.2)
    weights: tuple[float, ...] = (0.5, 1.0, 2.0)
    turns: tuple[int, ...] = (3, 1)
    iterations: int = 2

    def __post_init__(self) -> None:
        check_count(self.iterations, "iterations")
        for name in ("bandwidths", "weights", "turns"):
            values = getattr(self, name)
            if not isinstance(values, tuple) or not values:
                raise InputError(f"{name} must be a tuple of at least one number, got {values!r}")
            for value in values:
                if name == "turns":
                    check_count(value, name)
                else:
                    check_amount(value, name)
        if min(self.bandwidths) <= 0:
            raise InputError(f"bandwidths must be above 0, got {self.bandwidths}")

    def generate(
        self, context: ProposalContext, n_proposals: int, random_state: RandomState = None
    ) -> ProposalSet:
        """Make at most one labeling more than bandwidths, weights and turns combine."""
        rows = [context.map_result.labeling]
        each: list[dict[str, object]] = [{"bandwidth": None, "weight": 0.0, "turn": 0}]
        for bandwidth in self.bandwidths:
            if len(rows) >= n_proposals:
                break
            kernel = context.affinity(bandwidth)
            first = np.log(kernel @ context.probabilities.astype(np.float32) + FLOOR)
            for weight in self.weights:
                labelings = self._alternate(context, kernel, first, weight)
                for turn in self.turns:
                    rows.append(labelings[turn - 1])
                    each.append({"bandwidth": bandwidth, "weight": weight, "turn": turn})
        return self._wrap(context, np.array(rows[:n_proposals]), each=each[:n_proposals])

    def _alternate(
        self, context: ProposalContext, kernel: FloatArray, first: FloatArray, weight: float
    ) -> list[IntArray]:
        """Labelings after each turn; `first` is the logarithm of the shares in the first one."""
        energy = context.energy
        scale = weight * context.node_areas[:, None]
        found = [context.solve(energy.unary - scale * first, self.iterations)]
        absent = energy.unary - scale * np.log(FLOOR)
        for _ in range(1, max(self.turns)):
            if len(found) > 1 and np.array_equal(found[-1], found[-2]):
                # Equal costs as in the turn before.
                found.append(found[-1])
                continue
            labels = np.flatnonzero(np.bincount(found[-1]))
            # One product a label: there are few, and a matrix of few columns takes longer.
            shares = np.stack(
                [kernel @ (found[-1] == label).astype(np.float32) for label in labels], 1
            )
            costs = absent.copy()
            costs[:, labels] = energy.unary[:, labels] - scale * np.log(shares + FLOOR)
            found.append(context.solve(costs, self.iterations))
        return found
