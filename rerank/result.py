"""The proposals of one image and the choice among them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rerank.stages.proposals import NETWORK
from rerank.superpixels import to_pixels
from rerank.types import Array, FloatArray


@dataclass(frozen=True, eq=False)
class Proposals:
    """The proposals of one image.

    Attributes
    ----------
    superpixels : (H, W) int32 array
        Regions of the image; with a network map, superpixels split along the network's borders.
    labelings : (M, n) uint8 array
        Labels of the superpixels; the first labeling is MAP.
    energies : (M,) float64 array
        Of the CRF; lower is more probable.
    lower_bounds : (M,) float64 array
        What is proved about each energy; -inf where nothing is.
    generators : tuple of M str
        What made each proposal.
    """

    superpixels: Array
    labelings: Array
    energies: FloatArray
    lower_bounds: FloatArray
    generators: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labelings)

    @property
    def network(self) -> int | None:
        """The proposal that is the network's own labeling; None where there is no network map."""
        return self.generators.index(NETWORK) if NETWORK in self.generators else None

    def labels(self, proposal: int) -> Array:
        """Full-resolution labels of a proposal, (H, W) uint8."""
        return to_pixels(self.labelings[proposal], self.superpixels)

    @classmethod
    def of(cls, superpixels: Array, drawn: Mapping[str, Any]) -> Proposals:
        """Build the record from what `image_proposals` returns.

        Parameters
        ----------
        superpixels : (H, W) int array
        drawn : mapping of str to array
            The result of `image_proposals`.

        Returns
        -------
        Proposals
        """
        return cls(
            superpixels.astype(np.int32),
            drawn["labelings"],
            drawn["energies"],
            drawn["lower_bounds"],
            tuple(drawn["generators"]),
        )


@dataclass(frozen=True, eq=False)
class Result:
    """The proposals of one image and the choice among them.

    Attributes
    ----------
    proposals : Proposals
    scores : (M,) float64 array
        Higher is better.
    chosen : int
        The proposal that is taken: that of the highest score, unless a gate keeps the network's own
        labeling or all images are chosen together.
    confidence : float
        Of the ranker that its proposal is better than the network's own labeling, in the unit of
        the gate's threshold; 0 where it prefers that labeling, NaN without a calibrated gate.
        Without training, the share of possible truths under which it is at least as good.
    conformal_set : tuple of int
        The fewest proposals that hold a good one with the calibrated probability, in the order in
        which they joined; empty without a calibration.
    reason : str
        Why `chosen` is not simply the proposal of the highest score; empty where it is.
    class_beliefs : (n, C) float64 array or None
        Belief in each class of each region: the share of the image's possible truths that label
        it so. These are samples where some were drawn; else the proposals, by the ranker's beliefs.
    family_scores : mapping of str to (M,) float64 array
        What each family of columns adds to the scores of a fitted ranker; empty without one.
    """

    proposals: Proposals
    scores: FloatArray
    chosen: int
    confidence: float = float("nan")
    conformal_set: tuple[int, ...] = ()
    reason: str = ""
    class_beliefs: FloatArray | None = None
    family_scores: Mapping[str, FloatArray] = field(default_factory=dict)

    @property
    def reference(self) -> int:
        """The proposal that others are compared with: the network's own labeling, or else MAP."""
        return self.proposals.network or 0

    @property
    def margin(self) -> float:
        """Score of the choice above that of `reference`."""
        return float(self.scores[self.chosen] - self.scores[self.reference])

    @property
    def contributions(self) -> dict[str, float]:
        """What each family of columns adds to `margin`, the largest first; they sum to it."""
        found = {
            family: float(scores[self.chosen] - scores[self.reference])
            for family, scores in self.family_scores.items()
        }
        return dict(sorted(found.items(), key=lambda item: -abs(item[1])))

    @property
    def agreement(self) -> FloatArray | None:
        """Belief, in [0, 1], that each region's label in the choice is right, (n,)."""
        if self.class_beliefs is None:
            return None
        own = self.proposals.labelings[self.chosen]
        found: FloatArray = self.class_beliefs[np.arange(len(own)), own]
        return found

    @property
    def disagreement(self) -> FloatArray | None:
        """Belief that a pixel's label is wrong, (H, W) in [0, 1]: 1 less `agreement`."""
        if self.agreement is None:
            return None
        return to_pixels(1.0 - self.agreement, self.proposals.superpixels)

    @property
    def preferred(self) -> int:
        """The proposal of the highest score."""
        return int(self.scores.argmax())

    @property
    def labels(self) -> Array:
        """Full-resolution labels of the choice, (H, W) uint8."""
        return self.proposals.labels(self.chosen)

    @property
    def energies(self) -> FloatArray:
        """Energies of the proposals, (M,) float64."""
        return self.proposals.energies

    @property
    def kept(self) -> str:
        """Why this proposal was chosen, as a sentence."""
        if self.reason:
            return self.reason
        own = self.proposals.labelings[self.chosen]
        others = (self.proposals.labelings != own).any(axis=1)
        if not others.any():
            return "All proposals are the same."
        next_best = int(np.where(others, self.scores, -np.inf).argmax())
        margin = self.scores[self.chosen] - self.scores[next_best]
        network = ""
        if self.proposals.network is not None and others[self.reference]:
            network = f", and {self.margin:.3g} above the network's own labeling"
        return (
            f"Proposal {self.chosen} ({self.proposals.generators[self.chosen]}) has the highest "
            f"score, {margin:.3g} above the next different one, proposal {next_best}{network}."
        )


def region_beliefs(
    labelings: Array, n_classes: int, weights: FloatArray | None = None
) -> FloatArray:
    """Shares of labelings that give each class to each region.

    Parameters
    ----------
    labelings : (S, n) int array
        Possible truths, classes 0..C-1.
    n_classes : int
    weights : (S,) float array, optional
        At least 0; equal by default.

    Returns
    -------
    (n, C) float64 array
        Rows sum to 1.

    Examples
    --------
    >>> region_beliefs(np.array([[0, 1], [0, 2], [0, 1], [2, 1]]), 3).tolist()
    [[0.75, 0.0, 0.25], [0.0, 0.75, 0.25]]
    """
    shares = np.ones(len(labelings)) if weights is None else np.asarray(weights, dtype=np.float64)
    found = [shares @ (labelings == label) for label in range(n_classes)]
    return np.asarray(np.stack(found, axis=1) / shares.sum(), dtype=np.float64)
