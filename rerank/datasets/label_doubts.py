"""What the labels of a whole data set, and the turns of its pictures, give reason to doubt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rerank.datasets.dataset import Dataset
from rerank.datasets.file_source import FileSource
from rerank.datasets.image_files import image_orientation
from rerank.datasets.problems import FileProblem, some_names

#: What to do about masks whose foreground is 255.
_BINARY_REMEDY = "if 255 is the foreground, save the masks with 1 in its place"
_ON_ITS_SIDE = (5, 6, 7, 8)


def doubts_of_labels(dataset: Dataset, found: Iterable[int]) -> list[FileProblem]:
    """Classes of a user's folder that no mask holds.

    Parameters
    ----------
    dataset : Dataset
    found : iterable of int
        The labels in all of its masks, 255 for void.

    Returns
    -------
    list of FileProblem
        One at most. Masks of 0 and void alone are an error: 255 may be their foreground.
    """
    seen = set(found)
    if not isinstance(dataset.source, FileSource) or not dataset.labelled or not seen:
        return []
    where = next((p.labels for p in dataset.source.pairs.values() if p.labels), dataset.name)
    if dataset.n_classes > 1 and seen == {0, dataset.ignore_index}:
        return [FileProblem(f"{where} and all others", *only_void(dataset.source.void_value))]
    missing = [k for k in range(dataset.n_classes) if k not in seen]
    if not missing or len(missing) == dataset.n_classes:
        return []
    return [
        FileProblem(
            f"{where} and all others",
            f"{len(missing)} of {dataset.n_classes} classes occur in no mask: "
            + some_names([f"{dataset.class_names[k]} ({k})" for k in missing]),
            "see that the masks' values are the numbers of the classes, in the order of their "
            "names and from 0",
            doubtful=True,
        )
    ]


def only_void(void: int | None) -> tuple[str, str]:
    """What is wrong with masks that hold 0 and void alone, and what to do about it."""
    return f"the masks hold nothing but 0 and {void}, which is void", _BINARY_REMEDY


def doubts_of_turns(dataset: Dataset, image_id: str) -> list[FileProblem]:
    """An image that its EXIF data turn in another way than its mask, where sizes cannot tell.

    Parameters
    ----------
    dataset : Dataset
    image_id : str
        Of an image that can be read and has its mask's size.

    Returns
    -------
    list of FileProblem
    """
    source = dataset.source
    if not isinstance(source, FileSource) or source.image_takes_mask_size:
        return []
    pair = source.pairs[image_id]
    if pair.labels is None or pair.labels.lower().endswith(".mat"):
        return []
    turns = image_orientation(pair.image), image_orientation(pair.labels)
    if turns[0] == turns[1]:
        return []
    height, width = source.image_size(image_id)
    one_is_upright = 1 in turns and (turns[0] in _ON_ITS_SIDE) != (turns[1] in _ON_ITS_SIDE)
    if one_is_upright and height != width:
        return []
    return [
        FileProblem(
            pair.labels,
            f"its EXIF data turn the image {pair.image} (orientation {turns[0]}) in another way "
            f"than this mask (orientation {turns[1]}), and the sizes do not tell which is right",
            "see that the mask fits the image as it is shown, and save both without orientation",
            doubtful=True,
        )
    ]


def certain(problems: Sequence[FileProblem]) -> list[FileProblem]:
    """The problems that are no mere doubts."""
    return [problem for problem in problems if not problem.doubtful]
