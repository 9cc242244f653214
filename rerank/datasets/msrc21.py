"""MSRC-21 (Shotton et al. 2006, "TextonBoost"): 21 classes of things and stuff.

Layout: `images/<id>.*`, `labels/<id>.png` (labels 0..20, void 255) and `<split>.txt`. The classes
horse and mountain of the database are void, as in the literature on its 21 classes.
"""

from __future__ import annotations

from rerank.datasets.dataset import Dataset
from rerank.datasets.file_pairs import Listing, find_folder, pair_by_name, split_ids, split_names
from rerank.datasets.file_source import FileSource
from rerank.datasets.image_files import PathLike
from rerank.datasets.palettes import palette_of

#: Classes in the order of their labels, with the colours of the database's own masks.
COLOURS = {
    "building": (128, 0, 0),
    "grass": (0, 128, 0),
    "tree": (128, 128, 0),
    "cow": (0, 0, 128),
    "sheep": (0, 128, 128),
    "sky": (128, 128, 128),
    "aeroplane": (192, 0, 0),
    "water": (64, 128, 0),
    "face": (192, 128, 0),
    "car": (64, 0, 128),
    "bicycle": (192, 0, 128),
    "flower": (64, 128, 128),
    "sign": (192, 128, 128),
    "bird": (0, 64, 0),
    "book": (128, 64, 0),
    "chair": (0, 192, 0),
    "road": (128, 64, 128),
    "cat": (0, 192, 128),
    "dog": (128, 192, 128),
    "body": (64, 64, 0),
    "boat": (192, 64, 0),
}

#: Colours that mean void in the database's masks.
VOID_COLOURS = {"void": (0, 0, 0), "horse": (128, 0, 128), "mountain": (64, 0, 0)}

PARTS = ("images", "labels")


def list_msrc21(root: PathLike | None, split: str) -> Listing:
    """List a split of MSRC-21; see `rerank.datasets.open_dataset`.

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
    folder = find_folder(root, "msrc21", PARTS)
    ids, list_problems = split_ids(folder, split, folder / "images")
    pairs, missing = pair_by_name(ids, folder / "images", folder / "labels")
    source = FileSource(pairs, n_classes=len(COLOURS))
    dataset = Dataset(
        name="msrc21",
        split=split,
        ids=tuple(pairs),
        class_names=tuple(COLOURS),
        source=source,
        palette=palette_of(list(COLOURS.values())),
    )
    return Listing(dataset, (*list_problems, *missing))


def msrc21_splits(root: PathLike | None) -> tuple[str, ...]:
    """Return the splits that have a list in the data set's folder."""
    return split_names(find_folder(root, "msrc21", PARTS))
