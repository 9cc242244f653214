"""Folders of predicted masks against a folder of labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rerank.applications.out_folder import open_out
from rerank.datasets.file_names import without_suffix
from rerank.datasets.file_pairs import read_lines
from rerank.datasets.image_files import read_index_mask
from rerank.datasets.mask_folders import (
    MaskFolder,
    difference,
    list_masks,
    match_endings,
    read_class_names,
    read_ids,
)
from rerank.datasets.problems import file_error, problems_error, some_names
from rerank.engine.parallel import run_tasks
from rerank.engine.progress import Progress
from rerank.errors import DataError
from rerank.files import write_text
from rerank.metrics import IntersectionUnion, confusion_counts, intersection_union
from rerank.reports import evaluate
from rerank.reports.mask_comparison import MaskComparison, comparison_csv
from rerank.types import VOID, Array, IntArray

#: Labels are counted in this many cells where the number of classes is not given.
_MOST_CLASSES = 256


class MaskEvaluation(NamedTuple):
    """How masks are judged.

    Attributes
    ----------
    classes : str or None
        Number of classes, or a file of their names, one a line. None: `classes.txt` in the
        labels' folder or beside it, else as many as the highest label says.
    void : int or None
        The label of pixels that are not counted.
    only : Path or None
        A list of the images to judge, a name a line.
    common : bool
        Judge the images that all folders have, instead of refusing missing ones.
    groups : Path or None
        Lines `name group`: groups of images, such as videos, that are resampled whole.
    n_resamples : int
        Of the bootstrap; 0 leaves the intervals out.
    random_state : int
    """

    classes: str | None = None
    void: int | None = VOID
    only: Path | None = None
    common: bool = False
    groups: Path | None = None
    n_resamples: int = 2000
    random_state: int = 0


class _Counted(NamedTuple):
    """Of one image: counts of each folder, (K, C), its void pixels, and what is wrong."""

    place: int
    intersections: IntArray
    unions: IntArray
    labelled: IntArray
    n_void: int
    problems: list[str]


def evaluate_folders(
    labels: Path,
    predictions: Sequence[Path],
    settings: MaskEvaluation | None = None,
    out: Path | None = None,
    jobs: int = 1,
    quiet: bool = False,
) -> MaskComparison:
    """Judge folders of predicted masks, the first of which is the baseline of the others.

    Parameters
    ----------
    labels : Path
        Folder of masks whose pixel values are the true classes.
    predictions : sequence of Path
        Folders of masks by the same names, or with one ending behind each name, such as those
        that `rerank propose` writes.
    settings : MaskEvaluation, optional
    out : Path, optional
        Folder for `folders.csv`, `classes.csv` and `images.csv`.
    jobs : int
        Images at a time.
    quiet : bool
        Show no progress.

    Returns
    -------
    MaskComparison

    Raises
    ------
    DataError
        If a folder is missing or empty, a file cannot be used, or `out` cannot be written.
    ManyProblemsError
        If masks are missing, or do not fit their labels: a line for each, of twenty at most.
    """
    chosen = MaskEvaluation() if settings is None else settings
    truth, folders, left_out = _paired(labels, predictions, chosen)
    ids = tuple(truth.paths)
    names = read_class_names(labels, chosen.classes)
    if out is not None:
        open_out(out)
    tasks = [
        (k, truth.paths[name], [f.paths[name] for f in folders], len(names or ()), chosen.void)
        for k, name in enumerate(ids)
    ]
    found: list[_Counted] = []
    with Progress(len(ids), quiet=quiet) as progress:
        for counted in run_tasks(_count, tasks, jobs):
            progress.advance(1)
            found.append(counted)
    found.sort(key=lambda counted: counted.place)
    problems = [problem for counted in found for problem in counted.problems]
    if problems:
        raise problems_error(problems)
    counts = IntersectionUnion(
        np.stack([c.intersections for c in found], axis=1),
        np.stack([c.unions for c in found], axis=1),
    )
    labelled = np.stack([c.labelled for c in found])
    if names is None:
        names = _names_of_counted(labels, counts, labelled, chosen.void)
    n_classes = len(names)
    group_of = None if chosen.groups is None else _read_groups(chosen.groups, ids)
    shown = _display_names(predictions)
    evaluations, cropped = [], []
    for k, name in enumerate(shown):
        own = IntersectionUnion(
            counts.intersections[k, :, :n_classes], counts.unions[k, :, :n_classes]
        )
        cropped.append(own)
        evaluations.append(
            evaluate(
                name,
                own,
                cropped[0] if k else None,
                chosen.n_resamples,
                chosen.random_state,
                group_of,
            )
        )
    n_void = sum(counted.n_void for counted in found)
    result = MaskComparison(
        ids,
        tuple(names),
        tuple(evaluations),
        tuple(cropped),
        labelled[:, :n_classes] > 0,
        chosen.void,
        n_void / max(1, n_void + int(labelled.sum())),
        left_out,
        chosen.n_resamples,
        chosen.random_state,
        0 if group_of is None else int(group_of.max()) + 1,
    )
    if out is not None:
        for file, text in comparison_csv(result).items():
            write_text(out / file, text)
    return result


def _paired(
    labels: Path, predictions: Sequence[Path], settings: MaskEvaluation
) -> tuple[MaskFolder, list[MaskFolder], int]:
    """Labels and predictions of the images that are judged, and how many `common` leaves out."""
    for k, folder in enumerate(predictions):
        if folder.resolve() in [other.resolve() for other in predictions[:k]]:
            raise file_error(folder, "the folder is given twice", "give it once")
    truth = list_masks(labels, "labels")
    folders = []
    for folder in predictions:
        own, matched = match_endings(truth, list_masks(folder, "predictions"))
        # The first folder decides what follows the names of the labels.
        truth = own
        folders.append(matched)
    every = [truth, *folders]
    known = set(truth.paths).union(*(masks.paths for masks in folders))
    wanted = list(truth.paths) if settings.only is None else read_ids(settings.only, known)
    left_out = 0
    if settings.common:
        kept = [name for name in wanted if all(name in masks.paths for masks in every)]
        left_out, wanted = len(set(wanted).union(*(m.paths for m in every))) - len(kept), kept
        if not kept:
            raise _nothing_in_common(truth, folders)
    problems: list[str] = []
    for masks in every:
        problems += _missing(masks, wanted, truth, settings.only)
        if settings.only is None and not settings.common:
            extra = difference(list(masks.paths), truth.paths)
            if extra and len(extra) < len(masks.paths):
                problems.append(
                    f"{masks.folder}: {len(extra)} predictions without labels in {labels}: "
                    f"{some_names(extra)}; --common judges the images that all folders have"
                )
    if problems:
        raise problems_error(problems)
    pick = [MaskFolder(m.folder, m.ending, {name: m.paths[name] for name in wanted}) for m in every]
    return pick[0], pick[1:], left_out


def _missing(
    masks: MaskFolder, wanted: Sequence[str], truth: MaskFolder, only: Path | None
) -> list[str]:
    missing = difference(wanted, masks.paths)
    if not missing:
        return []
    what = "label" if masks is truth else "prediction"
    if len(missing) == len(wanted):
        own, expected = next(iter(masks.paths.values())).name, masks.called(wanted[0])
        return [
            f"{masks.folder}: no mask is called like an image: expected such as {expected}, found "
            f"such as {own}; rename them, or give the folder that belongs to "
            f"{truth.folder if only is None else only}"
        ]
    return [
        f"{masks.folder}: no {what} for {len(missing)} of {len(wanted)} images: "
        f"{some_names(missing)}; add them, name the images to judge with --list FILE, or give "
        "--common for those that all folders have"
    ]


def _nothing_in_common(truth: MaskFolder, folders: Sequence[MaskFolder]) -> DataError:
    names = ", ".join(
        f"{masks.folder / next(iter(masks.paths.values())).name}" for masks in (truth, *folders)
    )
    return DataError(f"no image is in all folders, which hold files such as {names}; rename them")


def _names_of_counted(
    labels: Path, counts: IntersectionUnion, labelled: IntArray, void: int | None
) -> list[str]:
    """Numbers up to the highest class in labels and predictions."""
    in_labels = np.flatnonzero(labelled.any(axis=0))
    if not len(in_labels):
        raise file_error(labels, "every pixel is void", f"name another value than {void} --void")
    if len(in_labels) == 1:
        raise file_error(
            labels,
            f"the labels hold no class but {in_labels[0]}"
            + (f", and {void} is void" if void is not None else ""),
            "give --void none if there is no void, or the number of --classes if this is meant",
        )
    highest = int(np.flatnonzero(counts.unions.any(axis=(0, 1)))[-1])
    return [str(k) for k in range(highest + 1)]


def _count(
    place: int, label: Path, predictions: Sequence[Path], n_classes: int, void: int | None
) -> _Counted:
    cells = n_classes or _MOST_CLASSES
    empty = np.zeros((len(predictions), cells), dtype=np.int64)
    nothing = _Counted(place, empty, empty, empty[0], 0, [])
    try:
        truth = read_index_mask(label)
    except DataError as error:
        return nothing._replace(problems=[str(error)])
    kept = np.ones(truth.shape, bool) if void is None else truth != void
    wrong = _out_of_range(truth[kept], cells)
    if wrong:
        about = f"{label}: the labels {wrong} are no class of {cells}"
        remedy = "give the number of --classes, or their value as --void"
        return nothing._replace(problems=[f"{about}; {remedy}"])
    found, problems = [], []
    for path in predictions:
        try:
            prediction = read_index_mask(path)
        except DataError as error:
            problems.append(str(error))
            continue
        problem = _unfit(path, prediction, label, kept, cells, void)
        if problem:
            problems.append(problem)
            continue
        found.append(
            intersection_union(confusion_counts(truth, prediction, cells, ignore_index=void))
        )
    if problems:
        return nothing._replace(problems=problems)
    counts = IntersectionUnion.stack(found)
    labelled = np.bincount(truth[kept].ravel(), minlength=cells)
    n_void = int(kept.size - kept.sum())
    return _Counted(place, counts.intersections, counts.unions, labelled, n_void, [])


def _unfit(
    path: Path, prediction: Array, label: Path, kept: Array, n_classes: int, void: int | None
) -> str:
    """Why a prediction cannot be judged, or nothing."""
    if prediction.shape != kept.shape:
        (height, width), (own_height, own_width) = kept.shape, prediction.shape
        return (
            f"{path}: {own_width}x{own_height} pixels, and {label} has {width}x{height}; resize "
            "the prediction to its label, by nearest neighbour"
        )
    judged = prediction[kept]
    if void is not None and (judged == void).any():
        return (
            f"{path}: {int((judged == void).sum())} of {judged.size} labelled pixels have {void}, "
            "which is void; a prediction gives a class to every labelled pixel"
        )
    wrong = _out_of_range(judged, n_classes)
    if wrong:
        return f"{path}: the values {wrong} are no class of {n_classes}; check --classes"
    return ""


def _out_of_range(values: IntArray, n_classes: int) -> str:
    if not values.size or (values.min() >= 0 and values.max() < n_classes):
        return ""
    bad = np.unique(values[(values < 0) | (values >= n_classes)])
    return some_names([str(value) for value in bad])


def _read_groups(path: Path, ids: Sequence[str]) -> IntArray:
    lines, problems = read_lines([path])
    if problems:
        raise DataError(problems[0])
    group: dict[str, str] = {}
    for line in lines:
        parts = line.split()
        if len(parts) != 2:
            raise file_error(path, f"the line {line!r} is not `name group`", "write two words")
        name = without_suffix(parts[0], ids)
        if group.setdefault(name, parts[1]) != parts[1]:
            raise file_error(path, f"{name} is in two groups", "delete one of its lines")
    missing = difference(ids, group)
    if missing:
        raise file_error(
            path,
            f"no group for {len(missing)} of {len(ids)} images: {some_names(missing)}",
            "add their lines",
        )
    numbers = np.unique([group[name] for name in ids], return_inverse=True)[1]
    if numbers.max() == 0:
        raise file_error(path, "all images are in one group", "give two groups or more")
    return np.asarray(numbers)


def _display_names(folders: Sequence[Path]) -> list[str]:
    """As many of the last parts of each path as tell the folders apart."""
    parts: Mapping[Path, tuple[str, ...]] = {path: path.resolve().parts for path in folders}
    longest = max(len(own) for own in parts.values())
    for length in range(1, longest + 1):
        names = ["/".join(parts[path][-length:]) for path in folders]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in folders]
