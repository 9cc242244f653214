"""The ranker's table: what each proposal looks like to everything that stage 2 knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np

from rerank.config import Recipe
from rerank.datasets import Dataset
from rerank.evidence import ImageEvidence, ImageRegions, ImageScores, SegNetMap
from rerank.features import (
    FeatureTable,
    coarsen_labelings,
    detect_edges,
    proposal_features,
    similarity_matrix,
)
from rerank.hdf5 import write_array, write_arrays
from rerank.nets import cell_overlap
from rerank.proposals import ProposalSet, generator_names
from rerank.ranking import symmetric_kl
from rerank.stages.base import Job, Stage, read_image
from rerank.stages.classifiers import ImageModels, load_models
from rerank.stages.fusion import open_sources, read_probabilities
from rerank.stages.superpixels import VALUE_NAMES, graph_of
from rerank.types import Array, FloatArray

#: Generators that a table has columns for, by the recipe's setting.
GENERATORS = {"div_mbest": ("map", "div_mbest"), "pool": ("map", *generator_names())}


def describe_proposals(
    image_id: str,
    recipe: Recipe,
    classes: tuple[str, ...],
    regions: Mapping[str, Array],
    proposals: Mapping[str, Array],
    evidence: ImageEvidence,
    similarity: FloatArray,
) -> FeatureTable:
    """The feature table of one image's proposals.

    Parameters
    ----------
    image_id : str
    recipe : Recipe
    classes : C names
    regions, proposals : mappings
        The arrays of the stages `superpixels` and `proposals`.
    evidence : ImageEvidence
    similarity : (M, M) float
        Of `similarity_matrix`.

    Returns
    -------
    FeatureTable
    """
    return proposal_features(
        ImageRegions(
            regions["superpixels"],
            graph_of(regions),
            regions["region_values"],
            VALUE_NAMES,
            image_id,
        ),
        ProposalSet(
            proposals["labelings"],
            proposals["energies"],
            proposals["lower_bounds"],
            tuple(proposals["generators"]),
            ({},) * len(proposals["labelings"]),
        ),
        evidence,
        classes,
        GENERATORS[recipe.proposals.generator],
        similarity=similarity,
        smoothing=recipe.features.kl_smoothing,
    )


def feature_evidence(
    recipe: Recipe,
    models: ImageModels,
    superpixels: Array,
    segnet_map: FloatArray,
    scores: ImageScores,
    sources: Mapping[str, FloatArray],
    background: int | None,
    image: Array | None,
) -> ImageEvidence:
    """The evidence that the columns of features are made from.

    Parameters
    ----------
    recipe : Recipe
    models : ImageModels
    superpixels : (H, W) int array
    segnet_map : (grid, grid, C) float array
    scores : ImageScores
    sources : mapping of source to (n, C) float array
        `unary`, and `fusion` for the columns of the fused posterior.
    background : int or None
    image : (H, W, 3) uint8 array or None
        None where the recipe has no columns of edges.

    Returns
    -------
    ImageEvidence
    """
    overlap = cell_overlap(superpixels, (int(segnet_map.shape[0]), int(segnet_map.shape[1])))
    return ImageEvidence(
        sources["unary"],
        SegNetMap(segnet_map, overlap),
        scores._replace(size_thresholds=models.sizes.thresholds_),
        background,
        location=models.location.transform(overlap),
        cooccurrence=models.cooccurrence.log_ratio_,
        fused_posterior=sources.get("fusion"),
        edge_map=detect_edges(image) if recipe.features.edges and image is not None else None,
    )


def kl_divergence(
    segnet_map: FloatArray, labelings: Array, superpixels: Array, recipe: Recipe, dataset: Dataset
) -> FloatArray:
    """S(m) of Cogswell et al. 2014, Eq. 17, (M,); no penalty where there is no background."""
    grid = (segnet_map.shape[0], segnet_map.shape[1])
    coarse = coarsen_labelings(labelings, cell_overlap(superpixels, grid), grid, dataset.n_classes)
    found = symmetric_kl(segnet_map, coarse, recipe.features.kl_smoothing, dataset.background or 0)
    penalty = 0.0 if dataset.background is None else recipe.ranking.background_penalty
    return found.divergence(penalty)


def _settings(recipe: Recipe) -> dict[str, Any]:
    return {
        "features": recipe.features.model_dump(mode="json"),
        "background_penalty": recipe.ranking.background_penalty,
    }


def _run(job: Job, file: h5py.File) -> None:
    tables: list[FeatureTable] = []
    kl: dict[str, list[FloatArray]] = {"kl": [], "kl_cross_entropy": []}
    similarity: list[FloatArray] = []
    with (
        job.open("superpixels") as regions,
        job.open("proposals") as proposals,
        open_sources(job) as sources,
        job.open("segnet") as segnet,
        job.open("classifiers") as classifiers,
    ):
        models = load_models(classifiers)
        for index, image_id in enumerate(job.part.image_ids):
            arrays, drawn = read_image(regions, index), read_image(proposals, index)
            labelings, n_classes = drawn["labelings"], job.dataset.n_classes
            similarity.append(similarity_matrix(labelings, arrays["areas"], n_classes))
            evidence = feature_evidence(
                job.recipe,
                models,
                arrays["superpixels"],
                segnet["maps"][index],
                ImageScores(classifiers["scores"][index], classifiers["size_scores"][index]),
                read_probabilities(sources, index),
                job.dataset.background,
                job.dataset.image(image_id) if job.recipe.features.edges else None,
            )
            tables.append(
                describe_proposals(
                    image_id,
                    job.recipe,
                    job.dataset.class_names,
                    arrays,
                    drawn,
                    evidence,
                    similarity[-1],
                )
            )
            for name, maps in (("kl", "maps"), ("kl_cross_entropy", "maps_cross_entropy")):
                kl[name].append(
                    kl_divergence(
                        segnet[maps][index],
                        drawn["labelings"],
                        arrays["superpixels"],
                        job.recipe,
                        job.dataset,
                    )
                )
    shape = (len(job.part.image_ids), job.recipe.proposals.n_proposals)
    group = file.create_group("kl")
    for name, rows in kl.items():
        write_array(group, name, np.array(rows).reshape(shape))
    write_array(
        file, "similarity", np.array(similarity, dtype=np.float32).reshape(*shape, shape[1])
    )
    if tables:
        table = FeatureTable.concatenate(tables).to_arrays()
        table["values"] = table["values"].astype(np.float32)
        write_arrays(file.create_group("table"), table)


STAGE = Stage(
    "features",
    6,
    _settings,
    tuple(
        (name, "own")
        for name in ("superpixels", "unaries", "fusion", "proposals", "segnet", "classifiers")
    ),
    _run,
    "features of proposals",
    reads=("images",),
    cost=0.3,
)
