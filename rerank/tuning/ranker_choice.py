"""Rankers: their settings, chosen on folds that they were not fitted on, and their scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from sklearn.base import clone

from rerank.config import Recipe
from rerank.features import FeatureTable
from rerank.metrics import IntersectionUnion, chosen_counts, corpus_iou, mean_image_iou
from rerank.ranking import (
    BoostingRanker,
    MinimumBayesRiskRanker,
    PairwiseRankSVM,
    Ranker,
    RidgeRanker,
    StructuredRankSVM,
    choose_smoothing,
)
from rerank.ranking.bounded_ranker import BoundedRanker
from rerank.ranking.ranking_table import RankingTable, join, proposal_quality
from rerank.types import FloatArray

#: From a RankingTable to scores, (n_images, n_proposals), higher for better.
Rule = Callable[[RankingTable], FloatArray]
#: Candidates in a row that are no better than the best before them, after which no more are tried.
PATIENCE = 4


def rank_candidates(kind: str, recipe: Recipe) -> list[Ranker]:
    """The settings of one kind of ranker that are compared on held-out folds, unfitted.

    Parameters
    ----------
    kind : {"svm", "pairwise", "ridge", "boosting"}
    recipe : Recipe
        Its section `ranking` and its seed.

    Returns
    -------
    list of Ranker
    """
    seed = recipe.random_state
    if kind == "svm":
        fixed = recipe.ranking.C
        return [
            StructuredRankSVM(
                C=C, tol=recipe.ranking.tol, random_state=seed, max_passes=recipe.ranking.max_iter
            )
            for C in (sorted(recipe.ranking.candidates) if fixed is None else (fixed,))
        ]
    if kind == "pairwise":
        return [
            PairwiseRankSVM(C=C, max_pairs=recipe.ranking.max_pairs, random_state=seed)
            for C in recipe.ranking.pairwise_C
        ]
    if kind == "ridge":
        return [RidgeRanker(alpha=alpha) for alpha in recipe.ranking.ridge_alphas]
    return [
        BoostingRanker(
            max_iter=60,
            learning_rate=0.05,
            max_leaf_nodes=8,
            min_samples_leaf=40,
            random_state=seed,
        )
    ]


def fit_ranker(
    part: RankingTable, groups: Sequence[str], ranker: Ranker, recipe: Recipe
) -> BoundedRanker:
    """Fit a ranker on some groups of columns.

    Parameters
    ----------
    part : RankingTable
    groups : sequence of str
        Groups of columns, as in `FeatureTable.select`.
    ranker : Ranker
        Its settings; it is cloned, not fitted.
    recipe : Recipe
        For the quality that the ranker learns, `ranking.loss`.

    Returns
    -------
    BoundedRanker
    """
    quality = proposal_quality(part.counts, recipe.ranking.loss)
    return _fit(part.table.select(groups=groups), quality, ranker)


def _fit(table: FeatureTable, quality: FloatArray, ranker: Ranker) -> BoundedRanker:
    fitted = clone(ranker).fit(table.values, quality, table.image_index)
    return BoundedRanker.of(fitted, table.values)


def ranker_scores(ranker: BoundedRanker, part: RankingTable, groups: Sequence[str]) -> FloatArray:
    """Scores of a part's proposals.

    Parameters
    ----------
    ranker : BoundedRanker
    part : RankingTable
    groups : sequence of str
        Those that the ranker was fitted on.

    Returns
    -------
    (n_images, n_proposals) float array
        Higher is better.
    """
    return _scores(ranker, part, part.table.select(groups=groups))


def _scores(ranker: BoundedRanker, part: RankingTable, table: FeatureTable) -> FloatArray:
    shape = part.counts.intersections.shape[:2]
    return ranker.decision_function(table.values).reshape(shape)


def choose_ranker(
    parts: Sequence[RankingTable],
    groups: Sequence[str],
    candidates: Sequence[Ranker],
    recipe: Recipe,
) -> Ranker:
    """The candidate whose choices are best on folds that it was not fitted on.

    Best is the highest sum of corpus IoU and mean image IoU: an image-level loss alone gives up
    the one for the other. Candidates are tried in turn. With at least as many columns as images, no
    more are tried after `PATIENCE` in a row that were no better: there a weak regularisation takes
    longest to fit, and seldom is the best.

    Parameters
    ----------
    parts : sequence of RankingTable
        The folds; they are cross-validated in at most three blocks.
    groups : sequence of str
        Groups of columns that the ranker uses.
    candidates : sequence of Ranker
        Unfitted, from one end of a range of settings to the other, the quicker end first. A single
        one is returned as it is.
    recipe : Recipe

    Returns
    -------
    Ranker
        Unfitted.
    """
    if len(candidates) == 1:
        return candidates[0]
    blocks = [
        _Block.of(
            join([parts[i] for i in range(len(parts)) if i not in held]),
            join([parts[i] for i in held]),
            groups,
            recipe,
        )
        for held in np.array_split(np.arange(len(parts)), min(3, len(parts)))
    ]
    wide = any(block.wide for block in blocks)
    merits: list[float] = []
    for candidate in candidates:
        merits.append(_merit([block.chosen(candidate) for block in blocks]))
        if wide and len(merits) - int(np.argmax(merits)) > PATIENCE:
            break
    return candidates[int(np.argmax(merits))]


class _Block(NamedTuple):
    """Folds that rankers are fitted on, and those that their choices are judged on."""

    fitted: RankingTable
    quality: FloatArray
    judged: RankingTable
    recipe: Recipe

    @classmethod
    def of(
        cls, rest: RankingTable, judged: RankingTable, groups: Sequence[str], recipe: Recipe
    ) -> _Block:
        """The columns of some groups alone, taken once for all candidates."""
        return cls(
            replace(rest, table=rest.table.select(groups=groups)),
            proposal_quality(rest.counts, recipe.ranking.loss),
            replace(judged, table=judged.table.select(groups=groups)),
            recipe,
        )

    @property
    def wide(self) -> bool:
        """Whether there are at least as many columns as images."""
        return len(self.fitted.table.columns) >= len(self.fitted.image_ids)

    def chosen(self, candidate: Ranker) -> IntersectionUnion:
        """Counts of what a ranker chooses on the folds that it was not fitted on."""
        fitted = _fit(self.fitted.table, self.quality, candidate)
        scores = _scores(fitted, self.judged, self.judged.table)
        return chosen_counts(self.judged.counts, scores.argmax(axis=1))


def _merit(found: Sequence[IntersectionUnion]) -> float:
    counts = IntersectionUnion.concatenate(found)
    return corpus_iou(counts).mean + mean_image_iou(counts)


def fit_bayes_risk(train: RankingTable, recipe: Recipe) -> Rule:
    """Minimum Bayes risk, at the temperature whose choices are best.

    Parameters
    ----------
    train : RankingTable
        The temperature is chosen on it.
    recipe : Recipe
        For the quality of the choice, `ranking.loss`.

    Returns
    -------
    callable
        From a RankingTable to scores, (n_images, n_proposals), higher for better.
    """
    ranker = MinimumBayesRiskRanker().fit(
        train.risk_columns,
        proposal_quality(train.counts, recipe.ranking.loss),
        train.table.image_index,
    )

    def scores(part: RankingTable) -> FloatArray:
        shape = part.counts.intersections.shape[:2]
        return ranker.decision_function(part.risk_columns).reshape(shape)

    return scores


def fit_rule(train: RankingTable, name: str, recipe: Recipe) -> Rule:
    """The rule of Cogswell et al. 2014, Eq. 17.

    Parameters
    ----------
    train : RankingTable
        The smoothing and the background penalty are chosen on it.
    name : str
        Of the SegNet, as in `kl` of the table.
    recipe : Recipe
        For what is tried, and the quality of the choice, `ranking.loss`.

    Returns
    -------
    callable
        From a RankingTable to scores, (n_images, n_proposals), higher for better.
    """
    smoothings = recipe.features.rule_smoothings
    terms = train.kl[name].reshape(-1, 1 + len(smoothings))
    chosen = choose_smoothing(
        terms[:, 1:],
        terms[:, 0],
        proposal_quality(train.counts, recipe.ranking.loss),
        train.table.image_index,
        smoothings,
        recipe.ranking.background_penalties,
    )
    return lambda part: chosen.scores(part.kl[name][..., 1:], part.kl[name][..., 0])
