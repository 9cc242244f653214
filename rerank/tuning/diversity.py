"""How different proposals should be: the diversity of DivMBest, chosen by the oracle."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rerank.crf import PottsEnergy
from rerank.metrics import IntersectionUnion, oracle_curve, region_intersection_union
from rerank.proposals import ProposalSet, div_mbest
from rerank.proposals.divmbest import div_mbest_each
from rerank.settings import ProposalSettings
from rerank.superpixels import RegionGraph
from rerank.tuning.energy_search import HoldoutImage
from rerank.types import FloatArray


def div_mbest_by_area(
    energy: PottsEnergy, graph: RegionGraph, n_proposals: int, diversity: float, inference: str
) -> ProposalSet:
    """DivMBest whose diversity counts superpixels by their area (Batra et al. 2012).

    Parameters
    ----------
    energy : PottsEnergy
    graph : RegionGraph
    n_proposals : int
    diversity : float
        Cost of a repeated label on a superpixel of average area.
    inference : {"auto", "trws", "alpha_expansion", "icm"}

    Returns
    -------
    ProposalSet
    """
    return div_mbest(energy, n_proposals, diversity, method=inference, node_weights=_by_area(graph))


def choose_diversity(
    images: Sequence[HoldoutImage], energies: Sequence[PottsEnergy], settings: ProposalSettings
) -> tuple[float, FloatArray]:
    """The diversity whose proposals have the highest mean image IoU of the oracle.

    Parameters
    ----------
    images : sequence of HoldoutImage
    energies : sequence of PottsEnergy
        One per image.
    settings : ProposalSettings
        `diversities` are tried with `diversity_proposals` proposals.

    Returns
    -------
    diversity : float
    scores : float64 array
        Of each diversity that was tried.
    """
    n_proposals = min(settings.diversity_proposals, settings.n_proposals)
    counts = []
    for image, energy in zip(images, energies):
        rows = div_mbest_each(
            energy,
            n_proposals,
            settings.diversities,
            method=settings.inference,
            node_weights=_by_area(image.graph),
        )
        counts.append(region_intersection_union(image.histogram, np.concatenate(rows)))
    shape = (len(images), len(settings.diversities), n_proposals, -1)
    found = IntersectionUnion.stack(counts)
    inter, union = found.intersections.reshape(shape), found.unions.reshape(shape)
    scores = np.array(
        [
            oracle_curve(inter[:, k], union[:, k]).image_oracle_image_iou[-1]
            for k in range(len(settings.diversities))
        ]
    )
    return settings.diversities[int(scores.argmax())], scores


def _by_area(graph: RegionGraph) -> FloatArray:
    relative: FloatArray = graph.areas / graph.areas.mean()
    return relative
