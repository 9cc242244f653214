"""The CRF's settings of each part, chosen on training images that its models had not seen.

Those of a fold are held out of an inner fit; `final` takes all training images, each as its fold
predicted it, since a pool that is chosen on few images repeats their accidents.

Potts weight, contrast scale and class bias are chosen by `choose_energy`; the diversity is the one
whose proposals have the highest mean image IoU of the oracle; the pool is chosen greedily by the
oracle's gain.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from rerank.config import Recipe
from rerank.crf import PottsEnergy
from rerank.engine.hdf5 import read_strings, write_array, write_strings
from rerank.engine.stage import Job, Stage, read_image
from rerank.metrics import IntersectionUnion, oracle_curve, region_intersection_union
from rerank.proposals import ProposalContext, ProposalSet, div_mbest
from rerank.stages.fusion import open_sources, read_probabilities
from rerank.stages.superpixels import graph_of
from rerank.stages.unaries import image_id_key
from rerank.superpixels import RegionGraph
from rerank.tuning.candidate_pool import (
    PoolRow,
    choose_pool,
    evaluate_candidates,
    from_text,
    to_text,
)
from rerank.tuning.energy_search import EnergySettings, UnseenImage, choose_energy, potts_energy
from rerank.types import Array, FloatArray

#: Proposals and images that the settings are chosen with.
TUNING_PROPOSALS, TUNING_IMAGES = 10, 60
#: Images that the pool of a fold and that of the evaluation images are chosen with.
POOL_IMAGES, FINAL_POOL_IMAGES = 60, 150


@dataclass(frozen=True)
class CRFChoice:
    """What was chosen for a part.

    Attributes
    ----------
    unary : EnergySettings
        Of the CRF on the classifier's or the user's probabilities.
    fusion : EnergySettings or None
        Of the CRF on the fused posterior, if there is one.
    diversity : float
        Of DivMBest.
    pool : tuple of PoolRow
        Empty where DivMBest alone makes the proposals.
    pool_of_unary : tuple of PoolRow
        The same from the CRF on the unaries alone.
    """

    unary: EnergySettings
    fusion: EnergySettings | None
    diversity: float
    pool: tuple[PoolRow, ...] = ()
    pool_of_unary: tuple[PoolRow, ...] = ()

    @property
    def energies(self) -> dict[str, EnergySettings]:
        """Settings of the CRF on each source, the main one last."""
        found = {"unary": self.unary}
        if self.fusion is not None:
            found["fusion"] = self.fusion
        return found


def load_choice(file: h5py.File) -> CRFChoice:
    """Read what a part's `crf_settings` hold."""
    fusion = _read_settings(file["fusion"]) if "fusion" in file else None
    pools = [
        from_text(read_strings(file[name])) if name in file else ()
        for name in ("pool", "pool_of_unary")
    ]
    return CRFChoice(_read_settings(file["unary"]), fusion, float(file["diversity"][()]), *pools)


def _read_settings(group: h5py.Group) -> EnergySettings:
    return EnergySettings(
        float(group["potts_weight"][()]),
        float(group["contrast_scale"][()]),
        float(group["base"][()]),
        tuple(group["class_bias"][()].tolist()),
    )


def propose(
    energy: PottsEnergy, graph: RegionGraph, recipe: Recipe, diversity: float, n_proposals: int
) -> ProposalSet:
    """DivMBest proposals of an image; their diversity counts by area."""
    chosen = recipe.proposals
    return div_mbest(
        energy,
        n_proposals,
        diversity,
        method=chosen.inference,
        node_weights=graph.areas / graph.areas.mean(),
    )


def _settings(recipe: Recipe) -> dict[str, Any]:
    chosen = recipe.proposals
    searched = recipe.crf.parameters == "search"
    unused = {"parameters", "learner_C"} if searched else {"potts_weights", "prior_exponents"}
    return {
        "crf": recipe.crf.model_dump(mode="json", exclude=unused),
        "fusion": recipe.fusion.enabled,
        "diversities": list(chosen.diversities),
        "proposal_inference": chosen.inference,
        "generator": chosen.generator,
        "random_state": recipe.random_state,
        "n_proposals": chosen.n_proposals
        if chosen.generator == "pool"
        else min(TUNING_PROPOSALS, chosen.n_proposals),
    }


