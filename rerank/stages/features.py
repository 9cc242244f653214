"""The ranker's table: what each proposal looks like to everything that stage 2 knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np

from rerank.config import Recipe
from rerank.datasets import Dataset
from rerank.engine.hdf5 import write_array, write_arrays
from rerank.engine.stage import Classes, Job, Stage, read_image
from rerank.features import (
    FeatureTable,
    ImageInputs,
    coarsen_labelings,
    detect_edges,
    image_features,
)
from rerank.metrics import image_iou, region_intersection_union
from rerank.nets import cell_overlap
from rerank.proposals import generator_names
from rerank.ranking import symmetric_kl
from rerank.stages.classifiers import ImageModels, load_models
from rerank.stages.fusion import open_sources, read_probabilities
from rerank.stages.superpixels import VALUE_NAMES
from rerank.types import Array, FloatArray

#: Generators that a table has columns for, by the recipe's setting.
GENERATORS = {"div_mbest": ("map", "div_mbest"), "pool": ("map", *generator_names())}


def describe_proposals(
    image_id: str,
    dataset: Classes | Dataset,
    recipe: Recipe,
    models: ImageModels,
    regions: Mapping[str, Array],
    proposals: Mapping[str, Array],
    probabilities: Mapping[str, FloatArray],
    segnet_map: FloatArray,
    scores: FloatArray,
    size_scores: FloatArray,
    similarity: FloatArray,
    edge_map: Array | None = None,
) -> FeatureTable:
    """The feature table of one image's proposals.

    Parameters
    ----------
    image_id : str
    dataset : Dataset
        For the classes and the background.
    recipe : Recipe
    models : ImageModels
    regions, proposals : mappings
        The arrays of the stages `superpixels` and `proposals`.
    probabilities : mapping of source to (n, C) float
        `unary`, and `fusion` for the columns of a finer posterior.
    segnet_map : (grid, grid, C) float
    scores, size_scores : (K,), (K * P,) float
    similarity : (M, M) float
        Of `agreement`.
    edge_map : (H, W) bool, optional
        Of `detect_edges`.
    """
    grid = segnet_map.shape[:2]
    overlap = cell_overlap(regions["superpixels"], (int(grid[0]), int(grid[1])))
    inputs = ImageInputs(
        image_id=image_id,
        classes=dataset.class_names,
        superpixels=regions["superpixels"],
        edges=regions["edges"],
        boundary_length=regions["boundary_length"],
        contrast=regions["contrast"],
        areas=regions["areas"],
        labelings=proposals["labelings"],
        energies=proposals["energies"],
        lower_bounds=proposals["lower_bounds"],
        probabilities=probabilities["unary"],
        posterior=probabilities.get("fusion"),
        edge_map=edge_map,
        similarity=similarity,
        segnet_map=segnet_map,
        cell_overlap=overlap,
        scores=scores,
        size_scores=size_scores,
        size_thresholds=models.sizes.thresholds_,
        background=dataset.background,
        region_values=regions["region_values"],
        value_names=VALUE_NAMES,
        generator=proposals["generators"],
        generators=GENERATORS[recipe.proposals.generator],
        location=models.location.transform(overlap),
        cooccurrence=models.cooccurrence.log_ratio_,
    )
    return image_features(inputs, smoothing=recipe.features.kl_smoothing)


def agreement(labelings: Array, areas: FloatArray, n_classes: int) -> FloatArray:
    """Mean IoU of each labeling (row) if another (column) were the truth, (M, M)."""
    found = np.empty((len(labelings), len(labelings)))
    for m, truth in enumerate(labelings):
        histogram = np.zeros((len(areas), n_classes), dtype=np.int64)
        histogram[np.arange(len(areas)), truth] = areas.astype(np.int64)
        found[:, m] = image_iou(region_intersection_union(histogram, labelings))
    return found


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
            similarity.append(agreement(drawn["labelings"], arrays["areas"], job.dataset.n_classes))
            tables.append(
                describe_proposals(
                    image_id,
                    job.dataset,
                    job.recipe,
                    models,
                    arrays,
                    drawn,
                    read_probabilities(sources, index),
                    segnet["maps"][index],
                    classifiers["scores"][index],
                    classifiers["size_scores"][index],
                    similarity[-1],
                    detect_edges(job.dataset.image(image_id))
                    if job.recipe.features.edges
                    else None,
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
    5,
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
