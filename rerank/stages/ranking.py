"""Rankers fitted on the folds' proposals, and what each rule chooses.

For the evaluation images a ranker fitted on all folds chooses; for the images of a fold one that
was fitted on the other folds, so that the choices on training images are honest too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import h5py
import numpy as np

from rerank.config import Recipe
from rerank.engine.folds import FINAL
from rerank.engine.hdf5 import read_arrays, read_strings, write_array, write_arrays
from rerank.engine.stage import Job
from rerank.features import family_scores
from rerank.ranking import Ranker, StructuredRankSVM
from rerank.ranking.bounded_ranker import BoundedRanker
from rerank.ranking.ranking_table import RankingTable, join
from rerank.stages.ranking_rows import TableColumns, load_folds, read_ranked, table_of
from rerank.tuning.ranker_choice import (
    Rule,
    choose_ranker,
    fit_bayes_risk,
    fit_ranker,
    fit_rule,
    rank_candidates,
    ranker_scores,
)
from rerank.types import Array, FloatArray


def run(job: Job, file: h5py.File) -> None:
    """Write the `scores` of every rule for every part, and the ranking SVM of each fold (`models`)
    and of all folds (`model`)."""
    recipe, groups = job.recipe, job.recipe.ranking.groups
    folds = load_folds(job, groups)
    columns = TableColumns(folds[0].table.columns, folds[0].table.groups)
    rankers = {
        kind: choose_ranker(folds, groups, rank_candidates(kind, recipe), recipe)
        for kind in ("svm", *recipe.ranking.compared)
    }
    write_array(file, "C", rankers["svm"].get_params()["C"])
    for index, part in enumerate(job.parts):
        # Final images are judged by rankers of all folds, those of a fold by rankers of the others.
        rules, svm = _fit_rules(
            join([fold for k, fold in enumerate(folds) if k != index]), rankers, recipe
        )
        if part.name != FINAL:
            write_arrays(file.create_group(f"models/{part.name}"), _weights(svm))
        else:
            assert isinstance(svm.ranker, StructuredRankSVM)
            write_arrays(
                file.create_group("model"),
                {
                    **_weights(svm),
                    "columns": columns.names,
                    "primal_objective": svm.ranker.primal_objective_,
                    "duality_gap": svm.ranker.duality_gap_,
                },
            )
        if part.image_ids:
            scores = score_part(job, part.name, columns, rules)
            write_arrays(file.create_group(f"scores/{part.name}"), scores)


def _fit_rules(
    train: RankingTable, rankers: Mapping[str, Ranker], recipe: Recipe
) -> tuple[dict[str, Rule], BoundedRanker]:
    """What scores an image by each rule, and the ranking SVM among them."""
    groups = recipe.ranking.groups
    rules: dict[str, Rule] = {name: fit_rule(train, name, recipe) for name in train.kl}
    rules["mbr"] = fit_bayes_risk(train, recipe)
    fitted = {kind: fit_ranker(train, groups, ranker, recipe) for kind, ranker in rankers.items()}
    for kind, ranker in fitted.items():
        rules[kind] = partial(ranker_scores, ranker, groups=groups)
    return rules, fitted["svm"]


def score_part(
    job: Job, part: str, columns: TableColumns, rules: Mapping[str, Rule]
) -> dict[str, FloatArray]:
    """Scores of a part's proposals, computed image by image.

    So no score depends on which images are read together.

    Parameters
    ----------
    job : Job
    part : str
        A fold or `final`, with images.
    columns : TableColumns
        Those that the rules were fitted on.
    rules : mapping of name to callable
        Each gives the scores, (1, M), of a table of one image.

    Returns
    -------
    mapping of name to (n_images, n_proposals) float array
    """
    shape = (len(job.ids(part)), job.recipe.proposals.n_proposals)
    found: dict[str, FloatArray] = {name: np.empty(shape) for name in rules}
    for index, image in enumerate(read_ranked(job, part, columns.names)):
        table = table_of(job, part, (image,), columns)
        for name, rule in rules.items():
            found[name][index] = rule(table)[0]
    return found


def _weights(fitted: BoundedRanker) -> dict[str, FloatArray]:
    """A weight per column, and the range in which columns count."""
    model = fitted.ranker
    assert isinstance(model, StructuredRankSVM)
    return {"coef": model.coef_, "lowest": fitted.lowest, "highest": fitted.highest}


@dataclass(frozen=True, eq=False)
class StoredRanking:
    """A fitted ranking SVM as it is kept: a weight a column, and the range in which columns count.

    Attributes
    ----------
    columns : tuple of D str
    coef, lowest, highest : (D,) float arrays
    """

    columns: tuple[str, ...]
    coef: FloatArray
    lowest: FloatArray
    highest: FloatArray

    @classmethod
    def load(cls, model: h5py.Group, columns: tuple[str, ...]) -> StoredRanking:
        """Read what `_weights` gave.

        Parameters
        ----------
        model : HDF5 group
        columns : tuple of D str

        Returns
        -------
        StoredRanking
        """
        return cls(columns, *(model[name][()] for name in ("coef", "lowest", "highest")))

    @property
    def groups(self) -> list[str]:
        """Groups of the columns."""
        return sorted({column.split(".", 1)[0] for column in self.columns})

    def score(self, values: FloatArray) -> tuple[FloatArray, dict[str, FloatArray]]:
        """Scores of rows (M, D), and what each family of columns adds to them."""
        clipped = np.clip(values, self.lowest, self.highest)
        return clipped @ self.coef, family_scores(self.columns, clipped, self.coef)


def load_ranking(file: h5py.File, part: str) -> StoredRanking:
    """The ranking SVM that judged a part.

    Parameters
    ----------
    file : HDF5 file
        Of the stage `ranking`.
    part : str
        A fold, which is judged by the ranker of the other folds, or `final`, by that of all.

    Returns
    -------
    StoredRanking
    """
    name = f"models/{part}"
    columns = read_strings(file["model"]["columns"])
    return StoredRanking.load(file[name if name in file else "model"], columns)


def load_scores(file: h5py.File, part: str) -> dict[str, Array]:
    """Scores of each rule for a part.

    Parameters
    ----------
    file : HDF5 file
        Of the stage `ranking`.
    part : str

    Returns
    -------
    mapping of rule to (n_images, n_proposals) float array
        Higher is better.
    """
    return read_arrays(file[f"scores/{part}"])
