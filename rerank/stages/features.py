"""The ranker's table: the features of each proposal, made from all that stage 2 knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import h5py
import numpy as np

from rerank.config import Recipe
from rerank.datasets import Dataset
from rerank.engine.hdf5 import write_array, write_arrays
from rerank.engine.stage import Job, read_image
from rerank.evidence import ImageEvidence, ImageRegions
from rerank.features import (
    ColumnSettings,
    FeatureTable,
    background_mass,
    coarsen_labelings,
    detect_edges,
    proposal_features,
    segnet_divergences,
    similarity_matrix,
)
from rerank.proposals import ProposalSet, generator_names
from rerank.stages.classifiers import ImageModels, load_models, read_scores
from rerank.stages.declarations import wanted_groups
from rerank.stages.fusion import TrainingPriors, image_evidence, open_sources, read_probabilities
from rerank.stages.proposals import MAP_NAMES, NETWORK
from rerank.stages.segnet import read_map
from rerank.stages.superpixels import VALUE_NAMES, graph_of
from rerank.types import Array, FloatArray

#: Generators that a table has columns for, by the recipe's setting.
_FIRST = (*MAP_NAMES.values(), NETWORK)
GENERATORS = {
    "div_mbest": (*_FIRST, "div_mbest"),
    "mixed": (*_FIRST, "div_mbest", "posterior_samples"),
    "pool": (*_FIRST, *generator_names()),
}


class Classes(NamedTuple):
    """The classes of a data set, as features need them.

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


def with_columns(
    evidence: ImageEvidence,
    models: ImageModels,
    fused_posterior: FloatArray | None,
    edge_map: Array | None,
) -> ImageEvidence:
    """Evidence of an image with what only columns of features need.

    Parameters
    ----------
    evidence : ImageEvidence
        As of `image_evidence`.
    models : ImageModels
    fused_posterior : (n, C) float array or None
    edge_map : (H, W) bool array or None
        Of `detect_edges`.

    Returns
    -------
    ImageEvidence
    """
    scores = evidence.scores
    if scores is not None and models.sizes is not None:
        scores = scores._replace(
            size_thresholds=models.sizes.thresholds_,
            percentiles=tuple(models.sizes.percentiles_.tolist()),
        )
    return replace(
        evidence,
        scores=scores,
        cooccurrence=models.cooccurrence.log_ratio_,
        fused_posterior=fused_posterior,
        edge_map=edge_map,
    )


def describe_proposals(
    image_id: str,
    classes: Classes,
    recipe: Recipe,
    regions: Mapping[str, Array],
    proposals: Mapping[str, Array],
    evidence: ImageEvidence,
    groups: Sequence[str] | None = None,
) -> tuple[FeatureTable, FloatArray]:
    """The feature table of one image's proposals, and their similarity (M, M).

    Parameters
    ----------
    image_id : str
    classes : Classes
    recipe : Recipe
    regions, proposals : mappings
        The arrays of the stages `superpixels` and `proposals`.
    evidence : ImageEvidence
        As of `with_columns`.
    groups : sequence of str, optional
        Groups of columns; all by default.

    Returns
    -------
    table : FeatureTable
        M rows.
    similarity : (M, M) float array
    """
    labelings = proposals["labelings"]
    similarity = similarity_matrix(labelings, regions["areas"], classes.n_classes)
    if "samples" in proposals:
        evidence = replace(evidence, samples=proposals["samples"])
    table = proposal_features(
        ImageRegions(
            regions["superpixels"],
            graph_of(regions),
            regions["region_values"],
            VALUE_NAMES,
            image_id,
        ),
        ProposalSet(
            labelings,
            proposals["energies"],
            proposals["lower_bounds"],
            tuple(proposals["generators"]),
            ({},) * len(labelings),
        ),
        evidence,
        classes.class_names,
        GENERATORS[recipe.proposals.generator],
        similarity=similarity,
        groups=groups,
        settings=ColumnSettings(recipe.features.kl_smoothing, recipe.features.classification),
    )
    return table, similarity


def rule_terms(
    segnet_map: FloatArray, coarse: FloatArray, smoothings: Sequence[float], background: int | None
) -> FloatArray:
    """What Eq. 17 of Cogswell et al. 2014 is made of, at each smoothing that is tried.

    Parameters
    ----------
    segnet_map : (grid, grid, C) float array
    coarse : (M, grid, grid, C) float array
        The proposals on the SegNet's grid, of `coarsen_labelings`.
    smoothings : S floats
    background : int or None
        Without a background class nothing is penalised.

    Returns
    -------
    (M, 1 + S) float array
        Cells of background, then the symmetric divergence at each smoothing.
    """
    mass = np.zeros(len(coarse)) if background is None else background_mass(coarse, background)
    return np.column_stack([mass, segnet_divergences(segnet_map, coarse, smoothings)])


def run(job: Job, file: h5py.File) -> None:
    """Write the `table`, the terms `kl` of Eq. 17, and the `similarity` of each image's proposals.

    Without a SegNet there are no terms `kl`.
    """
    recipe, dataset = job.recipe, job.data.of(job.part)
    classes, grid = Classes.of(dataset), (recipe.segnet.grid, recipe.segnet.grid)
    groups, smoothings = wanted_groups(recipe), recipe.features.rule_smoothings
    tables: list[FeatureTable] = []
    divergences = {"kl": "maps", "kl_cross_entropy": "maps_cross_entropy"}
    if not recipe.segnet.enabled:
        divergences = {}
    kl: dict[str, list[FloatArray]] = {name: [] for name in divergences}
    similarities: list[FloatArray] = []
    with (
        job.open("superpixels") as regions,
        job.open("proposals") as proposals,
        open_sources(job) as sources,
        job.open("segnet") as segnet,
        job.open("classifiers") as classifiers,
    ):
        models = load_models(classifiers)
        priors = TrainingPriors(models.location, None, classes.background)
        for index, image_id in enumerate(job.part.image_ids):
            arrays, drawn = read_image(regions, index), read_image(proposals, index)
            edges = detect_edges(dataset.image(image_id)) if recipe.features.edges else None
            place = job.part.first + index
            probabilities = read_probabilities(sources, place)
            evidence = image_evidence(
                probabilities["unary"],
                arrays["superpixels"],
                read_map(segnet, place),
                read_scores(classifiers, place),
                priors,
            )
            evidence = with_columns(evidence, models, probabilities.get("fusion"), edges)
            table, similarity = describe_proposals(
                image_id, classes, recipe, arrays, drawn, evidence, groups
            )
            tables.append(table)
            similarities.append(similarity)
            if evidence.segnet is None:
                continue
            coarse = coarsen_labelings(
                drawn["labelings"], evidence.segnet.cell_overlap, grid, classes.n_classes
            )
            for name, maps in divergences.items():
                of_rule = read_map(segnet, place, maps)
                assert of_rule is not None
                kl[name].append(rule_terms(of_rule, coarse, smoothings, classes.background))
    shape = (len(job.part.image_ids), recipe.proposals.n_proposals)
    group = file.create_group("kl")
    for name, rows in kl.items():
        write_array(group, name, np.array(rows).reshape(*shape, 1 + len(smoothings)))
    found = np.array(similarities, dtype=np.float32).reshape(*shape, shape[1])
    write_array(file, "similarity", found, compress=True)
    if tables:
        whole, group = FeatureTable.concatenate(tables), file.create_group("table")
        # A row for each column: most say the same of all proposals of an image, and shrink so.
        write_array(group, "values", whole.values.T.astype(np.float32), compress=True)
        write_arrays(group, {"columns": whole.columns, "groups": whole.groups})
