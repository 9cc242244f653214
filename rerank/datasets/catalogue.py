"""The data sets that can be opened by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any, NamedTuple

from rerank.datasets.camvid import camvid_splits, list_camvid
from rerank.datasets.dataset import Dataset
from rerank.datasets.file_pairs import Listing
from rerank.datasets.folder import FolderOptions, folder_splits, list_folder
from rerank.datasets.image_files import PathLike
from rerank.datasets.msrc21 import list_msrc21, msrc21_splits
from rerank.datasets.problems import file_error
from rerank.datasets.scenes import list_scenes, scenes_splits
from rerank.datasets.voc2012 import list_voc2012, voc2012_splits
from rerank.datasets.weizmann_horse import list_weizmann_horse, weizmann_horse_splits
from rerank.errors import InputError
from rerank.suggestions import did_you_mean


class _Reader(NamedTuple):
    """How one data set is read: a split by name, the names of the splits, and its options."""

    list_split: Callable[..., Listing]
    splits: Callable[..., tuple[str, ...]]
    options: tuple[str, ...] = ()


def _list_folder(root: PathLike | None, split: str, **options: Any) -> Listing:
    return list_folder(root, split, FolderOptions(**options))


def _folder_splits(root: PathLike | None, **options: Any) -> tuple[str, ...]:
    return folder_splits(root, FolderOptions(**options))


_READERS: Mapping[str, _Reader] = MappingProxyType(
    {
        "scenes": _Reader(list_scenes, scenes_splits, ("n_images", "size", "seed")),
        "msrc21": _Reader(list_msrc21, msrc21_splits),
        "camvid": _Reader(list_camvid, camvid_splits),
        "weizmann_horse": _Reader(list_weizmann_horse, weizmann_horse_splits),
        "voc2012": _Reader(list_voc2012, voc2012_splits, ("sbd_root",)),
        "folder": _Reader(
            _list_folder, _folder_splits, tuple(f.name for f in fields(FolderOptions))
        ),
    }
)

#: Data sets that are drawn by the program.
_DRAWN = ("scenes",)


def dataset_names() -> tuple[str, ...]:
    """Return the names that `open_dataset` knows.

    Examples
    --------
    >>> dataset_names()
    ('scenes', 'msrc21', 'camvid', 'weizmann_horse', 'voc2012', 'folder')
    """
    return tuple(_READERS)


def reads_files(name: str) -> bool:
    """Whether a data set is read from a folder; False for one that is drawn, or is not known.

    Examples
    --------
    >>> reads_files("camvid"), reads_files("scenes")
    (True, False)
    """
    return name in _READERS and name not in _DRAWN


def dataset_splits(name: str, root: PathLike | None = None, **options: Any) -> tuple[str, ...]:
    """Return the splits that a data set has in a folder.

    Parameters
    ----------
    name : str
        One of `dataset_names()`.
    root : path
        The data set's folder, or the folder above it. None for scenes.
    **options
        As for `open_dataset`.

    Returns
    -------
    tuple of str

    Raises
    ------
    InputError
        The name or an option is unknown, or `root` is not given.
    DataError
        The folder is missing or does not hold the data set.
    """
    return _reader(name, options).splits(root, **options)


def open_dataset(
    name: str, root: PathLike | None = None, split: str = "train", **options: Any
) -> Dataset:
    """Open one split of a data set.

    Parameters
    ----------
    name : str
        One of `dataset_names()`. "scenes" are drawn by the program. "folder" is any folder of
        images and masks. The others are public data sets in the layouts of `data/README.md`.
    root : path
        The data set's folder, or the folder above it. Not used by scenes.
    split : str
        "train", "val" or any other list that the folder has. "trainval" is train and val where it
        has no list of its own. VOC has "train_sbd" and "trainval_sbd" too, and a folder "all".
    **options
        scenes: `n_images`, `size`, `seed` (see `list_scenes`). folder: the fields of
        `rerank.datasets.folder.FolderOptions`. voc2012: `sbd_root`. The others have none.

    Returns
    -------
    Dataset

    Raises
    ------
    InputError
        The name or an option is unknown or out of range, or `root` is not given.
    DataError
        The folder, a list, an image or a mask is missing, an id is listed twice, or a list is
        empty. The message names the first problem and says how many more there are.

    Examples
    --------
    >>> scenes = open_dataset("scenes", split="train", n_images=2, seed=1)
    >>> scenes.ids
    ('train_0000', 'train_0001')
    """
    listing = list_dataset(name, root, split, **options)
    if listing.problems:
        first, more = listing.problems[0], len(listing.problems) - 1
        remedy = first.remedy
        if more:
            command = f"rerank data check {name} --root {root}"
            remedy += f" ({more} more such: `{command}` lists them all)"
        raise file_error(first.path, first.problem, remedy)
    return listing.dataset


def list_dataset(name: str, root: PathLike | None, split: str, **options: Any) -> Listing:
    """List a split and return its problems instead of raising the first.

    Parameters
    ----------
    name, root, split, **options
        As for `open_dataset`.

    Returns
    -------
    Listing

    Raises
    ------
    InputError
        The name or an option is unknown or out of range, or `root` is not given.
    DataError
        The folder or the split's list is missing.
    """
    return _reader(name, options).list_split(root, split, **options)


def _reader(name: str, options: Mapping[str, Any]) -> _Reader:
    """Look a data set up and check the names of its options."""
    if name not in _READERS:
        raise InputError(f"there is no data set '{name}'; {did_you_mean(name, _READERS)}")
    reader = _READERS[name]
    for option in options:
        if option not in reader.options:
            hint = did_you_mean(option, reader.options or ("none",), "its options are:")
            raise InputError(f"the data set '{name}' has no option '{option}'; {hint}")
    return reader
