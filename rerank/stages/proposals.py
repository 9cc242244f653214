"""The MAP labeling and the diverse proposals of each image, and what each is worth."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np

from rerank.config import Recipe
from rerank.crf import map_inference
from rerank.metrics import majority_labels, region_intersection_union
from rerank.proposals import ProposalSet
from rerank.stages.base import Job, Stage, read_image, write_image
from rerank.stages.crf_settings import CRFChoice, load_choice, pool_contexts, propose
from rerank.stages.fusion import open_sources, read_probabilities
from rerank.stages.pool import RESERVE, fill, run_rows
from rerank.stages.superpixels import graph_of
from rerank.superpixels import RegionGraph
from rerank.types import FloatArray


def image_proposals(
    probabilities: Mapping[str, FloatArray],
    graph: RegionGraph,
    appearance: FloatArray,
    recipe: Recipe,
    choice: CRFChoice,
) -> dict[str, Any]:
    """The proposals of one image as the arrays that are stored.

    Parameters
    ----------
    probabilities : mapping of source to (n, C) float array
        `unary`, and `fusion` where there is a fused posterior.
    graph : RegionGraph
    appearance : (n, D) float array
        The superpixels' `region_values`.
    recipe : Recipe
    choice : CRFChoice

    Returns
    -------
    dict
        The first labeling is the MAP of the CRF on the unaries alone, the second, with fusion,
        that of the CRF on the fused posterior. Energies and bounds are of the last source's CRF.
        Where the recipe's MAP solver finds a lower energy than a generator's own, its labeling
        takes that place, so that "MAP" is the best answer that is known.
    """
    contexts = pool_contexts(probabilities, graph, appearance, choice.energies)
    maps = [map_inference(context.energy, recipe.crf.inference) for context in contexts.values()]
    main = list(contexts.values())[-1].energy
    wanted = recipe.proposals.n_proposals
    if choice.pool:
        found = run_rows(choice.pool, contexts, RESERVE * wanted, recipe.random_state)
    else:
        found = propose(main, graph, recipe, choice.diversity, wanted)
    labelings = np.array([result.labeling for result in maps])
    energies = main.evaluate(labelings)
    bound = maps[-1].lower_bound
    best = ProposalSet.of(
        "map",
        labelings,
        energies,
        np.minimum(energies, bound),
        each=[{"source": source} for source in contexts],
    )
    found = fill(_with_maps(best, found), wanted)
    return {
        "labelings": found.labelings.astype(np.uint8),
        "energies": found.energies,
        "lower_bounds": found.lower_bounds,
        "generators": found.generators,
        "parameters": tuple(json.dumps(dict(p), sort_keys=True) for p in found.parameters),
    }


def _with_maps(maps: ProposalSet, found: ProposalSet) -> ProposalSet:
    """The MAPs, then the others without what equals them; equal MAPs are both kept."""
    others = [
        k for k, row in enumerate(found.labelings) if not (row == maps.labelings).all(axis=1).any()
    ]
    return ProposalSet.concatenate([maps, found.take(others)])


def _settings(recipe: Recipe) -> dict[str, Any]:
    chosen = recipe.proposals
    return {
        "n_proposals": chosen.n_proposals,
        "random_state": recipe.random_state,
        "inference": recipe.crf.inference,
        "proposal_inference": chosen.inference,
    }


def _run(job: Job, file: h5py.File) -> None:
    with job.open("crf_settings") as file_of_choice:
        choice = load_choice(file_of_choice)
    with job.open("superpixels") as regions, open_sources(job) as sources:
        for index in range(len(job.part.image_ids)):
            arrays = read_image(regions, index)
            write_image(
                file,
                index,
                image_proposals(
                    read_probabilities(sources, index),
                    graph_of(arrays),
                    arrays["region_values"],
                    job.recipe,
                    choice,
                ),
            )


def _run_quality(job: Job, file: h5py.File) -> None:
    with (
        job.open("superpixels") as regions,
        job.open("proposals") as proposals,
        job.open("unaries") as unaries,
    ):
        for index in range(len(job.part.image_ids)):
            histogram = read_image(regions, index, ("histogram",))["histogram"]
            labelings = read_image(proposals, index, ("labelings",))["labelings"]
            probabilities = read_image(unaries, index)["probabilities"]
            # A superpixel without a labelled pixel counts nowhere: any class will do for it.
            bound = majority_labels(histogram, void=0)
            arrays: dict[str, Any] = {}
            for name, labeling in (
                ("", labelings),
                ("unary_", probabilities.argmax(axis=1)),
                ("bound_", bound),
            ):
                counts = region_intersection_union(histogram, labeling)
                arrays[f"{name}intersections"] = counts.intersections.astype(np.int32)
                arrays[f"{name}unions"] = counts.unions.astype(np.int32)
            write_image(file, index, arrays)


STAGE = Stage(
    "proposals",
    4,
    _settings,
    (("superpixels", "own"), ("unaries", "own"), ("fusion", "own"), ("crf_settings", "own")),
    _run,
    "MAP and diverse proposals",
    cost=0.4,
)
QUALITY = Stage(
    "quality",
    1,
    lambda recipe: {},
    (("superpixels", "own"), ("unaries", "own"), ("proposals", "own")),
    _run_quality,
    "comparing proposals with the truth",
    cost=0.01,
)
