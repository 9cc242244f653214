"""The pixels of each class in each image; folds are made from them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np

from rerank.config import Recipe
from rerank.datasets import Dataset
from rerank.datasets.problems import some_names
from rerank.engine.folds import FINAL, Part, assign_folds
from rerank.engine.folds import make_parts as parts_of_folds
from rerank.engine.graph import Graph
from rerank.engine.hdf5 import write_array
from rerank.engine.memory_store import MemoryStore
from rerank.engine.scheduler import run_graph
from rerank.engine.stage import Job
from rerank.engine.store import Store
from rerank.errors import ConfigError, DamagedArtefactError, DataError, UnreadableArtefactError
from rerank.stages.declarations import sized, stage
from rerank.stages.run_data import RunData
from rerank.types import Array, IntArray

INDEX = stage("index", reads=("images",), split=False)


def class_pixels(dataset: Dataset, image_ids: Sequence[str]) -> IntArray:
    """Pixels of each class in each image, void left out.

    Parameters
    ----------
    dataset : Dataset
    image_ids : sequence of str
        Images of the data set.

    Returns
    -------
    (n_images, n_classes) int64 array

    Raises
    ------
    DataError
        If a mask and its image differ in size.
    """

    def count(image_id: str) -> Array:
        labels = dataset.labels(image_id)
        if dataset.image_size(image_id) != labels.shape:
            # Refuses a mask of another size now, before anything is computed.
            labels = dataset[image_id].labels
        kept = labels[labels != dataset.ignore_index]
        return np.bincount(kept, minlength=dataset.n_classes)[: dataset.n_classes]

    with ThreadPoolExecutor(2) as pool:
        rows = list(pool.map(count, image_ids))
    return np.array(rows, dtype=np.int64).reshape(len(rows), dataset.n_classes)


def rarest_class(pixels: IntArray, background: int | None = None) -> IntArray:
    """The class of each image that the fewest images hold: it spreads rare classes over the folds.

    Parameters
    ----------
    pixels : (n_images, n_classes) int array
        As of `class_pixels`.
    background : int, optional
        A class that is passed over.

    Returns
    -------
    (n_images,) int array
        -1 where an image holds no class.
    """
    present = pixels > 0
    if background is not None:
        present[:, background] = False
    count = np.where(present, present.sum(0, keepdims=True), np.iinfo(np.int64).max)
    return np.where(present.any(1), count.argmin(1), -1)


def make_parts(recipe: Recipe, store: Store, data: RunData) -> tuple[Part, ...]:
    """The folds of a recipe's training images, and `final`; see `open_pipeline`.

    Parameters
    ----------
    recipe : Recipe
    store : Store
        The stage `index` writes to it, if it has not yet.
    data : RunData

    Returns
    -------
    tuple of Part

    Raises
    ------
    ConfigError
        If there are more folds than training images, or than recordings where they are kept whole.
    LeakError
        If an image is both a training and an evaluation image.
    """
    train, n_folds, scheme = data.train, recipe.folds.n_folds, recipe.folds.scheme
    check_enough_for_folds(len(train), n_folds, recipe.holdout > 0)
    evaluate = data.evaluate.ids if data.evaluate is not None else ()
    # The index does not depend on the folds, so it can be made before them.
    everything = Part(FINAL, tuple(sorted({*train.ids, *evaluate})), ())
    stages = sized((INDEX,), data.n_classes)
    counting = Graph(recipe, stages, (everything,), data, store)
    rows = dict(zip(everything.image_ids, _counted(counting)))
    if scheme == "auto":
        scheme = "contiguous" if train.ordered else "stratified"
    pixels = np.array([rows[image_id] for image_id in train.ids])
    empty = [image_id for image_id, row in zip(train.ids, pixels) if not row.any()]
    if empty:
        raise DataError(
            f"{some_names(empty)}: a mask without a labelled pixel; take such images out of the "
            "training images, or label a part of each"
        )
    if scheme == "sequences":
        return parts_of_folds(train.ids, _sequence_folds(train, n_folds), evaluate)
    folds = assign_folds(
        len(train),
        n_folds,
        scheme,
        recipe.random_state,
        strata=rarest_class(pixels, train.background),
    )
    return parts_of_folds(train.ids, folds, evaluate)


def _sequence_folds(train: Dataset, n_folds: int) -> IntArray:
    """Whole recordings in folds of about equal size, the largest recordings first."""
    sequences = train.sequences()
    sizes = np.bincount(sequences)
    if not train.moments or n_folds > len(sizes):
        found = len(sizes) if train.moments else 0
        raise ConfigError(
            f"folds.scheme is sequences with {n_folds} folds, but {train.name}/{train.split} has "
            f"{found} recordings; set folds.n_folds lower, or another folds.scheme"
        )
    fold, filled = np.empty(len(sizes), dtype=np.int64), np.zeros(n_folds, dtype=np.int64)
    for sequence in np.argsort(-sizes, kind="stable"):
        fold[sequence] = filled.argmin()
        filled[fold[sequence]] += sizes[sequence]
    found_folds: IntArray = fold[sequences]
    return found_folds


def check_enough_for_folds(n_images: int, n_folds: int, holds_out: bool) -> None:
    """Refuse fewer training images than the folds need.

    Parameters
    ----------
    n_images, n_folds : int
    holds_out : bool
        Whether settings are chosen on some of a fold's training images, and models fitted on the
        others. There must be two at least then.

    Raises
    ------
    ConfigError
        If there are too few; the message says how many are needed.

    Examples
    --------
    >>> check_enough_for_folds(4, 2, True)
    >>> check_enough_for_folds(3, 2, True)
    Traceback (most recent call last):
    rerank.errors.ConfigError: 2 folds need at least 4 training images, and there are 3; ...
    """
    # The largest fold leaves the fewest images to the models.
    least = next(n for n in range(n_folds, n_folds + 3) if n - -(-n // n_folds) > holds_out)
    if n_images < least:
        few = f"; set folds.n_folds to {n_images} or less" if 2 < n_images < n_folds else ""
        raise ConfigError(
            f"{n_folds} folds need at least {least} training images, and there are {n_images}"
            f"{few or '; label more images'}"
        )


def _counted(graph: Graph) -> IntArray:
    """The pixels of each class in each image, computed and stored where they are not there."""
    task = graph.task("index")
    if graph.store.state(task.ref) == "missing":
        run_graph(graph)
    try:
        with graph.store.open(task.ref, task.part.image_ids, task.contents(graph.recipe)) as file:
            found: IntArray = file["class_pixels"][()]
            return found
    except (DamagedArtefactError, UnreadableArtefactError):
        # `verify` says what is wrong with it, and a run mends it; both need the folds.
        return _counted(Graph(graph.recipe, graph.stages, graph.parts, graph.data, MemoryStore()))


def run(job: Job, file: h5py.File) -> None:
    """Write `class_pixels`, one row per image, in the order of the ids."""
    train, evaluate = job.data.train, job.data.evaluate
    known = set(train.ids)
    rows = dict(zip(train.ids, class_pixels(train, train.ids)))
    if evaluate is not None:
        others = [image_id for image_id in evaluate.ids if image_id not in known]
        rows.update(zip(others, class_pixels(evaluate, others)))
    write_array(file, "class_pixels", np.array([rows[i] for i in job.part.image_ids]))
