"""Lists of splits, and the pairs of image file and mask file that they name."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rerank.datasets.dataset import Dataset
from rerank.datasets.file_names import (
    IMAGE_SUFFIXES,
    files_in,
    lines_of,
    name_of,
    text_file,
    without_suffix,
)
from rerank.datasets.file_source import FilePair
from rerank.datasets.problems import FileProblem, file_error, missing_file, unreadable_error
from rerank.errors import InputError

#: What the data set of a user's own folder is called.
OWN_FOLDER = "folder"
#: Text files beside the lists of splits that are no such list, in lower case.
NOT_A_SPLIT = frozenset(
    {"classes", "labels", "labelmap", "label_map", "readme", "license", "licence", "copying"}
    | {"notes", "notice", "changelog", "requirements", "citation"}
)


@dataclass(frozen=True, eq=False)
class Listing:
    """A split's data set and the problems of its lists and file names; no image is read yet."""

    dataset: Dataset
    problems: tuple[FileProblem, ...] = ()


def find_folder(
    root: os.PathLike[str] | str | None, name: str, inside: Sequence[str], below: Sequence[str] = ()
) -> Path:
    """Find the folder of a data set: `root` itself, or one below it that has the right contents.

    Parameters
    ----------
    root : path or None
        None where the user gave none.
    name : str
        Name of the data set. A folder of this name below `root` is searched too.
    inside : sequence of str
        Files and folders that must lie in the folder.
    below : sequence of str
        Further folders below `root` to search.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        `root` is None.
    DataError
        `root` does not exist, or neither it nor a folder below has the right contents.
    """
    if root is None:
        raise InputError(f"the data set '{name}' is read from files: give the folder as root")
    top = Path(root)
    wanted = " and ".join(inside)
    remedy = f"give the folder that holds {name}, or make it with `rerank data prepare {name}`"
    problem = f"neither this folder nor '{name}' in it holds {wanted}"
    if name == OWN_FOLDER:
        remedy = f"give the folder that holds {wanted}"
    candidates = [top, *(top / part for part in (name, *below))]
    try:
        if not top.is_dir():
            raise file_error(top, "the data folder does not exist", remedy)
        for folder in candidates:
            if all((folder / part).exists() for part in inside):
                return folder
        if name == OWN_FOLDER:
            absent = [part for part in inside if not (top / part).exists()]
            problem = f"this folder does not hold {' and '.join(absent)}"
            if inside[0] not in absent:
                remedy = (
                    "put a mask for each image there, ID.png, or name the masks' folder with "
                    "--set dataset.options.labels=DIR (`rerank propose` needs no masks)"
                )
    except OSError as error:
        raise unreadable_error(top, "data folder", error, remedy) from error
    raise file_error(top, problem, remedy)


def split_names(folder: Path) -> tuple[str, ...]:
    """Return the splits that have a list `<split>.txt` in a folder, sorted by name."""
    stems = {name_of(path) for path in files_in(folder, (".txt",))}
    return tuple(sorted(stem for stem in stems if stem.lower() not in NOT_A_SPLIT))


def read_split(folder: Path, split: str) -> tuple[list[str], list[FileProblem]]:
    """Read the lines of `<split>.txt`; `trainval` is train and val where it has no list.

    Parameters
    ----------
    folder : Path
        The folder with the lists.
    split : str
        Name of the split.

    Returns
    -------
    lines : list of str
        Lines that are not blank, each once, in the file's order.
    problems : list of FileProblem
        Lines that occur twice, and lists without a line.

    Raises
    ------
    DataError
        There is no such list, or it cannot be read as text.
    """
    path = text_file(folder, split)
    parts = [text_file(folder, "train"), text_file(folder, "val")]
    if not path.exists() and split == "trainval" and all(part.exists() for part in parts):
        return read_lines(parts)
    if not path.is_file():
        found = ", ".join(split_names(folder)) or "none"
        raise file_error(
            path,
            f"there is no list of the split '{split}' (lists there: {found})",
            "choose one of those or write the list, one image a line",
        )
    return read_lines([path])


