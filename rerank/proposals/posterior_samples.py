"""Samples of an image's labeling under doubts that whole objects and whole classes share.

Perturb-and-MAP (Papandreou and Yuille 2011) with independent noise on each superpixel flips single
superpixels, which is not how networks err: they mistake an object or prefer a class. Here the
noise on the log-probabilities is that of the class in the whole image and that of the class in a
large region, so that an area counts its doubt once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from rerank.crf import PottsEnergy
from rerank.proposals.generator import ProposalGenerator, check_amount, check_count
from rerank.proposals.proposal_context import ProposalContext
from rerank.proposals.proposal_set import ProposalSet
from rerank.types import IntArray, RandomState, as_generator

#: In scales of the noise: classes dearer than this everywhere are left out.
_FAR = 7.0


@dataclass(frozen=True)
class PosteriorSamples(ProposalGenerator):
    """MAP labelings under Gumbel noise on the log-probabilities of classes.

    Sample k minimises ``E(x) - sum_i a_i (s g_c + t h_rc)`` with c = x_i and the region r of i,
    where a_i is the node's area by the mean area, g and h are standard Gumbel noise drawn for the
    sample, s = `class_noise` and t = `region_noise`.

    Parameters
    ----------
    class_noise : float
        Scale of the noise that all nodes share, in units of log-probabilities, at least 0.
    region_noise : float
        Scale of the noise that the nodes of a region share, at least 0.
    n_regions : int
        Number of regions, merged by colour and likely classes (`ProposalContext.regions`).
    iterations : int
        TRW-S iterations a sample.

    Notes
    -----
    A class that is dearer than another one by more than 7 scales of the noise at every node is
    left out: the difference of two Gumbel variables exceeds 7 once in 1,100 times.
    """

    name: ClassVar[str] = "posterior_samples"
    random: ClassVar[bool] = True
    class_noise: float = 1.0
    region_noise: float = 0.0
    n_regions: int = 20
    iterations: int = 2

    def __post_init__(self) -> None:
        check_amount(self.class_noise, "class_noise")
        check_amount(self.region_noise, "region_noise")
        check_count(self.n_regions, "n_regions")
        check_count(self.iterations, "iterations")

    def generate(
        self, context: ProposalContext, n_proposals: int, random_state: RandomState = None
    ) -> ProposalSet:
        """Make exactly `n_proposals` samples; the MAP labeling is not put among them."""
        rows = self.sample(context, n_proposals, random_state)
        return self._wrap(context, rows, each=[{"sample": k} for k in range(n_proposals)])

    def sample(
        self, context: ProposalContext, n_samples: int, random_state: RandomState = None
    ) -> IntArray:
        """Draw labelings, as `generate` does, without their energies.

        Parameters
        ----------
        context : ProposalContext
        n_samples : int
        random_state : int, Generator or None

        Returns
        -------
        (n_samples, n) int64 array
        """
        rng = as_generator(random_state)
        n_labels = context.energy.n_labels
        region = context.regions(self.n_regions) if self.region_noise else None
        labels = self._likely_labels(context)
        if len(labels) < n_labels:
            energy = context.energy
            unary = np.ascontiguousarray(energy.unary[:, labels])
            few = PottsEnergy(unary, energy.edges, energy.weights)
            context = ProposalContext(few, context.areas)
        n_regions = 1 if region is None else int(region.max()) + 1
        shifts = np.empty((n_samples, n_regions, len(labels)))
        for shift in shifts:
            shift[:] = self.class_noise * rng.gumbel(size=(1, n_labels))[:, labels]
            if region is not None:
                shift += self.region_noise * rng.gumbel(size=(n_regions, n_labels))[:, labels]
        if region is None:
            region = np.zeros(context.energy.n_nodes, dtype=np.int64)
        rows = context.solve_shifted(shifts, region, context.node_areas, self.iterations)
        found: IntArray = labels[rows]
        return found

    def _likely_labels(self, context: ProposalContext) -> IntArray:
        unary = context.energy.unary
        above = (unary - unary.min(axis=1, keepdims=True)) / context.node_areas[:, None]
        likely = above.min(axis=0) <= _FAR * max(self.class_noise, self.region_noise)
        return np.flatnonzero(likely)
