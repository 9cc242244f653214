"""From a folder and a split's list to pairs of files, with everything that is amiss."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rerank.datasets.dataset import Dataset
from rerank.datasets.file_source import FilePair
from rerank.datasets.image_files import IMAGE_SUFFIXES
from rerank.datasets.problems import Finding, file_error
from rerank.errors import InputError

#: Text files that lie beside the lists of ids and are none.
NOT_A_SPLIT = frozenset({"classes", "README", "readme", "LICENSE", "requirements"})


@dataclass(frozen=True, eq=False)
class Listing:
    """A data set and what is amiss with its lists and files, before any file is read."""

    dataset: Dataset
    findings: tuple[Finding, ...] = ()


def find_folder(
    root: os.PathLike[str] | str | None, name: str, inside: Sequence[str], below: Sequence[str] = ()
) -> Path:
    """Find the folder of a data set: `root` itself, or one below it that has the right parts.

    Parameters
    ----------
    root : path, or None where the user gave none
    name : name of the data set, the first folder below `root` that is looked into
    inside : names that must lie in the folder
    below : further folders below `root` to look into

    Returns
    -------
    Path

    Raises
    ------
    InputError
        `root` is None.
    DataError
        `root` does not exist, or neither it nor a folder below holds what is looked for.
    """
    if root is None:
        raise InputError(f"the data set '{name}' is read from files: give the folder as root")
    top = Path(root)
    if not top.is_dir():
        raise file_error(
            top,
            "the data folder does not exist",
            f"give the folder that holds {name}, or make it with `rerank data prepare {name}`",
        )
    candidates = [top, *(top / part for part in (name, *below))]
    for folder in candidates:
        if all((folder / part).exists() for part in inside):
            return folder
    wanted = " and ".join(inside)
    raise file_error(
        top,
        f"neither this folder nor {name} in it holds {wanted}",
        f"give the folder that holds {name}, or make it with `rerank data prepare {name}`",
    )


def split_names(folder: Path) -> tuple[str, ...]:
    """Return the splits that have a list `<split>.txt` in a folder, in name's order."""
    stems = (path.stem for path in folder.glob("*.txt"))
    return tuple(sorted(stem for stem in stems if stem not in NOT_A_SPLIT))


def read_split(folder: Path, split: str) -> tuple[list[str], list[Finding]]:
    """Read the lines of `<split>.txt`; `trainval` is train and val where it has no list.

    Parameters
    ----------
    folder : folder with the lists
    split : name of the split

    Returns
    -------
    lines : list of str
        Lines that are not blank, each once, in the file's order.
    findings : list of Finding
        Lines given twice, and an empty list.

    Raises
    ------
    DataError
        There is no such list, or it cannot be read as text.
    """
    path = folder / f"{split}.txt"
    parts = [folder / "train.txt", folder / "val.txt"]
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


def read_lines(paths: Iterable[Path]) -> tuple[list[str], list[Finding]]:
    """Read lists one after the other as one; see `read_split`."""
    lines: dict[str, None] = {}
    findings = []
    for path in paths:
        before = len(lines)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = str(error).split("\n")[0]
            raise file_error(
                path,
                f"the list cannot be read as text ({reason})",
                "write it as UTF-8, one image a line",
            ) from error
        for line in filter(None, (raw.strip() for raw in text.splitlines())):
            if line in lines:
                findings.append(
                    Finding(str(path), f"'{line}' is listed twice", "delete one of the lines")
                )
            lines[line] = None
        if len(lines) == before:
            findings.append(
                Finding(str(path), "the list is empty", "write the images' names in it, one a line")
            )
    return list(lines), findings


def pair_by_name(
    ids: Iterable[str], images: Path, labels: Path | None, label_suffix: str = ""
) -> tuple[dict[str, FilePair], list[Finding]]:
    """Find the image and the mask of each id by the file's name without its ending.

    Parameters
    ----------
    ids : names to look for
    images : folder of the images
    labels : folder of the masks, or None where none are wanted
    label_suffix : what a mask's name has after the image's, such as "_GT"

    Returns
    -------
    pairs : dict of id to FilePair
        Only the ids that have all that is wanted, unambiguously.
    findings : list of Finding
        Missing images and masks, and names that two files bear.
    """
    pairs: dict[str, FilePair] = {}
    findings: list[Finding] = []
    image_files = files_by_stem(images)
    label_files = {} if labels is None else files_by_stem(labels)
    for image_id in ids:
        image = _only(image_files, image_id, images, "image", findings)
        mask = None
        if labels is not None:
            mask = _only(label_files, image_id + label_suffix, labels, "mask", findings)
        if image is not None and (labels is None or mask is not None):
            pairs[image_id] = FilePair(image, mask)
    return pairs, findings


def files_by_stem(folder: Path) -> dict[str, list[str]]:
    """Return the pictures of a folder by name without ending, in name's order."""
    files: dict[str, list[str]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith("."):
            files.setdefault(path.stem, []).append(str(path))
    return files


def _only(
    files: dict[str, list[str]], stem: str, folder: Path, what: str, findings: list[Finding]
) -> str | None:
    found = files.get(stem, [])
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(Path(path).name for path in found)
        findings.append(
            Finding(str(folder / stem), f"the {what} could be any of {names}", "keep one of them")
        )
    else:
        findings.append(
            Finding(
                str(folder / stem),
                f"the {what} is missing ({', '.join(IMAGE_SUFFIXES)})",
                "put it there or take its id off the list",
            )
        )
    return None
