"""The ranker's table: the features of each proposal, made from all that stage 2 knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import h5py
import numpy as np

from rerank.config import Recipe
from rerank.datasets import Dataset
from rerank.engine.hdf5 import write_array, write_arrays
from rerank.engine.stage import Job, read_image
from rerank.features import (
    FeatureTable,
    ImageInputs,
    coarsen_labelings,
    detect_edges,
    image_features,
)
from rerank.nets import cell_overlap
from rerank.proposals import generator_names
from rerank.proposals.proposal_similarity import proposal_similarity
from rerank.ranking import symmetric_kl
from rerank.stages.classifiers import ImageModels, ImageScores, load_models, read_scores
from rerank.stages.fusion import open_sources, read_probabilities
from rerank.stages.superpixels import VALUE_NAMES
from rerank.types import Array, FloatArray

#: Generators that a table has columns for, by the recipe's setting.
GENERATORS = {"div_mbest": ("map", "div_mbest"), "pool": ("map", *generator_names())}


class Classes(NamedTuple):
    """What features need to know of a data set.

    Attributes
    ----------
    class_names : tuple of str
    background : int or None
    """

    class_names: tuple[str, ...]
    background: int | None

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @classmethod
    def of(cls, dataset: Dataset) -> Classes:
        """Those of a data set."""
        return cls(dataset.class_names, dataset.background)


class ImageOpinions(NamedTuple):
    """What the models of a fold say of one image.

    Attributes
    ----------
    region_probabilities : mapping of source to (n, C) float array
        `unary`, and `fusion` where there is a fused posterior.
    segnet_map : (grid, grid, C) float array
    scores : ImageScores
        Of the image classifiers.
    edge_map : (H, W) bool array or None
        Of `detect_edges`.
    """

    region_probabilities: Mapping[str, FloatArray]
    segnet_map: FloatArray
    scores: ImageScores
    edge_map: Array | None = None


def describe_proposals(
    image_id: str,
    classes: Classes,
    recipe: Recipe,
    models: ImageModels,
    regions: Mapping[str, Array],
    proposals: Mapping[str, Array],
    opinions: ImageOpinions,
) -> tuple[FeatureTable, FloatArray]:
    """The feature table of one image's proposals, and their similarity (M, M).

    Parameters
    ----------
    image_id : str
    classes : Classes
    recipe : Recipe
    models : ImageModels
    regions, proposals : mappings
        The arrays of the stages `superpixels` and `proposals`.
    opinions : ImageOpinions
    """
    segnet_map = opinions.segnet_map
    grid = segnet_map.shape[:2]
    overlap = cell_overlap(regions["superpixels"], (int(grid[0]), int(grid[1])))
    similarity = proposal_similarity(proposals["labelings"], regions["areas"], classes.n_classes)
    inputs = ImageInputs(
        image_id=image_id,
        classes=classes.class_names,
        superpixels=regions["superpixels"],
        edges=regions["edges"],
        boundary_length=regions["boundary_length"],
        contrast=regions["contrast"],
        areas=regions["areas"],
        labelings=proposals["labelings"],
        energies=proposals["energies"],
        lower_bounds=proposals["lower_bounds"],
        probabilities=opinions.region_probabilities["unary"],
        posterior=opinions.region_probabilities.get("fusion"),
        edge_map=opinions.edge_map,
        similarity=similarity,
        segnet_map=segnet_map,
        cell_overlap=overlap,
        scores=opinions.scores.presence,
        size_scores=opinions.scores.sizes,
        size_thresholds=models.sizes.thresholds_,
        background=classes.background,
        region_values=regions["region_values"],
        value_names=VALUE_NAMES,
        generator=proposals["generators"],
        generators=GENERATORS[recipe.proposals.generator],
        location=models.location.transform(overlap),
        cooccurrence=models.cooccurrence.log_ratio_,
    )
    return image_features(inputs, smoothing=recipe.features.kl_smoothing), similarity


def kl_divergence(
    segnet_map: FloatArray, labelings: Array, superpixels: Array, recipe: Recipe, classes: Classes
) -> FloatArray:
    """S(m) of Cogswell et al. 2014, Eq. 17, (M,); no penalty where there is no background.

    Parameters
    ----------
    segnet_map : (grid, grid, C) float array
    labelings : (M, n) int array
    superpixels : (H, W) int array
    recipe : Recipe
        For the smoothing and the penalty.
    classes : Classes
    """
    grid = (segnet_map.shape[0], segnet_map.shape[1])
    overlap = cell_overlap(superpixels, grid)
    coarse = coarsen_labelings(labelings, overlap, grid, classes.n_classes)
    found = symmetric_kl(segnet_map, coarse, recipe.features.kl_smoothing, classes.background or 0)
    penalty = 0.0 if classes.background is None else recipe.ranking.background_penalty
    return found.divergence(penalty)


def run(job: Job, file: h5py.File) -> None:
    """Write the `table`, the divergences `kl`, and the `similarity` of each image's proposals."""
    recipe, dataset = job.recipe, job.data.of(job.part)
    classes = Classes.of(dataset)
    tables: list[FeatureTable] = []
    kl: dict[str, list[FloatArray]] = {"kl": [], "kl_cross_entropy": []}
    similarities: list[FloatArray] = []
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
            edges = detect_edges(dataset.image(image_id)) if recipe.features.edges else None
            opinions = ImageOpinions(
                read_probabilities(sources, index),
                segnet["maps"][index],
                read_scores(classifiers, index),
                edges,
            )
            table, similarity = describe_proposals(
                image_id, classes, recipe, models, arrays, drawn, opinions
            )
            tables.append(table)
            similarities.append(similarity)
            for name, maps in (("kl", "maps"), ("kl_cross_entropy", "maps_cross_entropy")):
                kl[name].append(
                    kl_divergence(
                        segnet[maps][index],
                        drawn["labelings"],
                        arrays["superpixels"],
                        recipe,
                        classes,
                    )
                )
    shape = (len(job.part.image_ids), recipe.proposals.n_proposals)
    group = file.create_group("kl")
    for name, rows in kl.items():
        write_array(group, name, np.array(rows).reshape(shape))
    found = np.array(similarities, dtype=np.float32).reshape(*shape, shape[1])
    write_array(file, "similarity", found)
    if tables:
        table_arrays = FeatureTable.concatenate(tables).to_arrays()
        table_arrays["values"] = table_arrays["values"].astype(np.float32)
        write_arrays(file.create_group("table"), table_arrays)
