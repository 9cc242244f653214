"""Any folder of images and masks that belong together by file name."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rerank.datasets.dataset import Dataset
from rerank.datasets.file_names import IMAGE_SUFFIXES, lines_of, text_file, without_suffix
from rerank.datasets.file_pairs import (
    Listing,
    files_by_stem,
    find_folder,
    ids_of_lines,
    pair_by_name,
    read_lines,
    read_split,
    split_names,
)
from rerank.datasets.file_source import FileSource
from rerank.datasets.image_files import PathLike, read_index_mask
from rerank.datasets.label_doubts import only_void
from rerank.datasets.problems import FileProblem, file_error, problem_of
from rerank.errors import DataError, InputError
from rerank.types import VOID

#: What to do about a missing file where all files of the folder are taken.
_WITHOUT_LIST = "put it there, or take the other file of its name away"
#: Lists that are taken for lists whatever they hold.
_USUAL_SPLITS = ("train", "val", "test", "trainval")
#: Lines of another text that are looked at.
_MOST_LINES = 100_000


@dataclass(frozen=True)
class FolderOptions:
    """What the images and masks of a folder are called and what the labels mean.

    Attributes
    ----------
    images : str
        Subfolder of the images; "." for the folder itself.
    labels : str or None
        Subfolder of the masks. None where there are no masks, as for prediction.
    label_suffix : str
        What follows the image's name in the mask's name, such as "_GT".
    n_classes : int in 1..255 or None
        None takes the number of `class_names`. Without these, the lines of `classes.txt` are the
        classes. Without that file, all masks of the folder are read, and the highest label in
        them is the last class.
    class_names : sequence of str or None
        One name per class.
    ignore_index : int in 0..255 or None
        The value in the masks that means void; it is read as 255. None where there is no void.
    background : int or None
        The class of what belongs to no other class.
    ordered : bool
        Whether neighbours in the list are alike, as in video.

    Raises
    ------
    InputError
        If `ignore_index` or `n_classes` is out of range.
    """

    images: str = "images"
    labels: str | None = "labels"
    label_suffix: str = ""
    n_classes: int | None = None
    class_names: Sequence[str] | None = None
    ignore_index: int | None = VOID
    background: int | None = None
    ordered: bool = False

    def __post_init__(self) -> None:
        if self.ignore_index is not None and not 0 <= self.ignore_index <= 255:
            raise InputError(f"ignore_index must be in 0..255 or None, got {self.ignore_index}")
        if self.n_classes is not None and not 1 <= self.n_classes <= 255:
            raise InputError(f"n_classes must be in 1..255, got {self.n_classes}")

    def find(self, root: PathLike | None) -> Path:
        """Return the folder at or below `root` that has the subfolders of images and masks."""
        parts = [self.images] if self.labels is None else [self.images, self.labels]
        return find_folder(root, "folder", parts)


def list_folder(root: PathLike | None, split: str, options: FolderOptions) -> Listing:
    """List a split of a user's own folder.

    `<split>.txt` in the folder names the images of a split, without their endings, one per line.
    The split "all" is every image. Where the folder has no list at all, "train" is also every
    image, and no other split exists.

    Parameters
    ----------
    root : path
        The folder.
    split : str
        Name of a list, "all", or "train" where there is no list.
    options : FolderOptions

    Returns
    -------
    Listing

    Raises
    ------
    InputError
        Two options disagree, or `background` is no class.
    DataError
        The folder, its subfolders or the split's list are missing, or there is no image.
    """
    folder = options.find(root)
    image_folder = folder / options.images
    label_folder = None if options.labels is None else folder / options.labels
    suffix = options.label_suffix
    known = _classes(folder, options)
    every = [
        stem
        for stem in files_by_stem(image_folder)
        if not (image_folder == label_folder and suffix and stem.endswith(suffix))
    ]
    if not every:
        raise file_error(
            image_folder,
            f"the folder holds no image ({', '.join(IMAGE_SUFFIXES)})",
            "put images there or name another subfolder with the option images",
        )
    problems: list[FileProblem] = []
    if split == "all" or (split == "train" and not _lists(folder, every)):
        ids = every
    else:
        lines, problems = read_split(folder, split)
        ids, twice = ids_of_lines(text_file(folder, split), lines, every)
        problems.extend(twice)
    pairs, missing = pair_by_name(ids, image_folder, label_folder, suffix)
    if ids is every:
        missing = [
            replace(found, remedy=_WITHOUT_LIST) if "missing" in found.problem else found
            for found in missing
        ]
    elif len(ids) > 1 and not set(ids) & set(every):
        missing = [_no_list(folder, split, ids)]
    problems.extend(missing)
    if known is None:
        stems = (stem + suffix for stem in every)
        known = _classes_of_masks(label_folder, stems, options.ignore_index, problems)
    background = options.background
    if background is not None and not 0 <= background < len(known):
        raise InputError(f"background must be one of {len(known)} classes, got {background}")
    source = FileSource(
        pairs,
        n_classes=len(known),
        void_value=options.ignore_index,
        labelled=label_folder is not None,
    )
    dataset = Dataset(
        name="folder",
        split=split,
        ids=tuple(pairs),
        class_names=known,
        source=source,
        background=background,
        ordered=options.ordered,
    )
    return Listing(dataset, tuple(problems))


def folder_splits(root: PathLike | None, options: FolderOptions) -> tuple[str, ...]:
    """Return the splits that have a list, or "all" where none has.

    Parameters
    ----------
    root : path or None
        The data folder.
    options : FolderOptions

    Returns
    -------
    tuple of str
    """
    folder = options.find(root)
    return _lists(folder, files_by_stem(folder / options.images)) or ("all",)


def _lists(folder: Path, stems: Collection[str]) -> tuple[str, ...]:
    """The texts of a folder that list images; any other text that lies there is none of them."""
    return tuple(
        name
        for name in split_names(folder)
        if name in _USUAL_SPLITS or _names_an_image(text_file(folder, name), stems)
    )


def _names_an_image(path: Path, stems: Collection[str]) -> bool:
    try:
        return any(
            line in stems or without_suffix(line) in stems for line in lines_of(path)[:_MOST_LINES]
        )
    except DataError:
        return False


def _no_list(folder: Path, split: str, ids: Sequence[str]) -> FileProblem:
    return FileProblem(
        str(text_file(folder, split)),
        f"none of the {len(ids)} lines names an image of the folder, such as '{ids[0][:60]}'",
        "write the images' names there, or move the file away if it is no list",
    )


def _classes(folder: Path, options: FolderOptions) -> tuple[str, ...] | None:
    """Take the classes from the options or from `classes.txt`; None where neither has them."""
    n_classes = options.n_classes
    names = None if options.class_names is None else tuple(options.class_names)
    listed = text_file(folder, "classes")
    if names is None and listed.is_file():
        lines, problems = read_lines([listed])
        if problems:
            raise DataError(problems[0])
        names = tuple(lines)
    if n_classes is None:
        return names
    if names is not None and len(names) != n_classes:
        raise InputError(f"n_classes is {n_classes}, and there are {len(names)} class names")
    return names or tuple(f"class_{index}" for index in range(n_classes))


def _classes_of_masks(
    labels: Path | None, stems: Iterable[str], ignore_index: int | None, problems: list[FileProblem]
) -> tuple[str, ...]:
    """Count the classes by the highest label in the masks of all images; none without masks."""
    if labels is None:
        return ()
    files = files_by_stem(labels)
    highest, void = -1, False
    for path in (path for stem in stems for path in files.get(stem, [])[:1]):
        try:
            values = np.unique(read_index_mask(path))
        except DataError as error:
            problems.append(problem_of(error))
            continue
        if ignore_index is not None:
            void = void or bool((values == ignore_index).any())
            values = values[values != ignore_index]
        highest = max([highest, *values.tolist()])
    if highest == 0 and void:
        problem, remedy = only_void(ignore_index)
        remedy += "; if they are right, name the classes in classes.txt, or give n_classes"
        problems.append(FileProblem(str(labels), problem, remedy))
    elif not 0 <= highest <= 254:
        problems.append(
            FileProblem(
                str(labels),
                f"the masks' highest label is {highest}, so the classes can't be counted",
                "write their names in classes.txt, one a line, or give n_classes"
                + ("; if 255 is the foreground, save 1 in its place" if highest == 255 else ""),
            )
        )
    return tuple(f"class_{index}" for index in range(max(0, min(highest, 254)) + 1))
