"""The MAP labelings and the diverse proposals of each image."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import h5py
import numpy as np

from rerank.config import Recipe
from rerank.crf import PottsEnergy, map_inference
from rerank.engine.stage import Job, read_image, write_image
from rerank.proposals import PosteriorSamples, ProposalSet
from rerank.proposals.candidates import random_numbers
from rerank.proposals.pool_rows import RESERVE, fill, pool_contexts, run_rows
from rerank.settings import SampleSettings
from rerank.stages.crf_settings import CRFChoice, crf_sources, load_choice
from rerank.stages.fusion import open_sources, read_probabilities
from rerank.stages.superpixels import graph_of
from rerank.superpixels import RegionGraph
from rerank.tuning.diversity import div_mbest_by_area
from rerank.types import Array, FloatArray

#: Generators of the labelings that come first: the MAPs of both CRFs, and a network's own.
MAP_NAMES = {"unary": "map", "fusion": "fusion_map"}
NETWORK = "network"


class Drawing(NamedTuple):
    """Settings of the proposals that are not chosen on held-out images.

    Attributes
    ----------
    n_proposals : int
    map_inference : {"alpha_expansion", "icm", "trws"}
        For the MAP labelings.
    inference : {"auto", "trws", "alpha_expansion", "icm"}
        For DivMBest, where it alone makes the proposals.
    random_state : int
    samples : SampleSettings or None
        For labelings that may be the truth; None for none.
    """

    n_proposals: int = 30
    map_inference: str = "alpha_expansion"
    inference: str = "auto"
    random_state: int = 0
    samples: SampleSettings | None = None

    @classmethod
    def of(cls, recipe: Recipe) -> Drawing:
        """As a recipe has it."""
        chosen = recipe.proposals
        return cls(
            chosen.n_proposals,
            recipe.crf.inference,
            chosen.inference,
            recipe.random_state,
            chosen.samples if chosen.generator == "mixed" else None,
        )


def image_proposals(
    probabilities: Mapping[str, FloatArray],
    graph: RegionGraph,
    appearance: FloatArray,
    choice: CRFChoice,
    drawing: Drawing = Drawing(),  # noqa: B008
    network: Array | None = None,
) -> dict[str, Any]:
    """The proposals of one image as the arrays that are stored.

    Parameters
    ----------
    probabilities : mapping of source to (n, C) float array
        `unary`, and `fusion` where there is a fused posterior.
    graph : RegionGraph
    appearance : (n, D) float array
        The superpixels' `region_values`.
    choice : CRFChoice
    drawing : Drawing
    network : (n,) uint8 array, optional
        A network's own labeling of the regions, to stand among the proposals.

    Returns
    -------
    dict
        The first labeling, `map`, is the MAP of the CRF on the unaries alone; the second, with
        fusion, `fusion_map`, is that of the CRF on the fused posterior. The network's own labeling,
        `network`, follows. Energies and bounds are of the last source's CRF. Where the MAP solver
        finds a lower energy than a generator's own, its labeling takes that place, so that "MAP" is
        the best answer that is known. With `drawing.samples` there are `samples`, (S, n) uint8,
        labelings of the last source that may be the truth.
    """
    contexts = pool_contexts(probabilities, graph, appearance, choice.energies)
    maps = [map_inference(c.energy, drawing.map_inference) for c in contexts.values()]
    main = list(contexts.values())[-1].energy
    wanted = drawing.n_proposals
    if choice.pool:
        found = run_rows(choice.pool, contexts, RESERVE * wanted, drawing.random_state)
    else:
        found = div_mbest_by_area(main, graph, wanted, choice.diversity, drawing.inference)
    bound = maps[-1].lower_bound
    first = [
        _single(MAP_NAMES[source], result.labeling, main, bound)
        for source, result in zip(contexts, maps)
    ]
    if network is not None:
        first.append(_single(NETWORK, network, main, bound))
    found = fill(_with_first(ProposalSet.concatenate(first), found), wanted)
    arrays = {
        "labelings": found.labelings.astype(np.uint8),
        "energies": found.energies,
        "lower_bounds": found.lower_bounds,
        "generators": found.generators,
        "parameters": tuple(json.dumps(dict(p), sort_keys=True) for p in found.parameters),
    }
    if drawing.samples is not None:
        noise = drawing.samples
        generator = PosteriorSamples(noise.class_noise, noise.region_noise, noise.n_regions)
        context = list(contexts.values())[-1]
        rng = random_numbers(generator, drawing.random_state)
        made = generator.sample(context, noise.n_samples, rng)
        arrays["samples"] = made.astype(np.uint8)
    return arrays


def _single(name: str, labeling: Array, energy: PottsEnergy, bound: float) -> ProposalSet:
    labelings = np.asarray(labeling, dtype=np.int64)[None]
    energies = energy.evaluate(labelings)
    return ProposalSet.of(name, labelings, energies, np.minimum(energies, bound))


def _with_first(first: ProposalSet, found: ProposalSet) -> ProposalSet:
    """The first ones, all kept, then the others without what equals one of them."""
    others = [
        k for k, row in enumerate(found.labelings) if not (row == first.labelings).all(axis=1).any()
    ]
    return ProposalSet.concatenate([first, found.take(others)])


def run(job: Job, file: h5py.File) -> None:
    """Write the arrays of `image_proposals` of each image."""
    with job.open("crf_settings") as chosen:
        choice = load_choice(chosen)
    with job.open("superpixels") as regions, open_sources(job) as sources:
        for index in range(len(job.part.image_ids)):
            arrays = read_image(regions, index)
            probabilities = read_probabilities(sources, job.part.first + index)
            found = image_proposals(
                crf_sources(probabilities, arrays, job.recipe),
                graph_of(arrays),
                arrays["region_values"],
                choice,
                Drawing.of(job.recipe),
                arrays.get(NETWORK),
            )
            write_image(file, index, found)
