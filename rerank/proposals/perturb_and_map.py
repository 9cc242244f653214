"""Perturb-and-MAP (Papandreou and Yuille 2011): minimise the energy under random unaries.

With independent Gumbel noise of scale T on every cost, the minimiser of one isolated node is a
sample of ``softmax(-unary / T)`` (the Gumbel-max trick). Noise that all nodes of a region share
moves whole objects; noise that the whole image shares is a random preference among the classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from rerank.crf import PottsEnergy
from rerank.crf.contraction import check_regions
from rerank.errors import InputError
from rerank.proposals.generator import ProposalGenerator, check_amount, check_count
from rerank.proposals.proposal_context import ProposalContext, check_kind
from rerank.proposals.proposal_set import ProposalSet
from rerank.types import IntArray, RandomState, as_generator


def perturb_and_map(
    energy: PottsEnergy,
    n_proposals: int,
    *,
    scale: float = 1.0,
    regions: Any | None = None,
    iterations: int = 2,
    random_state: RandomState = None,
) -> ProposalSet:
    """Minimise the energy under Gumbel noise on its unary costs, again and again.

    Parameters
    ----------
    energy : PottsEnergy
    n_proposals : int
        Number of samples, at least 1.
    scale : float
        Scale of the noise, in units of the energy, at least 0.
    regions : (n,) int, optional
        Nodes of one region share their noise; every node has its own by default. With zeros
        the whole image shares one vector of noise, a cost for each label.
    iterations : int
        TRW-S iterations a sample, at least 1 (two labels are solved exactly).
    random_state : int, Generator or None

    Returns
    -------
    ProposalSet
        Samples; the MAP labeling is not put among them. The lower bound of all is that of the
        MAP.

    Raises
    ------
    InputError
        If a number is out of range, or `regions` is not a numbering of regions without gaps.

    Examples
    --------
    >>> import numpy as np
    >>> energy = PottsEnergy(np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([[0, 1]]), np.ones(1))
    >>> perturb_and_map(energy, 4, random_state=0).labelings.shape
    (4, 2)
    """
    check_count(n_proposals, "n_proposals")
    check_amount(scale, "scale")
    check_count(iterations, "iterations")
    shared = np.arange(energy.n_nodes) if regions is None else regions
    region = check_regions(shared, energy.n_nodes)
    context = ProposalContext(energy)
    rows = _sample(context, n_proposals, scale, region, iterations, random_state)
    energies = energy.evaluate(rows)
    bounds = np.minimum(energies, context.map_result.lower_bound)
    return ProposalSet.of(
        "perturb_and_map",
        rows,
        energies,
        bounds,
        {"scale": float(scale)},
        [{"sample": k} for k in range(n_proposals)],
    )


@dataclass(frozen=True)
class PerturbAndMAP(ProposalGenerator):
    """The MAP labeling, then samples of `perturb_and_map`.

    Parameters
    ----------
    scale : float
        Scale of the noise, at least 0.
    noise : {"superpixels", "components", "class"} or int
        Which nodes share their noise: none, those of a component of the MAP labeling, all of them
        (a random preference among the classes), or those of that many merged regions.
    iterations : int
        TRW-S iterations a sample.
    """

    name: ClassVar[str] = "perturb_and_map"
    random: ClassVar[bool] = True
    scale: float = 1.0
    noise: str | int = "class"
    iterations: int = 2

    def __post_init__(self) -> None:
        check_amount(self.scale, "scale")
        check_count(self.iterations, "iterations")
        if self.noise != "class":
            try:
                check_kind(self.noise)
            except InputError:
                raise InputError(
                    f"noise must be 'superpixels', 'components', 'class' or a number of regions, "
                    f"got {self.noise!r}"
                ) from None

    def generate(
        self, context: ProposalContext, n_proposals: int, random_state: RandomState = None
    ) -> ProposalSet:
        """Make exactly `n_proposals` labelings."""
        if self.noise == "class":
            region: IntArray = np.zeros(context.energy.n_nodes, dtype=np.int64)
        else:
            region = context.regions(self.noise)
        samples = _sample(
            context, n_proposals - 1, self.scale, region, self.iterations, random_state
        )
        rows = np.concatenate([context.map_result.labeling[None], samples])
        return self._wrap(context, rows, each=[{"sample": k - 1} for k in range(n_proposals)])


def _sample(
    context: ProposalContext,
    n_samples: int,
    scale: float,
    region: IntArray,
    iterations: int,
    random_state: RandomState,
) -> IntArray:
    rng = as_generator(random_state)
    n, n_labels = context.energy.unary.shape
    noise = rng.gumbel(size=(n_samples, int(region.max()) + 1, n_labels))
    return context.solve_shifted(noise, region, np.full(n, float(scale)), iterations)
