"""The MAP labeling and the diverse proposals of each image, and what each is worth."""

from __future__ import annotations

import json
from typing import Any

import h5py
import numpy as np

from rerank.config import Recipe
from rerank.crf import map_inference
from rerank.metrics import region_intersection_union
from rerank.proposals import ProposalContext, run_pool
from rerank.stages.base import Job, Stage, read_image, write_image
from rerank.stages.crf_settings import CRFChoice, load_choice, potts_energy, propose
from rerank.stages.pool import fill
from rerank.stages.superpixels import graph_of
from rerank.superpixels import RegionGraph, majority_labels
from rerank.types import FloatArray


def image_proposals(probabilities: FloatArray, graph: RegionGraph, recipe: Recipe,
                    choice: CRFChoice) -> dict[str, Any]:
    """The proposals of one image as the arrays that are stored; the first is the MAP labeling.

    Where the recipe's MAP solver finds a lower energy than the proposals' own, its labeling takes
    the first place, so that "MAP" is the best answer of stage 1 that is known.
    """
    energy = potts_energy(probabilities, graph, choice.potts_weight)
    best = map_inference(energy, recipe.crf.inference)
    wanted = recipe.proposals.n_proposals
    if choice.pool:
        context = ProposalContext(energy, graph.areas)
        found = fill(run_pool(choice.pool, context, wanted, recipe.random_state), wanted)
    else:
        found = propose(energy, graph, recipe, choice.diversity, wanted)
    labelings = np.array(found.labelings)
    energies, bounds = np.array(found.energies), np.array(found.lower_bounds)
    if best.energy < energies[0]:
        labelings[0], energies[0] = best.labeling, best.energy
        bounds[0] = max(bounds[0], best.lower_bound)
    return {"labelings": labelings.astype(np.uint8), "energies": energies,
            "lower_bounds": bounds, "generators": found.generators,
            "parameters": tuple(json.dumps(dict(p), sort_keys=True) for p in found.parameters)}


def _settings(recipe: Recipe) -> dict[str, Any]:
    chosen = recipe.proposals
    return {"n_proposals": chosen.n_proposals, "random_state": recipe.random_state,
            "inference": recipe.crf.inference,
            "proposal_inference": chosen.inference}


def _run(job: Job, file: h5py.File) -> None:
    with job.open("crf_settings") as file_of_choice:
        choice = load_choice(file_of_choice)
    with job.open("superpixels") as regions, job.open("unaries") as unaries:
        for index in range(len(job.part.image_ids)):
            graph = graph_of(read_image(regions, index))
            probabilities = read_image(unaries, index)["probabilities"]
            write_image(file, index, image_proposals(probabilities, graph, job.recipe, choice))


def _run_quality(job: Job, file: h5py.File) -> None:
    with job.open("superpixels") as regions, job.open("proposals") as proposals, \
            job.open("unaries") as unaries:
        for index in range(len(job.part.image_ids)):
            histogram = read_image(regions, index, ("histogram",))["histogram"]
            labelings = read_image(proposals, index, ("labelings",))["labelings"]
            probabilities = read_image(unaries, index)["probabilities"]
            # A superpixel without a labelled pixel counts nowhere: any class will do for it.
            bound = majority_labels(histogram, void=0)
            arrays: dict[str, Any] = {}
            for name, labeling in (("", labelings), ("unary_", probabilities.argmax(axis=1)),
                                   ("bound_", bound)):
                counts = region_intersection_union(histogram, labeling)
                arrays[f"{name}intersections"] = counts.intersections.astype(np.int32)
                arrays[f"{name}unions"] = counts.unions.astype(np.int32)
            write_image(file, index, arrays)


STAGE = Stage("proposals", 1, _settings,
              (("superpixels", "own"), ("unaries", "own"), ("crf_settings", "own")), _run,
              "MAP and diverse proposals", cost=0.4)
QUALITY = Stage("quality", 1, lambda recipe: {},
                (("superpixels", "own"), ("unaries", "own"), ("proposals", "own")), _run_quality,
                "comparing proposals with the truth", cost=0.01)
