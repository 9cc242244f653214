"""What rankers are given of each image, read from the files of shards one image after another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import h5py
import numpy as np

from rerank.engine.folds import FINAL
from rerank.engine.hdf5 import read_strings
from rerank.engine.stage import Job, read_image
from rerank.features import FeatureTable
from rerank.metrics import IntersectionUnion
from rerank.ranking.ranking_table import RankingTable, join, proposal_quality
from rerank.stages.training_rows import images_that_fit
from rerank.types import Array, BoolArray, FloatArray, IntArray


class RankedImage(NamedTuple):
    """An image's part of a `RankingTable`."""

    image_id: str
    values: FloatArray  #: (M, D) float32
    counts: IntersectionUnion  #: (M, C)
    kl: dict[str, FloatArray]  #: (M, 1 + S) each
    similarity: FloatArray  #: (M, M)
    energies: FloatArray  #: (M,)


class TableColumns(NamedTuple):
    """Names and groups of the columns that are read."""

    names: tuple[str, ...]
    groups: tuple[str, ...]


def columns_of(job: Job, groups: Sequence[str] | None = None) -> TableColumns:
    """The columns of a run's tables.

    Parameters
    ----------
    job : Job
    groups : sequence of str, optional
        Those of which columns are wanted; all by default.

    Returns
    -------
    TableColumns
    """
    for part in job.parts:
        for file in job.files("features", part.name) if part.image_ids else ():
            found = zip(*(read_strings(file["table"][key]) for key in ("columns", "groups")))
            kept = [row for row in found if groups is None or row[1] in groups]
            return TableColumns(*(tuple(row[k] for row in kept) for k in (0, 1)))
    raise KeyError("features")


def read_ranked(
    job: Job, part: str, columns: Sequence[str], kept: BoolArray | None = None
) -> Iterator[RankedImage]:
    """The images of a part, one after another.

    Parameters
    ----------
    job : Job
    part : str
        A fold or `final`.
    columns : sequence of D str
        Those that are read, in this order.
    kept : (N,) bool array, optional
        The images that are wanted; all by default.

    Yields
    ------
    RankedImage
    """
    ids, first = job.ids(part), 0
    files = (job.files(stage, part) for stage in ("features", "quality", "proposals"))
    for features, quality, proposals in zip(*files):
        count = len(features["similarity"])
        own = np.arange(count) if kept is None else np.flatnonzero(kept[first : first + count])
        if len(own):
            values = _columns(features["table"], columns).reshape(len(columns), count, -1)
            kl = {name: features["kl"][name][()] for name in features["kl"]}
            similarity = features["similarity"][()]
        for index in own.tolist():
            judged = read_image(quality, index, ("intersections", "unions"))
            yield RankedImage(
                ids[first + index],
                np.ascontiguousarray(values[:, index].T),
                IntersectionUnion(
                    judged["intersections"].astype(np.int64), judged["unions"].astype(np.int64)
                ),
                {name: rows[index] for name, rows in kl.items()},
                similarity[index],
                read_image(proposals, index, ("energies",))["energies"],
            )
        first += count


def table_of(
    job: Job, name: str, images: Sequence[RankedImage], columns: TableColumns
) -> RankingTable:
    """Images as one table.

    Parameters
    ----------
    job : Job
    name : str
        Of the table.
    images : sequence of RankedImage
    columns : TableColumns
        Those that were read.

    Returns
    -------
    RankingTable
    """
    count, width = job.recipe.proposals.n_proposals, 1 + len(job.recipe.features.rule_smoothings)
    shape = (len(images), count, job.data.n_classes)
    names = ("kl", "kl_cross_entropy") if job.recipe.segnet.enabled else ()
    ids = tuple(image.image_id for image in images)
    values = [image.values for image in images] or [np.zeros((0, len(columns.names)), np.float32)]
    return RankingTable(
        name,
        ids,
        FeatureTable(
            np.concatenate(values),
            columns.names,
            columns.groups,
            np.repeat(np.array(ids, dtype=np.str_), count),
            np.tile(np.arange(count), len(ids)),
        ),
        IntersectionUnion(
            np.array([i.counts.intersections for i in images], dtype=np.int64).reshape(shape),
            np.array([i.counts.unions for i in images], dtype=np.int64).reshape(shape),
        ),
        {key: np.array([i.kl[key] for i in images]).reshape(*shape[:2], width) for key in names},
        np.array([i.similarity for i in images]).reshape(*shape[:2], count),
        np.array([i.energies for i in images]).reshape(shape[:2]),
    )


