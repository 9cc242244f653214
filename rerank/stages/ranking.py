"""Rankers fitted on the folds' proposals, and what each rule chooses.

For the evaluation images a ranker fitted on all folds chooses; for the images of a fold one that
was fitted on the other folds, so that the choices on training images are honest too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import h5py
import numpy as np

from rerank.engine.folds import FINAL
from rerank.engine.hdf5 import read_arrays, read_strings, write_array, write_arrays
from rerank.engine.stage import Job, read_image
from rerank.features import FeatureTable, family_scores
from rerank.metrics import IntersectionUnion
from rerank.ranking import StructuredRankSVM
from rerank.ranking.bounded_ranker import BoundedRanker
from rerank.ranking.ranking_table import RankingTable, join, proposal_quality
from rerank.tuning.ranker_choice import (
    bayes_risk_scores,
    choose_ranker,
    fit_ranker,
    rank_candidates,
    ranker_scores,
    rule_scores,
)
from rerank.types import Array, FloatArray


def load_part(job: Job, part: str) -> RankingTable:
    """Read the feature table and the counts of one part.

    Parameters
    ----------
    job : Job
    part : str
        A fold or `final`.

    Returns
    -------
    RankingTable
    """
    ids = job.ids(part)
    tables: list[FeatureTable] = []
    kl: dict[str, list[FloatArray]] = {}
    similarities: list[FloatArray] = []
    for file in job.files("features", part):
        tables.append(FeatureTable.from_arrays(read_arrays(file["table"])))
        similarities.append(file["similarity"][()])
        for name in file["kl"]:
            kl.setdefault(name, []).append(file["kl"][name][()])
    with job.open("quality", part) as file:
        read = [read_image(file, i, ("intersections", "unions")) for i in range(len(ids))]
    shape = (len(ids), job.recipe.proposals.n_proposals, job.data.n_classes)
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
    return RankingTable(
        part,
        ids,
        FeatureTable.concatenate(tables),
        counts,
        {name: np.concatenate(rows) for name, rows in kl.items()},
        np.concatenate(similarities),
        energies,
    )


def load_parts(job: Job) -> tuple[list[RankingTable], RankingTable | None]:
    """The folds and, if any, the evaluation images, without columns that rank nothing.

    Columns of one value over all folds are left out of every part.

    Raises
    ------
    LeakError
        If a column equals the proposals' quality but for scale and offset.
    """
    folds = [load_part(job, part.name) for part in job.folds]
    whole = join(folds)
    whole.table.refuse_leaking_columns(proposal_quality(whole.counts, job.recipe.ranking.loss))
    constant = whole.table.constant_columns()
    final = load_part(job, FINAL) if job.parts[-1].image_ids else None
    folds = [replace(part, table=part.table.drop(constant)) for part in folds]
    return folds, None if final is None else replace(final, table=final.table.drop(constant))


def run(job: Job, file: h5py.File) -> None:
    """Write the `scores` of every rule for every part, and the ranking SVM of each fold (`models`)
    and of all folds (`model`)."""
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
        scores = {name: rule_scores(train, part, name, recipe) for name in part.kl}
        scores["mbr"] = bayes_risk_scores(train, part, recipe)
        for kind, ranker in rankers.items():
            fitted = fit_ranker(train, groups, ranker, recipe)
            scores[kind] = ranker_scores(fitted, part, groups)
            if kind == "svm" and part is not final:
                write_arrays(file.create_group(f"models/{part.name}"), _weights(fitted))
        write_arrays(file.create_group(f"scores/{part.name}"), scores)
    fitted = fit_ranker(join(folds), groups, rankers["svm"], recipe)
    model = fitted.ranker
    assert isinstance(model, StructuredRankSVM)
    write_arrays(
        file.create_group("model"),
        {
            **_weights(fitted),
            "columns": folds[0].table.select(groups=groups).columns,
            "primal_objective": model.primal_objective_,
            "duality_gap": model.duality_gap_,
        },
    )


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


def load_family_scores(file: h5py.File, table: RankingTable) -> dict[str, FloatArray]:
    """What each family of columns adds to the ranking SVM's scores of a part.

    Parameters
    ----------
    file : HDF5 file
        Of the stage `ranking`.
    table : RankingTable
        Of `load_part`.

    Returns
    -------
    mapping of family to (n_images, n_proposals) float array
        They sum to the scores `svm` of the part.
    """
    # A fold is judged by the ranker of the other folds, `final` by that of all.
    name = f"models/{table.name}"
    columns = read_strings(file["model"]["columns"])
    ranking = StoredRanking.load(file[name if name in file else "model"], columns)
    shape = table.counts.unions.shape[:2]
    _, found = ranking.score(table.table.select(columns=columns).values)
    return {family: scores.reshape(shape) for family, scores in found.items()}


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
