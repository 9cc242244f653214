"""What each group of features adds: the ranker on every subset of the groups.

The seven subsets of SegNet, classification and proposal features are those of the ablation in
section 5 of Cogswell et al. 2014.
"""

from __future__ import annotations

import h5py
import numpy as np

from rerank.engine.hdf5 import write_array, write_strings
from rerank.engine.stage import Job
from rerank.ranking.ranking_table import join
from rerank.stages.declarations import wanted_subsets
from rerank.stages.ranking import load_parts
from rerank.tuning.ranker_choice import choose_ranker, fit_ranker, rank_candidates, ranker_scores


def run(job: Job, file: h5py.File) -> None:
    """Write, for each subset, its `groups`, its `C` and the `choice` on each evaluated image."""
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
