"""Open a data set by its name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from rerank.datasets.camvid import camvid_splits, list_camvid
from rerank.datasets.dataset import Dataset
from rerank.datasets.file_pairs import Listing
from rerank.datasets.folder import folder_splits, list_folder
from rerank.datasets.image_files import PathLike
from rerank.datasets.msrc21 import list_msrc21, msrc21_splits
from rerank.datasets.problems import file_error
from rerank.datasets.scenes.scene_source import list_scenes, scenes_splits
from rerank.datasets.voc2012 import list_voc2012, voc2012_splits
from rerank.datasets.weizmann_horse import list_weizmann_horse, weizmann_horse_splits
from rerank.errors import InputError

_LISTERS: Mapping[str, Callable[..., Listing]] = MappingProxyType(
    {
        "scenes": list_scenes,
        "msrc21": list_msrc21,
        "camvid": list_camvid,
        "weizmann_horse": list_weizmann_horse,
        "voc2012": list_voc2012,
        "folder": list_folder,
    }
)

_SPLITS: Mapping[str, Callable[..., tuple[str, ...]]] = MappingProxyType(
    {
        "scenes": scenes_splits,
        "msrc21": msrc21_splits,
        "camvid": camvid_splits,
        "weizmann_horse": weizmann_horse_splits,
        "voc2012": voc2012_splits,
        "folder": folder_splits,
    }
)


def dataset_names() -> tuple[str, ...]:
    """Return the names that `open_dataset` knows.

    Examples
    --------
    >>> dataset_names()
    ('scenes', 'msrc21', 'camvid', 'weizmann_horse', 'voc2012', 'folder')
    """
    return tuple(_LISTERS)


def dataset_splits(name: str, root: PathLike | None = None, **options: Any) -> tuple[str, ...]:
    """Return the splits that a data set has in a folder.

    Parameters
    ----------
    name : one of `dataset_names()`
    root : path, None for scenes
    **options : as for `open_dataset`

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
    splits = _SPLITS[_known(name)]
    _check_options(name, options)
    return splits(root, **options)


def open_dataset(
    name: str, root: PathLike | None = None, split: str = "train", **options: Any
) -> Dataset:
    """Open one split of a data set.

    Parameters
    ----------
    name : one of `dataset_names()`
        "scenes" are drawn by the program; "folder" is any folder of images and masks; the
        others are public data sets in the layouts that `data/README.md` shows.
    root : path
        The data set's folder, or the folder above it. Not used by scenes.
    split : str
        "train", "val" or any other list that the folder has. "trainval" is both where it has no
        list of its own. VOC has "train_sbd" and "trainval_sbd" too, and a folder "all".
    **options
        scenes: `n_images`, `size`, `seed` (see `list_scenes`). folder: `images`, `labels`,
        `label_suffix`, `n_classes`, `class_names`, `ignore_index`, `background`, `ordered` (see
        `list_folder`). voc2012: `sbd_root`. The others have none.

    Returns
    -------
    Dataset

    Raises
    ------
    InputError
        The name or an option is unknown or out of range, or `root` is not given.
    DataError
        The folder, a list, an image or a mask is missing, an id is listed twice, or a list is
        empty. The message names the first and says how many more there are.

    Examples
    --------
    >>> scenes = open_dataset("scenes", split="train", n_images=2, seed=1)
    >>> scenes.ids
    ('train_0000', 'train_0001')
    """
    listing = list_dataset(name, root, split, **options)
    if listing.findings:
        first, more = listing.findings[0], len(listing.findings) - 1
        remedy = first.remedy
        if more:
            remedy += f" ({more} more such: `rerank data check {name}` lists them all)"
        raise file_error(first.path, first.problem, remedy)
    return listing.dataset


def list_dataset(name: str, root: PathLike | None, split: str, **options: Any) -> Listing:
    """List a split with what is amiss, instead of raising it; see `open_dataset`."""
    lister = _LISTERS[_known(name)]
    _check_options(name, options)
    return lister(root, split, **options)


def _check_options(name: str, options: Mapping[str, Any]) -> None:
    parameters = inspect.signature(_LISTERS[name]).parameters.values()
    known = [p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]
    for option in options:
        if option not in known:
            said = ", ".join(known) or "none"
            raise InputError(
                f"the data set '{name}' has no option '{option}'; its options are: {said}"
            )


def _known(name: str) -> str:
    if name not in _LISTERS:
        raise InputError(f"there is no data set '{name}'; the names are {', '.join(_LISTERS)}")
    return name
