"""The Potts weight and the diversity of each part, chosen on training images held out for it.

The weight is the one whose MAP labelings have the highest corpus IoU; the diversity the one
whose proposals have the highest mean image IoU of the oracle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from rerank.config import Recipe
from rerank.crf import PottsEnergy, map_inference
from rerank.hdf5 import read_strings, write_array, write_strings
from rerank.metrics import (IntersectionUnion, corpus_iou, oracle_curve,
                            region_intersection_union)
from rerank.potentials import contrast_potts_weights, unary_from_probabilities
from rerank.proposals import Candidate, ProposalContext, ProposalSet, div_mbest
from rerank.stages.base import Job, Stage, read_image
from rerank.stages.pool import choose_pool, from_text, to_text
from rerank.stages.superpixels import graph_of
from rerank.stages.unaries import image_id_key
from rerank.superpixels import RegionGraph
from rerank.types import Array, FloatArray

#: Proposals and images that the diversity is chosen with.
TUNING_PROPOSALS, TUNING_IMAGES = 10, 60
#: Of the Potts weights (`contrast_potts_weights`): those that the README's figures were measured
#: with; see docs/maths.md.
CONTRAST_SCALE, BASE = 1.0, 0.1


def potts_energy(probabilities: FloatArray, graph: RegionGraph, weight: float) -> PottsEnergy:
    """The energy of an image: negative log-probabilities by area, contrast-sensitive Potts."""
    unary = unary_from_probabilities(np.asarray(probabilities, dtype=np.float64), graph.areas)
    weights = contrast_potts_weights(graph, weight, contrast_scale=CONTRAST_SCALE, base=BASE)
    return PottsEnergy(unary, graph.edges, weights)


@dataclass(frozen=True)
class CRFChoice:
    """What was chosen for a part: the Potts weight, the diversity, and the pool if there is one."""

    potts_weight: float
    diversity: float
    pool: tuple[Candidate, ...] = ()


def load_choice(file: h5py.File) -> CRFChoice:
    """Read what a part's `crf_settings` hold."""
    return CRFChoice(float(file["potts_weight"][()]), float(file["diversity"][()]),
                     from_text(read_strings(file["pool"])))


def propose(energy: PottsEnergy, graph: RegionGraph, recipe: Recipe, diversity: float,
            n_proposals: int) -> ProposalSet:
    """DivMBest proposals of an image; their diversity counts by area."""
    chosen = recipe.proposals
    return div_mbest(energy, n_proposals, diversity, method=chosen.inference,
                     node_weights=graph.areas / graph.areas.mean())


def _settings(recipe: Recipe) -> dict[str, Any]:
    chosen = recipe.proposals
    return {"potts_weights": list(recipe.crf.potts_weights), "inference": recipe.crf.inference,
            "diversities": list(chosen.diversities), "proposal_inference": chosen.inference,
            "generator": chosen.generator, "random_state": recipe.random_state,
            "n_proposals": chosen.n_proposals if chosen.generator == "pool"
            else min(TUNING_PROPOSALS, chosen.n_proposals)}


def _run(job: Job, file: h5py.File) -> None:
    images = _held_out_images(job)
    weights, diversities = job.recipe.crf.potts_weights, job.recipe.proposals.diversities
    weight_scores = np.array([_map_score(images, weight, job.recipe) for weight in weights])
    weight = weights[int(weight_scores.argmax())]
    some = images[::max(1, -(-len(images) // TUNING_IMAGES))]
    scores = np.array([_oracle_score(some, weight, diversity, job.recipe)
                       for diversity in diversities])
    diversity = diversities[int(scores.argmax())]
    pool: tuple[Candidate, ...] = ()
    if job.recipe.proposals.generator == "pool":
        contexts = [ProposalContext(potts_energy(probabilities, graph, weight), graph.areas)
                    for probabilities, graph, _ in some]
        pool = choose_pool(contexts, [histogram for _, _, histogram in some], diversity,
                           job.recipe.proposals.n_proposals, job.recipe.random_state)
    write_array(file, "potts_weight", weight)
    write_array(file, "diversity", diversity)
    write_strings(file, "pool", to_text(pool))
    write_array(file, "potts_weight_scores", weight_scores)
    write_array(file, "diversity_scores", scores)


def _held_out_images(job: Job) -> list[tuple[FloatArray, RegionGraph, Array]]:
    found = []
    with job.open("unaries") as unaries:
        held = read_strings(unaries["holdout_ids"])
        for fold in job.other_folds:
            with job.open("superpixels", fold.name) as regions:
                for index, image_id in enumerate(fold.image_ids):
                    if image_id in held:
                        arrays = read_image(regions, index)
                        key = f"holdout/{image_id_key(held, image_id)}/probabilities"
                        found.append((unaries[key][()], graph_of(arrays), arrays["histogram"]))
    return found


def _map_score(images: list[tuple[FloatArray, RegionGraph, Array]], weight: float,
               recipe: Recipe) -> float:
    counts = [region_intersection_union(histogram, map_inference(
        potts_energy(probabilities, graph, weight), recipe.crf.inference).labeling)
        for probabilities, graph, histogram in images]
    return corpus_iou(stack_counts(counts)).mean


def _oracle_score(images: list[tuple[FloatArray, RegionGraph, Array]], weight: float,
                  diversity: float, recipe: Recipe) -> float:
    n_proposals = min(TUNING_PROPOSALS, recipe.proposals.n_proposals)
    counts = stack_counts([region_intersection_union(histogram, propose(
        potts_energy(probabilities, graph, weight), graph, recipe, diversity,
        n_proposals).labelings) for probabilities, graph, histogram in images])
    curve = oracle_curve(counts.intersections, counts.unions)
    return float(curve.image_oracle_image_iou[-1])


def stack_counts(counts: list[IntersectionUnion]) -> IntersectionUnion:
    """Counts of several images as one record with a leading axis for the images."""
    return IntersectionUnion(np.stack([c.intersections for c in counts]),
                             np.stack([c.unions for c in counts]))


STAGE = Stage("crf_settings", 1, _settings, (("superpixels", "others"), ("unaries", "own")), _run,
              "choosing the CRF's settings", fits=True, cost=0.3)
