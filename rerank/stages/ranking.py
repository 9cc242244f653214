"""Rankers fitted on the folds' proposals, and what each rule chooses.

For the evaluation images a ranker fitted on all folds chooses; for the images of a fold one that
was fitted on the other folds, so that the choices on training images are honest too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import h5py
import numpy as np
from sklearn.base import clone

from rerank.config import Recipe
from rerank.engine.folds import FINAL
from rerank.engine.hdf5 import read_arrays, write_array, write_arrays
from rerank.engine.stage import Job, Reach, Stage, read_image
from rerank.features import FeatureTable
from rerank.metrics import IntersectionUnion, corpus_iou, image_iou, mean_image_iou
from rerank.ranking import (
    BoostingRanker,
    MinimumBayesRiskRanker,
    PairwiseRankSVM,
    Ranker,
    RidgeRanker,
    StructuredRankSVM,
    corpus_quality,
    minimum_bayes_risk_columns,
)
from rerank.reports import chosen_counts
from rerank.types import Array, FloatArray

#: Settings that the rankers beside the structured SVM are compared with.
PAIRWISE_C = (1e-6, 1e-5, 1e-4, 1e-3)
#: Pairs of an image's proposals that the pairwise SVM compares.
MAX_PAIRS = 60
RIDGE_ALPHAS = (10.0, 100.0, 1e3, 1e4)


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
    similarity : (n_images, n_proposals, n_proposals) float array
        Mean IoU of each proposal if another were the truth.
    energies : (n_images, n_proposals) float array
    """

    name: str
    image_ids: tuple[str, ...]
    table: FeatureTable
    counts: IntersectionUnion
    kl: dict[str, FloatArray]
    similarity: FloatArray
    energies: FloatArray

    @property
    def risk_columns(self) -> FloatArray:
        """What `MinimumBayesRiskRanker` reads."""
        return minimum_bayes_risk_columns(
            self.energies.ravel(), list(self.similarity), self.table.image_index
        )


def load_part(job: Job, part: str) -> PartTable:
    """Read the feature table and the counts of one part."""
    ids = next(p.image_ids for p in job.parts if p.name == part)
    with job.open("features", part) as file:
        table = FeatureTable.from_arrays(read_arrays(file["table"]))
        kl = {name: file["kl"][name][()] for name in file["kl"]}
        similarity = file["similarity"][()]
    with job.open("quality", part) as file:
        read = [read_image(file, i, ("intersections", "unions")) for i in range(len(ids))]
    shape = (len(ids), job.recipe.proposals.n_proposals, job.train.n_classes)
    with job.open("proposals", part) as file:
        energies = np.array(
            [read_image(file, i, ("energies",))["energies"] for i in range(len(ids))]
        ).reshape(shape[:2])
    counts = IntersectionUnion(
        *(
            np.array([r[name] for r in read], dtype=np.int64).reshape(shape)
            for name in ("intersections", "unions")
        )
    )
    return PartTable(part, ids, table, counts, kl, similarity, energies)


def join(parts: Sequence[PartTable]) -> PartTable:
    """Several parts as one."""
    return PartTable(
        "+".join(part.name for part in parts),
        tuple(i for part in parts for i in part.image_ids),
        FeatureTable.concatenate([part.table for part in parts]),
        IntersectionUnion(
            np.concatenate([part.counts.intersections for part in parts]),
            np.concatenate([part.counts.unions for part in parts]),
        ),
        {name: np.concatenate([part.kl[name] for part in parts]) for name in parts[0].kl},
        np.concatenate([part.similarity for part in parts]),
        np.concatenate([part.energies for part in parts]),
    )


def load_parts(job: Job) -> tuple[list[PartTable], PartTable | None]:
    """The folds and, if there are any, the evaluation images, less what ranks nothing.

    Columns of one value over all folds are left out of every part.

    Raises
    ------
    LeakError
        If a column is the proposals' quality in disguise.
    """
    folds = [load_part(job, part.name) for part in job.folds]
    whole = join(folds)
    whole.table.refuse_leaking_columns(proposal_quality(whole.counts, job.recipe.ranking.loss))
    constant = whole.table.constant_columns()
    final = load_part(job, FINAL) if job.parts[-1].image_ids else None
    folds = [replace(part, table=part.table.drop(constant)) for part in folds]
    return folds, None if final is None else replace(final, table=final.table.drop(constant))