def _run(job: Job, file: h5py.File) -> None:
    recipe = job.recipe
    images = list((_out_of_fold_images if job.is_final else _held_out_images)(job))
    with job.open("unaries") as unaries:
        shares = unaries["class_shares"][()]
    some = _spread(images, TUNING_IMAGES)
    sources = tuple(some[0].probabilities)
    settings = {
        source: choose_energy(some, source, shares, recipe, file.create_group(source))
        for source in sources
    }
    main = sources[-1]
    energies = [potts_energy(i.probabilities[main], i.graph, settings[main]) for i in some]
    diversities = recipe.proposals.diversities
    scores = np.array(
        [_oracle_score(some, energies, diversity, recipe) for diversity in diversities]
    )
    diversity = diversities[int(scores.argmax())]
    write_array(file, "diversity", diversity)
    write_array(file, "diversity_scores", scores)
    if recipe.proposals.generator == "div_mbest":
        return
    some = _spread(images, FINAL_POOL_IMAGES if job.is_final else POOL_IMAGES)
    contexts = [pool_contexts(i.probabilities, i.graph, i.appearance, settings) for i in some]
    n_proposals = recipe.proposals.n_proposals
    table = evaluate_candidates(
        contexts, [i.histogram for i in some], diversity, n_proposals, recipe.random_state
    )
    write_strings(file, "pool", to_text(choose_pool(table, n_proposals, sources)))
    # What a pool could do without stage 2, for the analysis of the generators.
    write_strings(file, "pool_of_unary", to_text(choose_pool(table, n_proposals, sources[:1])))


def pool_contexts(
    probabilities: Mapping[str, FloatArray],
    graph: RegionGraph,
    appearance: FloatArray,
    settings: Mapping[str, EnergySettings],
) -> dict[str, ProposalContext]:
    """The energy of each source as the generators see it, the main one last."""
    return {
        source: ProposalContext(
            potts_energy(probabilities[source], graph, chosen), graph.areas, appearance=appearance
        )
        for source, chosen in settings.items()
    }


def _spread(images: Sequence[UnseenImage], count: int) -> list[UnseenImage]:
    """At most that many of the images, evenly over their order."""
    places = np.linspace(0, len(images) - 1, min(count, len(images))).round().astype(int)
    return [images[place] for place in places]


def _held_out_images(job: Job) -> Iterator[UnseenImage]:
    """Training images of a fold that its inner models were fitted without."""
    with open_sources(job) as files:
        held = read_strings(files["unary"]["holdout_ids"])
        for fold in job.other_folds:
            with job.open("superpixels", fold.name) as regions:
                for index, image_id in enumerate(fold.image_ids):
                    if image_id in held:
                        key = f"holdout/{image_id_key(held, image_id)}/probabilities"
                        yield _unseen_image(
                            {source: file[key][()] for source, file in files.items()},
                            read_image(regions, index),
                        )


def _out_of_fold_images(job: Job) -> Iterator[UnseenImage]:
    """All training images, each as the models of its fold judge it."""
    for fold in job.folds:
        with job.open("superpixels", fold.name) as regions, open_sources(job, fold.name) as files:
            for index in range(len(fold.image_ids)):
                yield _unseen_image(read_probabilities(files, index), read_image(regions, index))


def _unseen_image(
    probabilities: Mapping[str, FloatArray], regions: Mapping[str, Array]
) -> UnseenImage:
    return UnseenImage(
        probabilities, graph_of(regions), regions["region_values"], regions["histogram"]
    )


def _oracle_score(
    images: Sequence[UnseenImage], energies: Sequence[PottsEnergy], diversity: float, recipe: Recipe
) -> float:
    n_proposals = min(TUNING_PROPOSALS, recipe.proposals.n_proposals)
    counts = IntersectionUnion.stack(
        [
            region_intersection_union(
                i.histogram, propose(energy, i.graph, recipe, diversity, n_proposals).labelings
            )
            for i, energy in zip(images, energies)
        ]
    )
    curve = oracle_curve(counts.intersections, counts.unions)
    return float(curve.image_oracle_image_iou[-1])


STAGE = Stage(
    "crf_settings",
    6,
    _settings,
    (("superpixels", "others"), ("unaries", "out_of_fold"), ("fusion", "out_of_fold")),
    _run,
    "choosing the CRF's settings",
    fits=True,
    cost=0.5,
)
