"""Folders of masks, matched by name with other folders, whatever follows the name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from rerank.datasets.file_names import files_in, folders_in, name_of, text_file, without_suffix
from rerank.datasets.file_pairs import read_lines
from rerank.datasets.problems import file_error, some_names
from rerank.errors import DataError

#: Endings of files that are taken for masks: formats that keep every value.
MASK_SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".gif")
#: Masks are 8-bit files, and one value is left for void.
MOST_CLASSES = 255
#: What `rerank propose`, `predict` and others write behind an image's name.
SEGMENTATION = "_segmentation"


@dataclass(frozen=True)
class MaskFolder:
    """The masks of a folder.

    Attributes
    ----------
    folder : Path
    ending : str
        What follows an image's name in the names of its masks, such as "_segmentation".
    paths : dict of str to Path
        By the image's name, sorted.
    """

    folder: Path
    ending: str
    paths: dict[str, Path]

    def called(self, image_id: str) -> str:
        """What the mask of an image would be called, for messages."""
        return f"{image_id}{self.ending}.png"

    def without(self, ending: str) -> MaskFolder:
        """The same masks by the part of their names before an ending; others are left out.

        Parameters
        ----------
        ending : str
            Follows the names; it is added to the folder's own ending.

        Returns
        -------
        MaskFolder
        """
        cut = len(ending)
        kept = {
            name[: len(name) - cut]: path
            for name, path in self.paths.items()
            if name.endswith(ending) and len(name) > cut
        }
        return MaskFolder(self.folder, ending + self.ending, dict(sorted(kept.items())))


def list_masks(folder: Path, what: str) -> MaskFolder:
    """List the masks of a folder; where some are called `ID_segmentation`, only these.

    Parameters
    ----------
    folder : Path
    what : str
        What the masks are, for messages.

    Returns
    -------
    MaskFolder

    Raises
    ------
    DataError
        If the folder is missing or holds no masks, or two masks have one name.
    """
    if not folder.is_dir():
        raise file_error(folder, "no such folder", f"give the folder of the {what}")
    found: dict[str, Path] = {}
    for path in files_in(folder, MASK_SUFFIXES):
        other = found.setdefault(name_of(path), path)
        if other != path:
            raise file_error(path, f"{other.name} has the same name", "keep one of them")
    if not found:
        below = next((path.name for path in folders_in(folder)), None)
        there = "" if below is None else f"; it holds folders such as {below}"
        raise file_error(
            folder,
            f"the folder holds no masks ({', '.join(MASK_SUFFIXES)}){there}",
            f"give the folder of the {what}, one ID.png an image",
        )
    masks = MaskFolder(folder, "", found)
    segmentations = masks.without(SEGMENTATION)
    return segmentations if segmentations.paths else masks


def match_endings(labels: MaskFolder, predictions: MaskFolder) -> tuple[MaskFolder, MaskFolder]:
    """Find what follows the common name in one of two folders, such as "_GT" in the labels'.

    The ending that makes most names equal is taken, and none where the names are equal as they
    are. An ending is found on one side alone.

    Parameters
    ----------
    labels, predictions : MaskFolder

    Returns
    -------
    labels, predictions : MaskFolder
        One of them with an ending, or both as they were.
    """
    own, other = set(labels.paths), set(predictions.paths)
    exact = len(own & other)
    in_labels, in_predictions = _endings(own, other), _endings(other, own)
    best_label, n_label = _most(in_labels)
    best_prediction, n_prediction = _most(in_predictions)
    if exact >= max(n_label, n_prediction):
        return labels, predictions
    if n_label > n_prediction:
        return labels.without(best_label), predictions
    return labels, predictions.without(best_prediction)


def read_ids(path: Path, known: Collection[str] = ()) -> list[str]:
    """Read a list of images' names, one a line; endings such as .jpg are dropped.

    Parameters
    ----------
    path : Path
    known : collection of str
        Names of the files that are there: a line that is one of them is kept as it is.

    Returns
    -------
    list of str

    Raises
    ------
    DataError
        If the file is missing or no text, is empty, or names an image twice.
    """
    lines, problems = read_lines([path])
    if problems:
        raise DataError(problems[0])
    ids = [without_suffix(line, known) for line in lines]
    twice = [name for name, count in Counter(ids).items() if count > 1]
    if twice:
        raise file_error(path, f"{some_names(twice)} stands twice", "delete one of the lines")
    return ids


def read_class_names(folder: Path, given: str | None) -> list[str] | None:
    """Names of the classes, from a number, a file, or the `classes.txt` of a folder of labels.

    Parameters
    ----------
    folder : Path
        `classes.txt` in it or beside it is read where nothing is given.
    given : str or None
        Number of classes, whose names are then numbers, or a file of names, one a line.

    Returns
    -------
    list of str, or None
        None where nothing says what the classes are.

    Raises
    ------
    DataError
        If the number is not in 1..255, or the file cannot be read or is empty.
    """
    if given is not None and given.isdecimal():
        count = int(given)
        if not 1 <= count <= MOST_CLASSES:
            raise DataError(f"--classes {given}: expected 1 to {MOST_CLASSES} classes")
        return [str(k) for k in range(count)]
    if given is not None:
        listed = Path(given)
    else:
        listed = text_file(folder, "classes")
        if not listed.is_file():
            listed = text_file(folder.parent, "classes")
            if not listed.is_file():
                return None
    lines, problems = read_lines([listed])
    if problems:
        raise DataError(problems[0])
    if len(lines) > MOST_CLASSES:
        raise file_error(listed, f"{len(lines)} classes", f"name at most {MOST_CLASSES}")
    return lines


def difference(wanted: Sequence[str], there: Collection[str]) -> list[str]:
    """The names of a list that a collection lacks, in the list's order.

    Parameters
    ----------
    wanted : sequence of str
    there : collection of str

    Returns
    -------
    list of str
    """
    held = set(there)
    return [name for name in wanted if name not in held]


def _endings(longer: set[str], shorter: set[str]) -> Counter[str]:
    """How many names of one set are a name of the other and a certain ending."""
    return Counter(name[k:] for name in longer for k in range(1, len(name)) if name[:k] in shorter)


def _most(endings: Counter[str]) -> tuple[str, int]:
    return max(endings.items(), key=lambda item: (item[1], item[0]), default=("", 0))
