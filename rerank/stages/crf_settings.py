"""The CRF's settings of each fold, chosen on training images that its models had not seen.

Those of a fold are held out of an inner fit. `final` uses all training images, each as its fold
predicted it: a pool that is chosen on few images overfits them. So does a fold, with the images of
the others, where the recipe holds none out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from rerank.config import Recipe
from rerank.engine.artefact_file import REMEDY
from rerank.engine.hdf5 import read_strings, write_array, write_arrays, write_strings
from rerank.engine.stage import Job, read_image
from rerank.errors import DamagedArtefactError, InputError
from rerank.evidence import informed_by_colours
from rerank.potentials.energy_settings import EnergySettings, potts_energy
from rerank.proposals.pool_rows import PoolRow, from_text, mixed_rows, pool_contexts, to_text
from rerank.stages.fusion import open_sources, read_probabilities
from rerank.stages.superpixels import graph_of
from rerank.stages.unaries import read_held_out, read_held_out_ids
from rerank.tuning.candidate_pool import choose_pool, evaluate_candidates
from rerank.tuning.diversity import choose_diversity
from rerank.tuning.energy_search import EnergyChoice, HoldoutImage, choose_energy, spread
from rerank.types import Array, FloatArray


@dataclass(frozen=True)
class CRFChoice:
    """The CRF's settings, the diversity and the pools that were chosen for a fold.

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
    """The choice that a fold's file holds; `DamagedArtefactError` where no stage wrote its text."""
    fusion = _read_settings(file["fusion"]) if "fusion" in file else None
    try:
        pools = [
            from_text(read_strings(file[name])) if name in file else ()
            for name in ("pool", "pool_of_unary")
        ]
    except InputError as error:
        raise DamagedArtefactError(f"{file.file.filename}: {error}; {REMEDY}") from error
    found = CRFChoice(_read_settings(file["unary"]), fusion, float(file["diversity"][()]), *pools)
    known = ({row.source for row in found.pool}, {row.source for row in found.pool_of_unary})
    if not (known[0] <= found.energies.keys() and known[1] <= {"unary"}):
        raise DamagedArtefactError(
            f"{file.file.filename}: its pool has rows of another source; {REMEDY}"
        )
    return found


def _read_settings(group: h5py.Group) -> EnergySettings:
    return EnergySettings(
        float(group["potts_weight"][()]),
        float(group["contrast_scale"][()]),
        float(group["base"][()]),
        tuple(group["class_bias"][()].tolist()),
    )


def crf_sources(
    probabilities: Mapping[str, FloatArray], regions: Mapping[str, Array], recipe: Recipe
) -> dict[str, FloatArray]:
    """What the CRFs see of an image: its unaries with what its colours say, by `crf.colours`.

    Parameters
    ----------
    probabilities : mapping of source to (n, C) float array
        `unary`, and `fusion` where there is a fused posterior.
    regions : mapping of str to array
        The image's arrays of the stage `superpixels`.
    recipe : Recipe

    Returns
    -------
    dict of source to (n, C) float array
    """
    informed = informed_by_colours(
        probabilities["unary"], regions["region_values"], regions["areas"], recipe.crf.colours
    )
    return {**probabilities, "unary": informed}


@dataclass(frozen=True)
class CRFTrials:
    """How the choice was made: what was tried of each source's energy, and the diversities."""

    energies: Mapping[str, EnergyChoice]
    diversity_scores: FloatArray


