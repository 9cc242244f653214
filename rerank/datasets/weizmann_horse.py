"""Weizmann Horse (Borenstein and Ullman 2002): a horse against its background.

Layout: `rgb/<id>.jpg`, `figure_ground/<id>.jpg` and `<split>.txt`. The masks are JPEG files; a
pixel brighter than 127 is horse. The photographs have the masks' shape and another size. They are
resampled to the size of their masks, so that the ground truth stays as it was drawn.
"""

from __future__ import annotations

from rerank.datasets.dataset import Dataset
from rerank.datasets.file_pairs import Listing, find_folder, pair_by_name, split_ids, split_names
from rerank.datasets.file_source import FileSource
from rerank.datasets.image_files import PathLike, read_threshold_mask
from rerank.datasets.palettes import palette_of

CLASS_NAMES = ("background", "horse")

PARTS = ("rgb", "figure_ground")

BELOW = ("weizmann_horse_db",)


def list_weizmann_horse(root: PathLike | None, split: str) -> Listing:
    """List a split of Weizmann Horse; see `rerank.datasets.open_dataset`.

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
    folder = find_folder(root, "weizmann_horse", PARTS, BELOW)
    ids, list_problems = split_ids(folder, split, folder / "rgb")
    pairs, missing = pair_by_name(ids, folder / "rgb", folder / "figure_ground")
    source = FileSource(
        pairs, n_classes=2, void_value=None, decode=read_threshold_mask, image_takes_mask_size=True
    )
    dataset = Dataset(
        name="weizmann_horse",
        split=split,
        ids=tuple(pairs),
        class_names=CLASS_NAMES,
        source=source,
        background=0,
        palette=palette_of([(0, 0, 0), (192, 128, 0)]),
    )
    return Listing(dataset, (*list_problems, *missing))


def weizmann_horse_splits(root: PathLike | None) -> tuple[str, ...]:
    """Return the splits that have a list in the data set's folder."""
    return split_names(find_folder(root, "weizmann_horse", PARTS, BELOW))
