"""A ranker of candidate masks from anywhere, which learns to choose among them."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from rerank.config import Recipe, build_recipe
from rerank.engine.contents import Expected, Values
from rerank.engine.folds import assign_folds, fold_name
from rerank.engine.hdf5 import new_file, read_arrays, write_arrays
from rerank.engine.sealed_file import check_content, open_content, read_sealed, write_sealed
from rerank.errors import DataError, InputError, NotFittedError
from rerank.features import FeatureTable
from rerank.mask_table import MaskTable
from rerank.metrics import IntersectionUnion
from rerank.ranking import Ranker
from rerank.ranking.bounded_ranker import BoundedRanker
from rerank.ranking.ranking_table import ImageRows, RankingTable, join, padded_table
from rerank.tuning.ranker_choice import choose_ranker, fit_ranker, rank_candidates, ranker_scores
from rerank.types import FloatArray

#: The kind of a saved `MaskRanker`, and the version of its layout: see `write_sealed`.
KIND = ("mask_ranker", 2)
_UNBOUNDED = Values(infinite=True)
#: What its file holds; the first four by column.
_CONTENTS = {
    "columns": Expected("S", ("K",)),
    "coef": Expected("f", ("K",)),
    "lowest": Expected("f", ("K",), values=_UNBOUNDED),
    "highest": Expected("f", ("K",), values=_UNBOUNDED),
    "sources": Expected("S", (None,)),
    "class_names": Expected("S", (None,)),
    "C": Expected("f", (), values=Values(0)),
}
#: Fewest labelled images that a ranker is fitted on.
FEWEST_IMAGES = 20
#: Group of the columns that say where a mask comes from.
SOURCE = "source"
GROUPS = ("summary", SOURCE)


class MaskRanker(BaseEstimator):
    """Learns which of an image's candidate masks is the best, from labelled images.

    Its columns are class-free: how well a mask agrees with the others, its components, borders,
    colours and shapes; and, where all labelled images have masks from the same sources (equal
    names), the source. Images may have different numbers of masks. The ranker is the structured
    SVM of the pipeline, and its C is chosen on held-out images.

    Parameters
    ----------
    n_folds : int
        Folds of the labelled images for `cross_fit`, at least 2.
    random_state : int

    Attributes
    ----------
    columns_ : tuple of D str
    coef_, lowest_, highest_ : (D,) float arrays
        Weight of each column, and the range in which it counts.
    sources_ : tuple of str
        Names of masks that are columns; empty where images have different ones.
    C_ : float
    """

    columns_: tuple[str, ...]
    coef_: FloatArray
    lowest_: FloatArray
    highest_: FloatArray
    sources_: tuple[str, ...]
    C_: float

    def __init__(self, *, n_folds: int = 5, random_state: int = 0) -> None:
        self.n_folds = n_folds
        self.random_state = random_state

    def fit(self, tables: Sequence[MaskTable]) -> MaskRanker:
        """Fit on labelled images.

        Parameters
        ----------
        tables : sequence of MaskTable
            With counts.

        Returns
        -------
        self

        Raises
        ------
        InputError
            If there are fewer than 20 images, one has no labels, or no image has two different
            masks.
        """
        self.sources_, parts = self._parts(tables)
        chosen, fitted = self._fit_parts(parts)
        self.columns_ = parts[0].table.columns
        self.coef_ = np.asarray(fitted.ranker.coef_)
        self.lowest_, self.highest_ = fitted.lowest, fitted.highest
        self.C_ = float(chosen.get_params()["C"])
        return self

    def cross_fit(self, tables: Sequence[MaskTable]) -> list[FloatArray]:
        """Scores of each image's masks by a ranker that did not see the image.

        Everything that is chosen or fitted for a fold, C too, comes from the other folds.

        Parameters
        ----------
        tables : sequence of MaskTable
            As for `fit`.

        Returns
        -------
        list of (M,) float arrays
            In the order of the images; higher is better.
        """
        _, parts = self._parts(tables)
        found: dict[str, FloatArray] = {}
        for k, part in enumerate(parts):
            _, fitted = self._fit_parts([other for j, other in enumerate(parts) if j != k])
            found.update(zip(part.image_ids, ranker_scores(fitted, part, _groups(part))))
        return [found[t.image_id][: len(t.names)] for t in tables]

    def decision_function(self, table: MaskTable) -> FloatArray:
        """Scores of an image's masks, (M,), higher for better.

        Raises
        ------
        NotFittedError
            Before `fit`.
        """
        if not hasattr(self, "coef_"):
            raise NotFittedError("this MaskRanker is not fitted; call fit, or MaskRanker.load")
        values = _columns(table, self.sources_).select(columns=self.columns_).values
        return np.asarray(np.clip(values, self.lowest_, self.highest_) @ self.coef_)

    def save(self, path: str | Path, class_names: Sequence[str]) -> None:
        """Write a fitted ranker to one HDF5 file, without pickles.

        Parameters
        ----------
        path : path
        class_names : sequence of str
            Of the masks, for those who load it.

        Raises
        ------
        NotFittedError
            Before `fit`.
        """
        if not hasattr(self, "coef_"):
            raise NotFittedError("this MaskRanker is not fitted; call fit first")
        arrays = {
            "columns": self.columns_,
            "coef": self.coef_,
            "lowest": self.lowest_,
            "highest": self.highest_,
            "sources": self.sources_,
            "class_names": tuple(class_names),
            "C": self.C_,
        }
        buffer = io.BytesIO()
        with new_file(buffer) as file:
            write_arrays(file, arrays)
        write_sealed(Path(path), *KIND, buffer.getvalue())

    @classmethod
    def load(cls, path: str | Path) -> tuple[MaskRanker, tuple[str, ...]]:
        """Read what `save` wrote: the ranker, and the names of the classes.

        Parameters
        ----------
        path : path

        Raises
        ------
        DataError
            If the file is missing, damaged, or not a saved ranker of masks.
        """
        found, content = cls(), read_sealed(Path(path), *KIND)
        try:
            with open_content(content) as file:
                check_content(file, _CONTENTS)
                arrays: Mapping[str, Any] = read_arrays(file)
            for name in ("columns", "coef", "lowest", "highest", "sources"):
                setattr(found, f"{name}_", arrays[name])
            found.C_ = float(arrays["C"])
            return found, tuple(arrays["class_names"])
        except Exception as error:  # what a stranger's file holds may raise anything
            raise DataError(
                f"{path}: not a ranker that `rerank rank --labels` wrote ({error}); make it again"
            ) from error

    def _parts(self, tables: Sequence[MaskTable]) -> tuple[tuple[str, ...], list[RankingTable]]:
        """Sources that are columns, and the folds, without columns of one value."""
        if len(tables) < FEWEST_IMAGES:
            raise InputError(
                f"a ranker needs at least {FEWEST_IMAGES} labelled images, got {len(tables)}"
            )
        unlabelled = [t.image_id for t in tables if t.counts is None or not t.counts.unions.any()]
        if unlabelled:
            raise InputError(f"{unlabelled[0]}: has no labelled pixel; leave it out")
        if all(t.diversity.n_distinct == 1 for t in tables):
            raise InputError("no image has two different masks, so there is nothing to choose")
        sources = common_sources(tables)
        folds = assign_folds(len(tables), self.n_folds, "random", self.random_state)
        most = max(len(t.names) for t in tables)
        parts = [
            padded_table(
                fold_name(k),
                [_rows(t, sources) for t, fold in zip(tables, folds) if fold == k],
                most,
            )
            for k in range(self.n_folds)
        ]
        constant = join(parts).table.constant_columns()
        return sources, [
            RankingTable(
                p.name,
                p.image_ids,
                p.table.drop(constant),
                p.counts,
                p.kl,
                p.similarity,
                p.energies,
            )
            for p in parts
        ]

    def _fit_parts(self, parts: Sequence[RankingTable]) -> tuple[Ranker, BoundedRanker]:
        recipe, groups = _recipe(self.random_state), _groups(parts[0])
        chosen = choose_ranker(parts, groups, rank_candidates("svm", recipe), recipe)
        return chosen, fit_ranker(join(parts), groups, chosen, recipe)


def common_sources(tables: Sequence[MaskTable]) -> tuple[str, ...]:
    """Names of masks that every image has; none where they are fewer than two.

    Parameters
    ----------
    tables : sequence of MaskTable
    """
    shared = set(tables[0].names).intersection(*(t.names for t in tables))
    return tuple(name for name in tables[0].names if name in shared) if len(shared) > 1 else ()


def padded_counts(tables: Sequence[MaskTable]) -> IntersectionUnion:
    """Counts of all masks, (N, M, C), M the most of any image; see `padded_table`.

    Parameters
    ----------
    tables : sequence of MaskTable
        With counts.
    """
    most = max(len(table.names) for table in tables)
    return padded_table("all", [_rows(table, ()) for table in tables], most).counts


def _columns(table: MaskTable, sources: tuple[str, ...]) -> FeatureTable:
    if not sources:
        return table.table
    made_by = np.array([[float(name == source) for source in sources] for name in table.names])
    columns = tuple(f"{SOURCE}.{source}" for source in sources)
    return FeatureTable.join(
        [table.table, FeatureTable.of_image(made_by, columns, SOURCE, table.image_id)]
    )


def _rows(table: MaskTable, sources: tuple[str, ...]) -> ImageRows:
    assert table.counts is not None
    return ImageRows(_columns(table, sources), table.counts, table.similarity, table.energies)


def _groups(part: RankingTable) -> tuple[str, ...]:
    return tuple(group for group in GROUPS if group in part.table.groups)


def _recipe(random_state: int) -> Recipe:
    tree: dict[str, Any] = {
        "name": "masks",
        "dataset": {"name": "arrays", "evaluate": None},
        "random_state": random_state,
        "unary": {"source": "probabilities", "probabilities": "arrays"},
        "backbone": {"architecture": "small"},
        "ranking": {"groups": ["summary"], "compared": []},
    }
    return build_recipe(tree, "MaskRanker")
