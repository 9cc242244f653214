"""The oracle of each generator of proposals alone, beside that of the pool."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import h5py
import numpy as np

from rerank.engine.folds import Part
from rerank.engine.hdf5 import write_array, write_strings
from rerank.engine.stage import Job, read_image
from rerank.metrics import OracleCurve, oracle_curve, region_intersection_union
from rerank.proposals import ProposalContext, ProposalGenerator, ProposalSet, run_generator
from rerank.proposals.pool_rows import fill, pool_contexts, run_rows
from rerank.stages.crf_settings import CRFChoice, crf_sources, load_choice
from rerank.stages.declared_contents import FEW
from rerank.stages.fusion import open_sources, read_probabilities
from rerank.stages.superpixels import graph_of
from rerank.stages.training_rows import images_that_fit
from rerank.tuning.candidate_pool import all_generators
from rerank.types import BoolArray, IntArray

#: Corpus mIoU and mean image IoU of the image oracle, and corpus mIoU of the corpus oracle.
MEASURES = ("corpus_miou", "image_iou", "corpus_oracle_miou")


def image_sets(
    contexts: dict[str, ProposalContext], choice: CRFChoice, n_proposals: int, random_state: int
) -> dict[str, ProposalSet]:
    """The proposals of each generator on each source of one image, and of both pools.

    Parameters
    ----------
    contexts : mapping of source to ProposalContext
        The main source last.
    choice : CRFChoice
        Its diversity and its pools.
    n_proposals : int
        Of each generator and pool, at most.
    random_state : int

    Returns
    -------
    mapping of name to ProposalSet
        Names are ``generator(settings) on source``, ``pool on unary`` and ``pool on all``; a
        diversity of 1.0 in a name is the chosen one.
    """
    found = {}
    made: dict[str, dict[ProposalGenerator, ProposalSet]] = {source: {} for source in contexts}
    for source, context in contexts.items():
        for generator, named in zip(all_generators(choice.diversity), all_generators(1.0)):
            settings = ", ".join(
                str(value)
                for value in named.settings.values()
                if isinstance(value, (int, float, str))
            )
            name = f"{generator.name}({settings}) on {source}"
            found[name] = run_generator(generator, context, n_proposals, random_state)
            made[source][generator] = found[name]
    first = {source: contexts[source] for source in list(contexts)[:1]}
    if choice.pool_of_unary:
        found["pool on unary"] = run_rows(
            choice.pool_of_unary, first, n_proposals, random_state, made
        )
    if choice.pool and len(contexts) > 1:
        found["pool on all"] = run_rows(choice.pool, contexts, n_proposals, random_state, made)
    return found


def run(job: Job, file: h5py.File) -> None:
    """Write the `names` of all sets of proposals, and their oracles' `MEASURES` by their number."""
    if not job.recipe.report.generators:
        return
    wanted = job.recipe.proposals.n_proposals
    counts: dict[str, tuple[list[IntArray], list[IntArray]]] = {}
    parts = job.parts[-1:] if job.parts[-1].image_ids else job.folds
    for part, kept in zip(parts, _kept(job, parts)):
        for contexts, histogram, choice in _contexts(job, part.name, kept):
            for name, made in image_sets(contexts, choice, wanted, job.recipe.random_state).items():
                found = region_intersection_union(histogram, fill(made, wanted).labelings)
                rows = counts.setdefault(name, ([], []))
                rows[0].append(found.intersections)
                rows[1].append(found.unions)
    curves = {
        name: oracle_curve(np.array(inter), np.array(union))
        for name, (inter, union) in counts.items()
    }
    write_strings(file, "names", tuple(curves))
    for place in dict.fromkeys((min(FEW, wanted), wanted)):
        write_array(
            file,
            f"at_{place}",
            np.array([_measures(curve, place - 1) for curve in curves.values()]),
        )


def _kept(job: Job, parts: Sequence[Part]) -> list[BoolArray]:
    """The images of each part on which generators are compared: as many as fit in memory."""
    sizes = [len(part.image_ids) for part in parts]
    n_sets = 2 * len(all_generators(1.0)) + 2
    each = 16 * n_sets * job.recipe.proposals.n_proposals * job.data.n_classes
    memory, seed = job.recipe.training_memory, job.recipe.random_state
    kept = images_that_fit(np.zeros(sum(sizes)), each, memory, seed)
    return np.split(kept, np.cumsum(sizes)[:-1])


def _contexts(
    job: Job, part: str, kept: BoolArray
) -> Iterator[tuple[dict[str, ProposalContext], IntArray, CRFChoice]]:
    with job.open("crf_settings", part) as file:
        choice = load_choice(file)
    with job.open("superpixels", part) as regions, open_sources(job, part) as sources:
        for index in np.flatnonzero(kept).tolist():
            arrays = read_image(regions, index)
            yield (
                pool_contexts(
                    crf_sources(read_probabilities(sources, index), arrays, job.recipe),
                    graph_of(arrays),
                    arrays["region_values"],
                    choice.energies,
                ),
                arrays["histogram"],
                choice,
            )


def _measures(curve: OracleCurve, row: int) -> tuple[float, float, float]:
    return (
        float(curve.image_oracle_miou[row]),
        float(curve.image_oracle_image_iou[row]),
        float(curve.corpus_oracle_miou[row]),
    )
