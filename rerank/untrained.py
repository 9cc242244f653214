"""Proposals of a network map and a choice among them, without any training."""

from __future__ import annotations

import numpy as np

from rerank.config import ProposeSettings, build_propose_settings
from rerank.datasets import fit_map
from rerank.evidence import informed_by_colours
from rerank.features import departs_too_far, similarity_matrix, untrained_scores
from rerank.potentials.energy_settings import EnergySettings
from rerank.potentials.network_map import map_to_regions, network_labels
from rerank.proposals.pool_rows import PoolRow, mixed_rows
from rerank.result import Proposals, Result, region_beliefs
from rerank.stages.crf_settings import CRFChoice
from rerank.stages.proposals import NETWORK, Drawing, image_proposals
from rerank.stages.superpixels import graph_of, segment, wanted_superpixels
from rerank.superpixels import check_image
from rerank.types import Array


def propose(
    image: Array, probabilities: Array, settings: ProposeSettings | None = None, where: str = ""
) -> Result:
    """Proposals of one image from a network map, and a choice, without any training.

    The choice has the highest expected image IoU (minimum Bayes risk, Premachandran et al. 2014),
    unless a network that is sure of its own labeling speaks against it (`departs_too_far`).
    Beside the map, the colours of all regions tell each region's class (`colour_evidence`).
    What the truth may be is told in two ways, of which the scores are the mean: by the proposals,
    each with its probability under the CRF, and by samples of the CRF under noise that classes
    and large regions share (`PosteriorSamples`).

    Parameters
    ----------
    image : (H, W, 3) uint8 array
    probabilities : (H, W, C) or (C, H, W) array
        Class probabilities of the pixels, or scores (logits), at any size with the image's aspect:
        see `rerank.datasets.fit_map`.
    settings : ProposeSettings, optional
    where : str
        Names the map in errors.

    Returns
    -------
    Result

    Raises
    ------
    InputError
        If the map does not fit the image, or has more than 255 classes.
    """
    chosen = build_propose_settings() if settings is None else settings
    network_map = fit_map(probabilities, check_image(image).shape[:2], where=where)
    own = network_labels(network_map, where)
    n_segments = wanted_superpixels(chosen.superpixels, own.shape, own)
    counted = chosen.superpixels.model_copy(update={"n_segments": n_segments})
    regions = segment(image, counted, own)
    found = map_to_regions(network_map, image, regions["superpixels"], refined=chosen.dense_crf)
    energy = EnergySettings(chosen.smoothness(n_segments), chosen.contrast_scale, chosen.base)
    graph = graph_of(regions)
    pool: tuple[PoolRow, ...] = ()
    if chosen.generator == "mixed":
        noise = chosen.samples.class_noise
        pool = mixed_rows(("unary",), chosen.diversity, noise, chosen.n_proposals)
    informed = informed_by_colours(found, regions["region_values"], graph.areas, chosen.colours)
    drawn = image_proposals(
        {"unary": informed},
        graph,
        regions["region_values"],
        CRFChoice(energy, None, chosen.diversity, pool),
        Drawing(chosen.n_proposals, chosen.map_inference, chosen.inference, samples=chosen.samples),
        regions[NETWORK],
    )
    proposals = Proposals.of(regions["superpixels"], drawn)
    return _least_risk(proposals, drawn["samples"], graph.areas, informed, chosen.temperature)


def _least_risk(
    proposals: Proposals, samples: Array, areas: Array, probabilities: Array, temperature: float
) -> Result:
    """The proposal of the highest expected image IoU, by energies and by samples.

    The network's own labeling stays where the probabilities leave no room for that proposal.
    """
    n_classes = probabilities.shape[1]
    count = len(proposals)
    quality = similarity_matrix(
        proposals.labelings, areas, n_classes, np.concatenate([proposals.labelings, samples])
    )
    scores = untrained_scores(
        proposals.energies, quality[:, :count], quality[:, count:], temperature
    )
    chosen, own = int(scores.argmax()), proposals.network
    assert own is not None
    best, network = proposals.labelings[chosen], proposals.labelings[own]
    if departs_too_far(best, network, probabilities, areas):
        chosen = own
    as_good = quality[chosen, count:] >= quality[own, count:]
    return Result(
        proposals,
        scores,
        chosen,
        confidence=float(as_good.mean()),
        class_beliefs=region_beliefs(samples, n_classes),
    )