def load_part(
    job: Job, part: str, columns: TableColumns | None = None, kept: BoolArray | None = None
) -> RankingTable:
    """The images of one part as a table.

    Parameters
    ----------
    job : Job
    part : str
        A fold or `final`.
    columns : TableColumns, optional
        All by default.
    kept : (N,) bool array, optional
        The images that are wanted; all by default.

    Returns
    -------
    RankingTable
    """
    wanted = columns_of(job) if columns is None else columns
    return table_of(job, part, list(read_ranked(job, part, wanted.names, kept)), wanted)


def load_folds(job: Job, groups: Sequence[str] | None = None) -> list[RankingTable]:
    """The folds as rankers are fitted on them: as many images as fit in `training_memory`.

    Columns of one value over all folds are left out.

    Parameters
    ----------
    job : Job
    groups : sequence of str, optional
        Groups of columns; all by default.

    Returns
    -------
    list of RankingTable

    Raises
    ------
    LeakError
        If a column equals the proposals' quality but for scale and offset.
    """
    columns = columns_of(job, groups)
    kept = sampled_images(job, image_bytes(job, len(columns.names)))
    folds = [load_part(job, part.name, columns, kept[part.name]) for part in job.folds]
    whole = join(folds)
    whole.table.refuse_leaking_columns(proposal_quality(whole.counts, job.recipe.ranking.loss))
    constant = whole.table.constant_columns()
    return [fold.without(constant) for fold in folds]


def load_parts(
    job: Job, groups: Sequence[str] | None = None
) -> tuple[list[RankingTable], RankingTable | None]:
    """`load_folds`, and all evaluation images, if there are any, with the same columns.

    Parameters
    ----------
    job : Job
    groups : sequence of str, optional

    Returns
    -------
    folds : list of RankingTable
    final : RankingTable or None
    """
    folds = load_folds(job, groups)
    if not job.parts[-1].image_ids:
        return folds, None
    final = load_part(job, FINAL, columns_of(job, groups))
    constant = set(final.table.columns) - set(folds[0].table.columns)
    return folds, final.without(sorted(constant))


def image_bytes(job: Job, n_columns: int) -> int:
    """Bytes of an image in a table.

    Parameters
    ----------
    job : Job
    n_columns : int

    Returns
    -------
    int
    """
    count, n_classes = job.recipe.proposals.n_proposals, job.data.n_classes
    terms = 2 * (1 + len(job.recipe.features.rule_smoothings)) * job.recipe.segnet.enabled
    return int(count * (4 * n_columns + 16 * n_classes + 8 * terms + 4 * count + 8))


def sampled_images(job: Job, each: int) -> dict[str, BoolArray]:
    """Which images of each fold are read, if an image takes that many bytes.

    Parameters
    ----------
    job : Job
    each : int

    Returns
    -------
    mapping of fold to (N,) bool array
        All images, or a random share of each fold.
    """
    sizes = [len(part.image_ids) for part in job.folds]
    kept = images_that_fit(
        np.repeat(np.arange(len(sizes)), sizes),
        each,
        job.recipe.training_memory,
        job.recipe.random_state,
    )
    ends = np.cumsum(sizes)
    return {part.name: kept[end - size : end] for part, size, end in zip(job.folds, sizes, ends)}


def _columns(table: h5py.Group, wanted: Sequence[str]) -> Array:
    """Rows of the stored columns, (D, rows); neighbours are read together."""
    there = {name: place for place, name in enumerate(read_strings(table["columns"]))}
    places: IntArray = np.array([there[name] for name in wanted], dtype=np.int64)
    runs = np.split(places, np.flatnonzero(np.diff(places) != 1) + 1) if len(places) else []
    stored = table["values"]
    found = [stored[run[0] : run[-1] + 1] for run in runs]
    return np.concatenate(found) if found else np.zeros((0, stored.shape[1]), dtype=np.float32)
