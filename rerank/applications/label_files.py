"""Label files of images, found by name and checked before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rerank.datasets import read_index_mask
from rerank.datasets.file_names import name_of
from rerank.datasets.image_files import image_size
from rerank.datasets.label_doubts import only_void
from rerank.datasets.mask_folders import MaskFolder, list_masks, match_endings, read_class_names
from rerank.datasets.problems import file_error, problems_error, some_names
from rerank.errors import DataError
from rerank.types import Array


def find_labels(
    folder: Path, images: Sequence[Path], n_classes: int, void: int | None
) -> dict[Path, Path]:
    """The label of each image, all of them read and checked.

    Parameters
    ----------
    folder : Path
        Of masks whose pixel values are the classes, by the images' names, which one ending may
        follow. There may be more masks than images.
    images : sequence of Path
    n_classes : int
    void : int or None
        The label of pixels that are not counted.

    Returns
    -------
    dict of Path to Path

    Raises
    ------
    DataError
        If the folder is missing or holds no masks.
    ManyProblemsError
        If masks are missing or do not fit their images: a line for each, of twenty at most.
    """
    pictures = MaskFolder(images[0].parent, "", {name_of(path): path for path in images})
    masks, _ = match_endings(list_masks(folder, "labels"), pictures)
    names = {path: name_of(path) for path in images}
    found = {path: masks.paths[name] for path, name in names.items() if name in masks.paths}
    if not found:
        own = next(iter(masks.paths.values())).name
        raise file_error(
            folder,
            f"no mask is called like an image: expected such as {images[0].stem}.png, found such "
            f"as {own}",
            "rename them, or give the folder that belongs to the images",
        )
    problems = [
        f"{path}: no label; expected {folder / masks.called(names[path])}"
        for path in images
        if path not in found
    ]
    seen: set[int] = set()
    for image, label in found.items():
        try:
            values = read_index_mask(label)
            problem = _unfit(label, values, image, n_classes, void)
            seen.update(np.unique(values).tolist())
        except DataError as error:
            problem = str(error)
        if problem:
            problems.append(problem)
    if not problems and n_classes > 1 and seen == {0, void}:
        raise file_error(folder, *only_void(void))
    if problems:
        raise problems_error(problems)
    return found


def class_names_of(labels: Path | None, n_classes: int) -> tuple[str, ...]:
    """Names in `classes.txt` in or beside a folder of labels; numbers where there is none.

    Parameters
    ----------
    labels : Path or None
    n_classes : int
        Of the maps.

    Returns
    -------
    tuple of str

    Raises
    ------
    DataError
        If the file names another number of classes.
    """
    names = None if labels is None else read_class_names(labels, None)
    if names is None:
        return tuple(str(k) for k in range(n_classes))
    if len(names) != n_classes:
        raise DataError(
            f"{labels}: classes.txt names {len(names)} classes, and the maps have {n_classes}; "
            "give the file one line a class"
        )
    return tuple(names)


def _unfit(label: Path, values: Array, image: Path, n_classes: int, void: int | None) -> str:
    """Why a label cannot be used, or nothing."""
    height, width = image_size(image)
    if values.shape != (height, width):
        return (
            f"{label}: {values.shape[1]}x{values.shape[0]} pixels, and {image} has "
            f"{width}x{height}; give masks of the images' size"
        )
    wrong = (values < 0) | (values >= n_classes)
    if void is not None:
        wrong &= values != void
    if not wrong.any():
        return ""
    bad = some_names([str(value) for value in sorted(set(values[wrong].tolist()))])
    return (
        f"{label}: the values {bad} are no class of the maps' {n_classes}; give the label that is "
        "not counted as --void"
    )