def choose_crf_settings(
    images: Sequence[HoldoutImage], class_shares: FloatArray, recipe: Recipe, pool_images: int
) -> tuple[CRFChoice, CRFTrials]:
    """Choose energy settings, diversity and pool on images that no model has seen.

    Parameters
    ----------
    images : sequence of HoldoutImage
        All with the same sources of probabilities: `unary`, and `fusion` where there is one.
    class_shares : (C,) float array
        Among the training pixels.
    recipe : Recipe
        For the settings of `crf` and `proposals`, and the seed.
    pool_images : int
        The most images that the pool is chosen on.

    Returns
    -------
    CRFChoice, CRFTrials
        What was chosen, and the accuracy of everything that was tried.
    """
    seed, proposals = recipe.random_state, recipe.proposals
    some = spread(images, recipe.crf.holdout_images)
    sources = tuple(some[0].probabilities)
    tried = {
        source: choose_energy(some, source, class_shares, recipe.crf, seed) for source in sources
    }
    settings = {source: found.settings for source, found in tried.items()}
    main = sources[-1]
    energies = [potts_energy(i.probabilities[main], i.graph, settings[main]) for i in some]
    diversity, scores = choose_diversity(some, energies, proposals)
    pools: tuple[tuple[PoolRow, ...], ...] = ((), ())
    if proposals.generator == "mixed":
        pools = tuple(
            mixed_rows(some_of, diversity, proposals.samples.class_noise, proposals.n_proposals)
            for some_of in (sources, sources[:1])
        )
    elif proposals.generator == "pool":
        some = spread(images, pool_images)
        contexts = (pool_contexts(i.probabilities, i.graph, i.appearance, settings) for i in some)
        table = evaluate_candidates(
            contexts, [i.histogram for i in some], diversity, proposals.n_proposals, seed
        )
        # The second is what a pool could do without stage 2, for the analysis of the generators.
        pools = (
            choose_pool(table, proposals.n_proposals, sources),
            choose_pool(table, proposals.n_proposals, sources[:1]),
        )
    choice = CRFChoice(settings["unary"], settings.get("fusion"), diversity, *pools)
    return choice, CRFTrials(tried, scores)


def run(job: Job, file: h5py.File) -> None:
    """Write the choice and what was tried."""
    chosen = job.recipe.proposals
    out_of_fold = job.is_final or job.recipe.holdout == 0
    images = _Images(job, out_of_fold)
    with job.open("unaries") as unaries:
        shares = unaries["class_shares"][()]
    choice, trials = choose_crf_settings(
        images, shares, job.recipe, chosen.final_pool_images if job.is_final else chosen.pool_images
    )
    for source, found in trials.energies.items():
        values = {name: np.array(value) for name, value in vars(found.settings).items()}
        write_arrays(file.create_group(source), {**values, **found.tried})
    write_array(file, "diversity", choice.diversity)
    write_array(file, "diversity_scores", trials.diversity_scores)
    if chosen.generator != "div_mbest":
        write_strings(file, "pool", to_text(choice.pool))
        write_strings(file, "pool_of_unary", to_text(choice.pool_of_unary))


class _Images(Sequence[HoldoutImage]):
    """The images that settings are chosen on, each read when it is asked for.

    For a fold they are those that its inner models were fitted without; out of fold they are all
    training images, each with the probabilities from the models of its fold.
    """

    def __init__(self, job: Job, out_of_fold: bool) -> None:
        self._job, self._held = job, None
        if not out_of_fold:
            with job.open("unaries") as unaries:
                self._held = read_held_out_ids(job, unaries)
        wanted = None if self._held is None else set(self._held)
        self._places = [
            (fold.name, index, image_id)
            for fold in job.other_folds
            for index, image_id in enumerate(fold.image_ids)
            if wanted is None or image_id in wanted
        ]

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, place: Any) -> Any:
        fold, index, image_id = self._places[place]
        part = fold if self._held is None else None
        with self._job.open("superpixels", fold) as regions, open_sources(self._job, part) as files:
            if self._held is None:
                probabilities = read_probabilities(files, index)
            else:
                probabilities = {
                    source: read_held_out(file, self._held, image_id)
                    for source, file in files.items()
                }
            arrays = read_image(regions, index)
            return HoldoutImage(
                crf_sources(probabilities, arrays, self._job.recipe),
                graph_of(arrays),
                arrays["region_values"],
                arrays["histogram"],
            )