def split_ids(folder: Path, split: str, images: Path) -> tuple[list[str], list[FileProblem]]:
    """The images that `<split>.txt` lists: `read_split` and `ids_of_lines`.

    Parameters
    ----------
    folder : Path
        The folder with the lists.
    split : str
    images : Path
        The folder of the images.

    Returns
    -------
    ids : list of str
    problems : list of FileProblem

    Raises
    ------
    DataError
        As `read_split`.
    """
    lines, problems = read_split(folder, split)
    ids, twice = ids_of_lines(text_file(folder, split), lines, files_by_stem(images))
    return ids, problems + twice


def read_lines(paths: Iterable[Path]) -> tuple[list[str], list[FileProblem]]:
    """Read several lists as if they were one; see `read_split`."""
    lines: dict[str, None] = {}
    problems = []
    for path in paths:
        found = lines_of(path)
        for line in found:
            if line in lines:
                problems.append(
                    FileProblem(str(path), f"'{line}' is listed twice", "delete one of the lines")
                )
            lines[line] = None
        if not found:
            problems.append(
                FileProblem(
                    str(path), "the list is empty", "write the images' names in it, one a line"
                )
            )
    return list(lines), problems


def ids_of_lines(
    where: Path, lines: Iterable[str], known: Collection[str]
) -> tuple[list[str], list[FileProblem]]:
    """The images that the lines of a list mean, whether or not they name files' endings.

    Parameters
    ----------
    where : Path
        The list, for messages.
    lines : iterable of str
    known : collection of str
        Names of the files that are there, without endings.

    Returns
    -------
    ids : list of str
        Each once, in the lines' order.
    problems : list of FileProblem
        Images that are listed twice, such as `a` and `a.png`, and lines that mean two images.
    """
    ids: dict[str, str] = {}
    problems = []
    for line in lines:
        image_id, plain = without_suffix(line, known), without_suffix(line)
        if plain != image_id and plain in known:
            problems.append(
                FileProblem(
                    str(where),
                    f"'{line}' is the name of two images, with and without its ending",
                    f"rename one of '{plain}' and '{line}'",
                )
            )
        elif image_id in ids:
            problems.append(
                FileProblem(
                    str(where),
                    f"'{image_id}' is listed twice, as '{ids[image_id]}' and as '{line}'",
                    "delete one of the lines",
                )
            )
        ids.setdefault(image_id, line)
    return list(ids), problems


def pair_by_name(
    ids: Iterable[str], images: Path, labels: Path | None, label_suffix: str = ""
) -> tuple[dict[str, FilePair], list[FileProblem]]:
    """Find the image and the mask of each id by file name, whatever the ending.

    Parameters
    ----------
    ids : iterable of str
        File names of images without endings.
    images : Path
        Folder of the images.
    labels : Path or None
        Folder of the masks, or None where none are wanted.
    label_suffix : str
        What follows the image's name in the mask's name, such as "_GT".

    Returns
    -------
    pairs : dict of str to FilePair
        Only the ids with exactly one image and, where wanted, one mask.
    problems : list of FileProblem
        Missing images and masks, and names that more than one file has.
    """
    pairs: dict[str, FilePair] = {}
    problems: list[FileProblem] = []
    image_files = files_by_stem(images)
    label_files = {} if labels is None else files_by_stem(labels)
    for image_id in ids:
        image = _only(image_files, image_id, images, "image", problems)
        mask = None
        if labels is not None:
            mask = _only(label_files, image_id + label_suffix, labels, "mask", problems)
        if image is not None and (labels is None or mask is not None):
            pairs[image_id] = FilePair(image, mask)
    return pairs, problems


def files_by_stem(folder: Path) -> dict[str, list[str]]:
    """Return the paths of a folder's images by file name without ending, sorted."""
    files: dict[str, list[str]] = {}
    for path in files_in(folder, IMAGE_SUFFIXES):
        files.setdefault(name_of(path), []).append(str(path))
    return files


def _only(
    files: dict[str, list[str]], stem: str, folder: Path, what: str, problems: list[FileProblem]
) -> str | None:
    found = files.get(stem, [])
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(Path(path).name for path in found)
        problems.append(
            FileProblem(
                str(folder / stem), f"the {what} could be any of {names}", "keep one of them"
            )
        )
    else:
        problems.append(missing_file(folder / stem, what, f" ({', '.join(IMAGE_SUFFIXES)})"))
    return None
