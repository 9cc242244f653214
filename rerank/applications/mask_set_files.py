"""Images, their candidate masks and their labels in folders: paired by name, and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rerank.datasets.file_names import folders_in
from rerank.datasets.image_files import read_image, read_index_mask
from rerank.datasets.label_doubts import only_void
from rerank.datasets.mask_folders import (
    MOST_CLASSES,
    MaskFolder,
    difference,
    list_masks,
    match_endings,
    read_ids,
)
from rerank.datasets.mask_sets import MaskSets, list_images, list_mask_sets
from rerank.datasets.problems import file_error, problems_error, some_names
from rerank.engine.parallel import run_tasks
from rerank.errors import DataError
from rerank.types import VOID, Array, IntArray


class MaskedImage(NamedTuple):
    """The files of one image."""

    image_id: str
    image: Path
    masks: tuple[Path, ...]
    labels: tuple[Path, ...] = ()  #: one, or one an annotator; empty without labels


def pair_masks(
    masks: Path,
    images: Path,
    labels: Path | None = None,
    only: Path | None = None,
    common: bool = False,
) -> tuple[list[MaskedImage], int]:
    """Pair images with their candidate masks and labels, by name.

    Parameters
    ----------
    masks : Path
        Folder of `ID/NAME.png`.
    images : Path
    labels : Path, optional
        Folder of `ID.png`, or of `ID/NAME.png` where there are several annotators.
    only : Path, optional
        A list of the images to take.
    common : bool
        Take the images that all folders have, instead of refusing missing ones.

    Returns
    -------
    images : list of MaskedImage
    n_left_out : int
        Images that `common` left out.

    Raises
    ------
    DataError
        If a folder is missing or empty.
    ManyProblemsError
        If an image, its masks or its labels are missing.
    """
    sets, pictures = list_mask_sets(masks, "masks"), list_images(images)
    truths = None if labels is None else _labels(labels, sets)
    known = set(sets) | set(pictures)
    wanted = sorted(known) if only is None else read_ids(only, known)
    folders: dict[Path, Mapping[str, object]] = {
        masks: {name: paths for name, paths in sets.items() if paths},
        images: pictures,
        **({} if labels is None or truths is None else {labels: truths}),
    }
    left_out = 0
    if common:
        kept = [name for name in wanted if all(name in found for found in folders.values())]
        if not kept:
            there = ", ".join(
                f"{folder} has {some_names(list(found), 2)}" for folder, found in folders.items()
            )
            raise DataError(f"no image is in all folders: {there}; give them equal names")
        left_out, wanted = len(wanted) - len(kept), kept
    problems: list[str] = []
    for folder, what in zip(folders, ("masks", "image", "labels")):
        missing = difference(wanted, folders[folder])
        if missing:
            problems.append(
                f"{folder}: no {what} for {len(missing)} of {len(wanted)} images: "
                f"{some_names(missing)}; add them, name the images to take with --list FILE, or "
                "give --common for those that all folders have"
            )
    if problems:
        raise problems_error(problems)
    return [
        MaskedImage(name, pictures[name], sets[name], () if truths is None else truths[name])
        for name in wanted
    ], left_out


def _labels(labels: Path, sets: MaskSets) -> MaskSets:
    if folders_in(labels):
        return {name: paths for name, paths in list_mask_sets(labels, "labels").items() if paths}
    names = MaskFolder(labels, "", dict.fromkeys(sets, labels))
    return {
        name: (path,)
        for name, path in match_endings(list_masks(labels, "labels"), names)[0].paths.items()
    }


def read_labels(path: Path, void: int | None) -> Array:
    """Read the labels of an image, with 255 for void.

    Parameters
    ----------
    path : Path
    void : int or None
        The value in the file that means void.

    Returns
    -------
    (H, W) integer array
    """
    values = read_index_mask(path).astype(np.int32)
    return values if void is None else np.where(values == void, VOID, values)


def check_masked_images(
    images: Sequence[MaskedImage], void: int | None, n_classes: int | None, jobs: int = 1
) -> int:
    """Read all files once, and list all that is wrong with them.

    Parameters
    ----------
    images : sequence of MaskedImage
    void : int or None
        The value of void in labels.
    n_classes : int or None
        Number of classes; None where the highest value says it.
    jobs : int
        Images at a time.

    Returns
    -------
    int
        Number of classes: that given, or one more than the highest value.

    Raises
    ------
    ManyProblemsError
        If a file cannot be read, is not of its image's size, or holds a value that is no class.
    """
    found = sorted(
        run_tasks(_check, [(k, item, void, n_classes) for k, item in enumerate(images)], jobs)
    )
    problems = [problem for _, _, wrong in found for problem in wrong]
    if problems:
        raise problems_error(problems)
    highest = max(value for _, value, _ in found)
    labels = [path for item in images for path in item.labels]
    if _hold_only_void(labels, void):
        raise file_error(labels[0].parent, *only_void(void))
    if n_classes is None and highest == 0:
        raise file_error(
            images[0].masks[0].parent.parent,
            "all masks hold nothing but 0",
            "give the number of --classes if this is meant",
        )
    return highest + 1 if n_classes is None else n_classes


def _hold_only_void(labels: Sequence[Path], void: int | None) -> bool:
    """Whether masks hold 0 and void and nothing else; reading ends at the first other value."""
    seen: set[int | None] = set()
    for path in labels:
        seen.update(np.unique(read_index_mask(path)).tolist())
        if seen - {0, void}:
            return False
    return seen == {0, void}


def _check(
    place: int, item: MaskedImage, void: int | None, n_classes: int | None
) -> tuple[int, int, list[str]]:
    problems: list[str] = []
    try:
        size = read_image(item.image).shape[:2]
    except DataError as error:
        return place, 0, [str(error)]
    highest = 0
    for path in (*item.masks, *item.labels):
        is_label = path in item.labels
        try:
            values = read_index_mask(path)
        except DataError as error:
            problems.append(str(error))
            continue
        if values.shape != size:
            problems.append(
                f"{path}: {values.shape[1]}x{values.shape[0]} pixels, and {item.image} has "
                f"{size[1]}x{size[0]}; resize it to its image, by nearest neighbour"
            )
            continue
        counted = np.unique(values)
        if is_label and void is not None:
            counted = counted[counted != void]
        problem = _wrong_values(path, counted, n_classes, is_label)
        if problem:
            problems.append(problem)
        elif len(counted):
            highest = max(highest, int(counted[-1]))
    return place, highest, problems


def _wrong_values(path: Path, values: IntArray, n_classes: int | None, is_label: bool) -> str:
    bad = values[(values < 0) | (values >= (MOST_CLASSES if n_classes is None else n_classes))]
    if not len(bad):
        return ""
    shown = some_names([str(value) for value in bad])
    classes = "" if n_classes is None else f" of {n_classes}"
    if not is_label and bad[-1] == VOID and len(bad) == 1:
        remedy = (
            "a candidate mask gives a class to every pixel (of a mask of 0 and 255, save 255 as 1)"
        )
    else:
        remedy = "check --classes" + (", or give their value as --void" if is_label else "")
    return f"{path}: the values {shown} are no class{classes}; {remedy}"
