"""Rankers fitted on the folds' proposals, and what each rule chooses.

For the evaluation images a ranker fitted on all folds chooses; for the images of a fold one that
was fitted on the other folds, so that the choices on training images are honest too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from rerank.config import Recipe
from rerank.features import FeatureTable
from rerank.folds import FINAL
from rerank.hdf5 import read_arrays, write_array, write_arrays
from rerank.metrics import IntersectionUnion, corpus_iou, image_iou, mean_image_iou
from rerank.ranking import StructuredRankSVM, corpus_quality
from rerank.reports import chosen_counts
from rerank.stages.base import Job, Stage, read_image
from rerank.types import Array, FloatArray


@dataclass(frozen=True)
class PartTable:
    """The features of a part's proposals and what they are worth.

    Attributes
    ----------
    name : str
    image_ids : tuple of str
    table : FeatureTable
        Rows image by image, `n_proposals` each.
    counts : IntersectionUnion
        (n_images, n_proposals, n_classes).
    kl : mapping of name to (n_images, n_proposals) float array
        Divergence of Eq. 17 under each SegNet; lower is better.
    """

    name: str
    image_ids: tuple[str, ...]
    table: FeatureTable
    counts: IntersectionUnion
    kl: dict[str, FloatArray]


def load_part(job: Job, part: str) -> PartTable:
    """Read the feature table and the counts of one part."""
    ids = next(p.image_ids for p in job.parts if p.name == part)
    with job.open("features", part) as file:
        table = FeatureTable.from_arrays(read_arrays(file["table"]))
        kl = {name: file["kl"][name][()] for name in file["kl"]}
    with job.open("quality", part) as file:
        read = [read_image(file, i, ("intersections", "unions")) for i in range(len(ids))]
    shape = (len(ids), job.recipe.proposals.n_proposals, job.train.n_classes)
    counts = IntersectionUnion(*(np.array([r[name] for r in read], dtype=np.int64).reshape(shape)
                                 for name in ("intersections", "unions")))
    return PartTable(part, ids, table, counts, kl)


def join(parts: Sequence[PartTable]) -> PartTable:
    """Several parts as one."""
    return PartTable(
        "+".join(part.name for part in parts),
        tuple(i for part in parts for i in part.image_ids),
        FeatureTable.concatenate([part.table for part in parts]),
        IntersectionUnion(np.concatenate([part.counts.intersections for part in parts]),
                          np.concatenate([part.counts.unions for part in parts])),
        {name: np.concatenate([part.kl[name] for part in parts]) for name in parts[0].kl})


def proposal_quality(counts: IntersectionUnion, loss: str) -> FloatArray:
    """What the ranker learns to prefer, (n_images * n_proposals,).

    `image`: the proposal's own mean IoU; `corpus`: the linearised gain in corpus IoU over the MAP
    labeling, scaled by the number of images so that it is of the same order.
    """
    n_images, n_proposals, n_classes = counts.intersections.shape
    if loss == "image":
        return image_iou(counts).ravel()
    groups = np.repeat(np.arange(n_images), n_proposals)
    gains = corpus_quality(counts.intersections.reshape(-1, n_classes),
                           counts.unions.reshape(-1, n_classes), groups,
                           np.arange(n_images) * n_proposals)
    return gains * n_images


def fit_ranker(part: PartTable, groups: Sequence[str], C: float, recipe: Recipe
               ) -> StructuredRankSVM:
    """A structured SVM on some groups of columns of a part."""
    table = part.table.select(groups=groups)
    ranker = StructuredRankSVM(C=C, tol=recipe.ranking.tol, random_state=recipe.random_state,
                               max_passes=recipe.ranking.max_iter)
    return ranker.fit(table.values, proposal_quality(part.counts, recipe.ranking.loss),
                      table.image_index)


def ranker_scores(ranker: StructuredRankSVM, part: PartTable, groups: Sequence[str]) -> FloatArray:
    """Scores of a part's proposals, (n_images, n_proposals)."""
    n_images, n_proposals = part.counts.intersections.shape[:2]
    table = part.table.select(groups=groups)
    return ranker.decision_function(table.values).reshape(n_images, n_proposals)


def choose_C(parts: Sequence[PartTable], groups: Sequence[str], recipe: Recipe) -> float:
    """The candidate whose choices are best on folds that it was not fitted on.

    Best is the highest sum of corpus IoU and mean image IoU: an image-level loss alone gives up
    the one for the other.
    """
    fixed = recipe.ranking.C
    if fixed is not None:
        return fixed
    candidates = recipe.ranking.candidates
    chosen: list[list[IntersectionUnion]] = [[] for _ in candidates]
    for held in np.array_split(np.arange(len(parts)), min(3, len(parts))):
        rest = join([parts[i] for i in range(len(parts)) if i not in held])
        judged = join([parts[i] for i in held])
        for counts, C in zip(chosen, candidates):
            scores = ranker_scores(fit_ranker(rest, groups, C, recipe), judged, groups)
            counts.append(chosen_counts(judged.counts, scores.argmax(axis=1)))
    merits = []
    for parts_counts in chosen:
        counts_of_all = IntersectionUnion(
            np.concatenate([c.intersections for c in parts_counts]),
            np.concatenate([c.unions for c in parts_counts]))
        merits.append(corpus_iou(counts_of_all).mean + mean_image_iou(counts_of_all))
    return candidates[int(np.argmax(merits))]


def _settings(recipe: Recipe) -> dict[str, Any]:
    return {"ranking": recipe.ranking.model_dump(mode="json"),
            "random_state": recipe.random_state}


def _run(job: Job, file: h5py.File) -> None:
    groups = job.recipe.ranking.groups
    folds = [load_part(job, part.name) for part in job.folds]
    C = choose_C(folds, groups, job.recipe)
    ranker = fit_ranker(join(folds), groups, C, job.recipe)
    write_array(file, "C", C)
    selected = folds[0].table.select(groups=groups)
    write_arrays(file.create_group("model"), {
        "coef": ranker.coef_, "columns": selected.columns, "primal_objective":
        ranker.primal_objective_, "duality_gap": ranker.duality_gap_})
    if job.parts[-1].image_ids:
        final = load_part(job, FINAL)
        _write_scores(file, final, ranker_scores(ranker, final, groups))
    for index, part in enumerate(folds):
        rest = join(folds[:index] + folds[index + 1:])
        fold_ranker = fit_ranker(rest, groups, C, job.recipe)
        _write_scores(file, part, ranker_scores(fold_ranker, part, groups))


def _write_scores(file: h5py.File, part: PartTable, scores: FloatArray) -> None:
    group = file.create_group(f"scores/{part.name}")
    write_array(group, "svm", scores)
    for name, divergence in part.kl.items():
        write_array(group, name, -divergence)


def load_scores(file: h5py.File, part: str) -> dict[str, Array]:
    """Scores of each rule for a part, (n_images, n_proposals); higher is better."""
    return read_arrays(file[f"scores/{part}"])


STAGE = Stage("ranking", 3, _settings, (("features", "every"), ("quality", "every")), _run,
              "the ranking SVM", split=False, cost=0.3)
