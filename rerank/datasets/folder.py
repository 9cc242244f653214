"""Any folder of images and masks that go together by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from rerank.datasets.dataset import Dataset
from rerank.datasets.file_pairs import (
    Listing,
    files_by_stem,
    find_folder,
    pair_by_name,
    read_lines,
    read_split,
    split_names,
)
from rerank.datasets.file_source import FileSource
from rerank.datasets.image_files import IMAGE_SUFFIXES, PathLike, read_index_mask
from rerank.datasets.problems import Finding, file_error, finding_of
from rerank.errors import DataError, InputError
from rerank.types import VOID


def list_folder(
    root: PathLike | None,
    split: str,
    *,
    images: str = "images",
    labels: str | None = "labels",
    label_suffix: str = "",
    n_classes: int | None = None,
    class_names: Sequence[str] | None = None,
    ignore_index: int | None = VOID,
    background: int | None = None,
    ordered: bool = False,
) -> Listing:
    """List a split of a user's own folder.

    `<split>.txt` in the folder names the images of a split, without their endings, one a line.
    The split "all" is every image. Where the folder has no list at all, "train" is also every
    image, and no other split exists.

    Parameters
    ----------
    root : folder
    split : name of a list, "all", or "train" where there is no list
    images : subfolder of the images; "." for the folder itself
    labels : subfolder of the masks, or None where there are none (for prediction)
    label_suffix : what a mask's name has after its image's, such as "_GT"
    n_classes : int in 1..255, optional
        Without it and `class_names`, the lines of `classes.txt` are the classes; without that
        too, all masks of the folder are read, and their highest label is the last class.
    class_names : sequence of str, optional
        One name a class.
    ignore_index : int in 0..255 or None
        The value in the masks that means void. It becomes 255; None means that there is none.
    background : int, optional
        The class that is what is left over.
    ordered : bool
        Whether neighbours in the list are alike, as in video.

    Returns
    -------
    Listing

    Raises
    ------
    InputError
        An option is out of range, or two of them disagree.
    DataError
        The folder, its subfolders or the split's list are missing, or there is no image.
    """
    folder = find_folder(root, "folder", [images] if labels is None else [images, labels])
    image_folder = folder / images
    label_folder = None if labels is None else folder / labels
    if ignore_index is not None and not 0 <= ignore_index <= 255:
        raise InputError(f"ignore_index must be in 0..255 or None, got {ignore_index}")
    known = _classes(folder, n_classes, class_names)
    every = [
        stem
        for stem in files_by_stem(image_folder)
        if not (image_folder == label_folder and label_suffix and stem.endswith(label_suffix))
    ]
    if not every:
        raise file_error(
            image_folder,
            f"the folder holds no image ({', '.join(IMAGE_SUFFIXES)})",
            "put images there or name another subfolder with the option images",
        )
    findings: list[Finding] = []
    if split == "all" or (split == "train" and not split_names(folder)):
        ids = every
    else:
        lines, amiss = read_split(folder, split)
        ids, findings = [_stem(line) for line in lines], list(amiss)
    pairs, missing = pair_by_name(ids, image_folder, label_folder, label_suffix)
    findings.extend(missing)
    if known is None:
        stems = (stem + label_suffix for stem in every)
        known = _classes_of_masks(label_folder, stems, ignore_index, findings)
    if background is not None and not 0 <= background < len(known):
        raise InputError(f"background must be one of {len(known)} classes, got {background}")
    source = FileSource(
        pairs, n_classes=len(known), void_value=ignore_index, labelled=label_folder is not None
    )
    dataset = Dataset(
        name="folder",
        split=split,
        ids=tuple(pairs),
        class_names=known,
        source=source,
        background=background,
        ordered=ordered,
    )
    return Listing(dataset, tuple(findings))


def folder_splits(
    root: PathLike | None,
    *,
    images: str = "images",
    labels: str | None = "labels",
    **_options: object,
) -> tuple[str, ...]:
    """Return the splits that have a list, or "all" where none has."""
    parts = [images] if labels is None else [images, labels]
    return split_names(find_folder(root, "folder", parts)) or ("all",)


def _classes(
    folder: Path, n_classes: int | None, class_names: Sequence[str] | None
) -> tuple[str, ...] | None:
    """Take the classes from what the user says or from `classes.txt`; None where neither is."""
    names = None if class_names is None else tuple(class_names)
    listed = folder / "classes.txt"
    if names is None and listed.is_file():
        lines, amiss = read_lines([listed])
        if amiss:
            raise file_error(amiss[0].path, amiss[0].problem, amiss[0].remedy)
        names = tuple(lines)
    if n_classes is None:
        return names
    if not 1 <= n_classes <= 255:
        raise InputError(f"n_classes must be in 1..255, got {n_classes}")
    if names is not None and len(names) != n_classes:
        raise InputError(f"n_classes is {n_classes}, and there are {len(names)} class names")
    return names or tuple(f"class_{index}" for index in range(n_classes))


def _classes_of_masks(
    labels: Path | None, stems: Iterable[str], ignore_index: int | None, findings: list[Finding]
) -> tuple[str, ...]:
    """Count classes by the highest label in the masks of all images; none without masks."""
    if labels is None:
        return ()
    files = files_by_stem(labels)
    highest = -1
    for path in (path for stem in stems for path in files.get(stem, [])[:1]):
        try:
            values = np.unique(read_index_mask(path))
        except DataError as error:
            findings.append(finding_of(error))
            continue
        values = values[values != ignore_index] if ignore_index is not None else values
        highest = max([highest, *values.tolist()])
    if not 0 <= highest <= 254:
        findings.append(
            Finding(
                str(labels),
                f"the masks' highest label is {highest}, so the classes can't be counted",
                "write their names in classes.txt, one a line, or give n_classes",
            )
        )
    return tuple(f"class_{index}" for index in range(min(highest, 254) + 1))


def _stem(line: str) -> str:
    """Strip a known ending, which lists of other programs may carry."""
    path = Path(line)
    return path.stem if path.suffix.lower() in IMAGE_SUFFIXES else line
