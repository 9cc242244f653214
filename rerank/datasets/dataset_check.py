"""Check every file of a data set and list all problems at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from rerank.datasets.catalogue import dataset_splits, list_dataset
from rerank.datasets.dataset import Dataset
from rerank.datasets.file_pairs import OWN_FOLDER
from rerank.datasets.image_files import PathLike
from rerank.datasets.label_doubts import doubts_of_labels, doubts_of_turns
from rerank.datasets.problems import FileProblem, problem_of
from rerank.errors import DataError, InputError


def check_dataset(
    dataset: Dataset | str,
    root: PathLike | None = None,
    splits: Sequence[str] | None = None,
    *,
    n_threads: int = 2,
    **options: Any,
) -> list[FileProblem]:
    """Find missing, unreadable, mis-sized and mislabelled files, and errors in the lists.

    What may be meant is found too, and marked as `doubtful`: classes that no mask of a user's
    folder holds, and EXIF data that turn an image and its mask in different ways.

    Parameters
    ----------
    dataset : Dataset or str
        An open data set, or a name for `open_dataset`. By name more is found: what prevents the
        data set from being opened, and images that two of train, val and test share.
    root : path
        The data set's folder, where the data set is given by name.
    splits : sequence of str, optional
        Splits to check where the data set is given by name; by default all that have a list.
    n_threads : int, at least 1
        Number of files that are read at the same time.
    **options
        As for `open_dataset`.

    Returns
    -------
    list of FileProblem
        Each problem once, in the order of the lists; empty if all is well.

    Raises
    ------
    InputError
        The name or an option is unknown, or `root` is missing or superfluous.
    """
    if n_threads < 1:
        raise InputError(f"n_threads must be at least 1, got {n_threads}")
    if isinstance(dataset, Dataset):
        if root is not None or splits is not None or options:
            raise InputError("an open data set is checked as it is, without root, splits, options")
        return _unique(_empty(dataset) + _check_files([dataset], n_threads))
    problems: list[FileProblem] = []
    opened: list[Dataset] = []
    try:
        names = tuple(splits or dataset_splits(dataset, root, **options))
    except DataError as error:
        return [problem_of(error)]
    for split in names:
        try:
            listing = list_dataset(dataset, root, split, **options)
        except DataError as error:
            problems.append(problem_of(error))
            continue
        problems.extend(listing.problems)
        if not listing.problems:
            problems.extend(_empty(listing.dataset))
        opened.append(listing.dataset)
    problems.extend(_shared_ids(opened))
    problems.extend(_check_files(opened, n_threads))
    return _unique(problems)


def _check_files(datasets: Iterable[Dataset], n_threads: int) -> list[FileProblem]:
    """Read every image and mask once, also where several splits share it."""
    opened = list(datasets)
    seen: set[str] = set()
    work: list[tuple[Dataset, str]] = []
    for dataset in opened:
        for image_id in dataset.ids:
            if image_id not in seen:
                work.append((dataset, image_id))
        seen.update(dataset.ids)
    problems: list[FileProblem] = []
    labels: set[int] = set()
    with ThreadPoolExecutor(n_threads) as pool:
        for found, present in pool.map(lambda item: _check_sample(*item), work):
            problems += found
            labels |= present
    if opened and opened[0].name == OWN_FOLDER:
        problems += doubts_of_labels(opened[0], labels)
    return problems


def _check_sample(dataset: Dataset, image_id: str) -> tuple[list[FileProblem], set[int]]:
    """What is wrong with an image, its mask, and the two together; and the labels of the mask."""
    source = dataset.source
    try:
        labels = set(np.unique(source.sample(image_id).labels).tolist())
        return doubts_of_turns(dataset, image_id), labels
    except DataError as error:
        first = problem_of(error)
    problems = []
    for read in (source.image, source.labels):
        try:
            read(image_id)
        except DataError as error:
            problems.append(problem_of(error))
    # Where each of the two can be read, the first error is that they do not fit together.
    return problems or [first], set()


def _shared_ids(datasets: Sequence[Dataset]) -> list[FileProblem]:
    """Find images that are in more than one of train, val and test."""
    apart = [dataset for dataset in datasets if dataset.split in ("train", "val", "test")]
    problems = []
    for index, left in enumerate(apart):
        for right in apart[index + 1 :]:
            for image_id in sorted(set(left.ids) & set(right.ids)):
                problems.append(
                    FileProblem(
                        image_id,
                        f"the image is in both {left.split} and {right.split}",
                        "take it off one of the two lists",
                    )
                )
    return problems


def _empty(dataset: Dataset) -> list[FileProblem]:
    if dataset.ids:
        return []
    return [
        FileProblem(
            f"{dataset.name}/{dataset.split}",
            "the split has no image",
            "write the images' names in its list",
        )
    ]


def _unique(problems: Iterable[FileProblem]) -> list[FileProblem]:
    return list(dict.fromkeys(problems))
