"""What each group of features adds: the ranker on every subset of the groups.

The seven subsets of SegNet, classification and proposal features are those of the ablation in
section 5 of Cogswell et al. 2014.
"""

from __future__ import annotations

from functools import partial

import h5py
import numpy as np

from rerank.engine.hdf5 import write_array, write_strings
from rerank.engine.stage import Job
from rerank.ranking.ranking_table import join
from rerank.stages.declarations import wanted_subsets
from rerank.stages.ranking import score_part
from rerank.stages.ranking_rows import TableColumns, load_folds
from rerank.tuning.ranker_choice import choose_ranker, fit_ranker, rank_candidates, ranker_scores
from rerank.types import IntArray


def run(job: Job, file: h5py.File) -> None:
    """Write, for each subset, its `groups`, its `C` and the `choice` on each evaluated image."""
    subsets = wanted_subsets(job.recipe)
    if not subsets:
        return
    folds = load_folds(job, sorted({group for subset in subsets for group in subset}))
    columns = TableColumns(folds[0].table.columns, folds[0].table.groups)
    chosen = [
        choose_ranker(folds, groups, rank_candidates("svm", job.recipe), job.recipe)
        for groups in subsets
    ]
    for index, (groups, ranker) in enumerate(zip(subsets, chosen)):
        place = file.create_group(f"{index:02d}")
        write_strings(place, "groups", groups)
        write_array(place, "C", ranker.get_params()["C"])
        write_array(place, "n_columns", len(folds[0].table.select(groups=groups).columns))
    # Without an evaluation split each fold is judged by rankers fitted on the others.
    judged = job.parts[-1:] if job.parts[-1].image_ids else job.folds
    found: dict[str, list[IntArray]] = {}
    for part in judged:
        train = join([fold for fold in folds if fold.name != part.name])
        rules = {
            f"{index:02d}": partial(
                ranker_scores, fit_ranker(train, groups, ranker, job.recipe), groups=groups
            )
            for index, (groups, ranker) in enumerate(zip(subsets, chosen))
        }
        for name, scores in score_part(job, part.name, columns, rules).items():
            found.setdefault(name, []).append(scores.argmax(axis=1))
    for name, choices in found.items():
        write_array(file[name], "choice", np.concatenate(choices))