def proposal_quality(counts: IntersectionUnion, loss: str) -> FloatArray:
    """What the ranker learns to prefer, (n_images * n_proposals,).

    `image`: the proposal's own mean IoU; `corpus`: the linearised gain in corpus IoU over the MAP
    labeling, scaled by the number of images so that it is of the same order.
    """
    n_images, n_proposals, n_classes = counts.intersections.shape
    if loss == "image":
        return image_iou(counts).ravel()
    groups = np.repeat(np.arange(n_images), n_proposals)
    gains = corpus_quality(
        counts.intersections.reshape(-1, n_classes),
        counts.unions.reshape(-1, n_classes),
        groups,
        np.arange(n_images) * n_proposals,
    )
    return gains * n_images


def rank_candidates(kind: str, recipe: Recipe) -> list[Ranker]:
    """The settings of one kind of ranker that are compared on held-out folds, unfitted.

    Parameters
    ----------
    kind : {"svm", "pairwise", "ridge", "boosting"}
    """
    seed = recipe.random_state
    if kind == "svm":
        fixed = recipe.ranking.C
        return [
            StructuredRankSVM(
                C=C, tol=recipe.ranking.tol, random_state=seed, max_passes=recipe.ranking.max_iter
            )
            for C in (recipe.ranking.candidates if fixed is None else (fixed,))
        ]
    if kind == "pairwise":
        return [PairwiseRankSVM(C=C, max_pairs=MAX_PAIRS, random_state=seed) for C in PAIRWISE_C]
    if kind == "ridge":
        return [RidgeRanker(alpha=alpha) for alpha in RIDGE_ALPHAS]
    return [
        BoostingRanker(
            max_iter=60,
            learning_rate=0.05,
            max_leaf_nodes=8,
            min_samples_leaf=40,
            random_state=seed,
        )
    ]


@dataclass(frozen=True)
class FittedRanker:
    """A ranker, and how far columns may go in favour of a proposal.

    A linear ranker extrapolates without end, and some columns, such as expected union over
    intersection, have none: one proposal unlike all of training would win by a single column. So
    no column speaks for a proposal more than it did for any in training. Against one it may.

    Attributes
    ----------
    ranker : Ranker
        Fitted.
    lowest, highest : (D,) float arrays
        Of the columns; infinite on the side that speaks against a proposal.
    """

    ranker: Ranker
    lowest: FloatArray
    highest: FloatArray

    @classmethod
    def of(cls, ranker: Ranker, values: FloatArray) -> FittedRanker:
        """A fitted ranker with the ranges of the rows (N, D) that it was fitted on."""
        # Trees do not extrapolate.
        weights = getattr(ranker, "coef_", np.zeros(values.shape[1]))
        return cls(
            ranker,
            np.where(weights < 0, values.min(axis=0), -np.inf),
            np.where(weights > 0, values.max(axis=0), np.inf),
        )

    def decision_function(self, values: FloatArray) -> FloatArray:
        """Scores of rows (N, D), higher for better."""
        return self.ranker.decision_function(np.clip(values, self.lowest, self.highest))


def fit_ranker(
    part: PartTable, groups: Sequence[str], ranker: Ranker, recipe: Recipe
) -> FittedRanker:
    """Fit a ranker on some groups of columns of a part."""
    table = part.table.select(groups=groups)
    fitted = clone(ranker).fit(
        table.values, proposal_quality(part.counts, recipe.ranking.loss), table.image_index
    )
    return FittedRanker.of(fitted, table.values)


def ranker_scores(ranker: FittedRanker, part: PartTable, groups: Sequence[str]) -> FloatArray:
    """Scores of a part's proposals, (n_images, n_proposals)."""
    n_images, n_proposals = part.counts.intersections.shape[:2]
    table = part.table.select(groups=groups)
    return ranker.decision_function(table.values).reshape(n_images, n_proposals)


