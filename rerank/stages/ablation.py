"""What each group of features is worth: the ranker on every subset of the groups.

The seven subsets of SegNet, classification and proposal features are those of the ablation in
section 5 of Cogswell et al. 2014.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import h5py
import numpy as np

from rerank.config import Recipe
from rerank.engine.hdf5 import write_array, write_strings
from rerank.engine.stage import Job, Stage
from rerank.stages.ranking import (
    INPUTS,
    choose_ranker,
    fit_ranker,
    join,
    load_parts,
    rank_candidates,
    ranker_scores,
)


def subsets(groups: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Every subset of the groups that is not empty, small ones first.

    Examples
    --------
    >>> subsets(("a", "b"))
    [('a',), ('b',), ('a', 'b')]
    """
    return [subset for size in range(1, len(groups) + 1) for subset in combinations(groups, size)]


def wanted_subsets(recipe: Recipe) -> list[tuple[str, ...]]:
    """The subsets that a recipe asks for, and the ranker's own groups if not among them."""
    if not recipe.report.ablation:
        return []
    found = subsets(recipe.report.ablation_groups)
    own = recipe.ranking.groups
    return found if set(own) in map(set, found) else [*found, own]


def _settings(recipe: Recipe) -> dict[str, Any]:
    return {
        "ranking": recipe.ranking.model_dump(mode="json"),
        "groups": wanted_subsets(recipe),
        "random_state": recipe.random_state,
    }


def _run(job: Job, file: h5py.File) -> None:
    folds, final = load_parts(job)
    for index, groups in enumerate(wanted_subsets(job.recipe)):
        ranker = choose_ranker(folds, groups, rank_candidates("svm", job.recipe), job.recipe)
        place = file.create_group(f"{index:02d}")
        write_strings(place, "groups", groups)
        write_array(place, "C", ranker.get_params()["C"])
        write_array(place, "n_columns", len(folds[0].table.select(groups=groups).columns))
        if final is not None:
            fitted = fit_ranker(join(folds), groups, ranker, job.recipe)
            scores = ranker_scores(fitted, final, groups)
        else:
            # Without an evaluation split each fold is judged by a ranker fitted on the others.
            scores = np.concatenate(
                [
                    ranker_scores(
                        fit_ranker(join(folds[:i] + folds[i + 1 :]), groups, ranker, job.recipe),
                        part,
                        groups,
                    )
                    for i, part in enumerate(folds)
                ]
            )
        write_array(place, "choice", scores.argmax(axis=1))


STAGE = Stage("ablation", 8, _settings, INPUTS, _run, "the feature ablation", split=False, cost=1.0)
