"""CamVid (Brostow et al. 2009) with 11 classes at 480x360, as prepared for SegNet.

Layout: `<split>/<id>.png`, `<split>annot/<id>.png` (labels 0..10, void 11) and `<split>.txt`, whose
lines name both files. The images are frames of a few recordings, in the order of the list; their
names, SEQUENCE_FRAME, count frames at 30 a second.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from rerank.datasets.dataset import Dataset, Moment
from rerank.datasets.file_names import name_of, text_file
from rerank.datasets.file_pairs import Listing, find_folder, read_split, split_names
from rerank.datasets.file_source import FilePair, FileSource
from rerank.datasets.image_files import PathLike
from rerank.datasets.palettes import palette_of
from rerank.datasets.problems import FileProblem

#: Classes in the order of their labels, with the colours of the SegNet authors.
COLOURS = {
    "sky": (128, 128, 128),
    "building": (128, 0, 0),
    "pole": (192, 192, 128),
    "road": (128, 64, 128),
    "pavement": (60, 40, 222),
    "tree": (128, 128, 0),
    "sign symbol": (192, 128, 128),
    "fence": (64, 64, 128),
    "car": (64, 0, 128),
    "pedestrian": (64, 64, 0),
    "bicyclist": (0, 128, 192),
}

#: The label of void in the files.
VOID_IN_FILES = 11

PARTS = ("train", "trainannot")

FRAMES_PER_SECOND = 30


def list_camvid(root: PathLike | None, split: str) -> Listing:
    """List a split of CamVid; see `rerank.datasets.open_dataset`.

    Parameters
    ----------
    root : path or None
        The folder of the data set, or the one that holds it.
    split : str

    Returns
    -------
    Listing

    Raises
    ------
    InputError
        `root` is None.
    DataError
        The data set or the split's list is not there.
    """
    folder = find_folder(root, "camvid", PARTS)
    lines, problems = read_split(folder, split)
    pairs: dict[str, FilePair] = {}
    for line in lines:
        parts = line.split()
        if len(parts) != 2:
            problems.append(
                FileProblem(
                    str(text_file(folder, split)),
                    f"the line '{line}' does not name two files",
                    "write the image's and the mask's path in each line",
                )
            )
            continue
        if any(".." in _parts(part)[-2:] for part in parts):
            problems.append(
                FileProblem(
                    str(text_file(folder, split)),
                    f"the line '{line}' names a file outside of the folder",
                    "write paths such as train/ID.png",
                )
            )
            continue
        image, mask = (folder.joinpath(*_parts(part)[-2:]) for part in parts)
        image_id = name_of(image)
        present = True
        for path, what in ((image, "image"), (mask, "mask")):
            if not path.is_file():
                present = False
                problems.append(
                    FileProblem(
                        str(path), f"the {what} is missing", "put it there or delete its line"
                    )
                )
        if image_id in pairs:
            problems.append(
                FileProblem(
                    str(text_file(folder, split)),
                    f"'{image_id}' is listed twice",
                    "delete one of the lines",
                )
            )
        elif present:
            pairs[image_id] = FilePair(str(image), str(mask))
    dataset = Dataset(
        name="camvid",
        split=split,
        ids=tuple(pairs),
        class_names=tuple(COLOURS),
        source=FileSource(pairs, n_classes=len(COLOURS), void_value=VOID_IN_FILES),
        ordered=True,
        moments={image_id: at for image_id in pairs if (at := _moment(image_id)) is not None},
        palette=palette_of(list(COLOURS.values())),
    )
    return Listing(dataset, tuple(problems))


def camvid_splits(root: PathLike | None) -> tuple[str, ...]:
    """Return the splits that have a list in the data set's folder."""
    return split_names(find_folder(root, "camvid", PARTS))


def _moment(image_id: str) -> Moment | None:
    found = re.fullmatch(r"(.+)_f?(\d+)", image_id)
    return None if found is None else Moment(found[1], int(found[2]) / FRAMES_PER_SECOND)


def _parts(written: str) -> tuple[str, ...]:
    """The parts of a path, of which the last folder and the name count: it is from anywhere."""
    return PurePosixPath(written.replace("\\", "/")).parts