def choose_ranker(
    parts: Sequence[PartTable], groups: Sequence[str], candidates: Sequence[Ranker], recipe: Recipe
) -> Ranker:
    """The candidate whose choices are best on folds that it was not fitted on.

    Best is the highest sum of corpus IoU and mean image IoU: an image-level loss alone gives up
    the one for the other.
    """
    if len(candidates) == 1:
        return candidates[0]
    chosen: list[list[IntersectionUnion]] = [[] for _ in candidates]
    for held in np.array_split(np.arange(len(parts)), min(3, len(parts))):
        rest = join([parts[i] for i in range(len(parts)) if i not in held])
        judged = join([parts[i] for i in held])
        for counts, candidate in zip(chosen, candidates):
            scores = ranker_scores(fit_ranker(rest, groups, candidate, recipe), judged, groups)
            counts.append(chosen_counts(judged.counts, scores.argmax(axis=1)))
    merits = []
    for parts_counts in chosen:
        counts_of_all = IntersectionUnion(
            np.concatenate([c.intersections for c in parts_counts]),
            np.concatenate([c.unions for c in parts_counts]),
        )
        merits.append(corpus_iou(counts_of_all).mean + mean_image_iou(counts_of_all))
    return candidates[int(np.argmax(merits))]


def bayes_risk_scores(train: PartTable, part: PartTable, recipe: Recipe) -> FloatArray:
    """Scores of minimum Bayes risk, its temperature chosen on `train`."""
    ranker = MinimumBayesRiskRanker().fit(
        train.risk_columns,
        proposal_quality(train.counts, recipe.ranking.loss),
        train.table.image_index,
    )
    return ranker.decision_function(part.risk_columns).reshape(part.counts.intersections.shape[:2])


def _settings(recipe: Recipe) -> dict[str, Any]:
    return {"ranking": recipe.ranking.model_dump(mode="json"), "random_state": recipe.random_state}


def _run(job: Job, file: h5py.File) -> None:
    recipe, groups = job.recipe, job.recipe.ranking.groups
    folds, final = load_parts(job)
    judged = folds if final is None else [*folds, final]
    rankers = {
        kind: choose_ranker(folds, groups, rank_candidates(kind, recipe), recipe)
        for kind in ("svm", *recipe.ranking.compared)
    }
    write_array(file, "C", rankers["svm"].get_params()["C"])
    for index, part in enumerate(judged):
        # Final images are judged by rankers of all folds, those of a fold by rankers of the others.
        train = join([fold for k, fold in enumerate(folds) if k != index])
        scores = {name: -divergence for name, divergence in part.kl.items()}
        scores["mbr"] = bayes_risk_scores(train, part, recipe)
        for kind, ranker in rankers.items():
            scores[kind] = ranker_scores(fit_ranker(train, groups, ranker, recipe), part, groups)
        write_arrays(file.create_group(f"scores/{part.name}"), scores)
    fitted = fit_ranker(join(folds), groups, rankers["svm"], recipe)
    model = fitted.ranker
    assert isinstance(model, StructuredRankSVM)
    write_arrays(
        file.create_group("model"),
        {
            "coef": model.coef_,
            "lowest": fitted.lowest,
            "highest": fitted.highest,
            "columns": folds[0].table.select(groups=groups).columns,
            "primal_objective": model.primal_objective_,
            "duality_gap": model.duality_gap_,
        },
    )


def load_scores(file: h5py.File, part: str) -> dict[str, Array]:
    """Scores of each rule for a part, (n_images, n_proposals); higher is better."""
    return read_arrays(file[f"scores/{part}"])


#: What `load_parts` reads.
INPUTS: tuple[tuple[str, Reach], ...] = (
    ("features", "every"),
    ("quality", "every"),
    ("proposals", "every"),
)
STAGE = Stage("ranking", 9, _settings, INPUTS, _run, "the rankers", split=False, cost=0.5)
