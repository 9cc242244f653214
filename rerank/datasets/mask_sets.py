"""Folders of several masks per image: `ID/*.png`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rerank.datasets.file_names import IMAGE_SUFFIXES, composed, files_in, folders_in, name_of
from rerank.datasets.mask_folders import MASK_SUFFIXES
from rerank.datasets.problems import file_error

#: The masks of each image, by its name.
MaskSets = dict[str, tuple[Path, ...]]


def list_mask_sets(folder: Path, what: str) -> MaskSets:
    """List the masks of each image: the files of `FOLDER/ID`, or the one file `FOLDER/ID.png`.

    Parameters
    ----------
    folder : Path
    what : str
        What the masks are, for messages.

    Returns
    -------
    dict of str to tuple of Path
        Sorted by name; empty for an image whose folder holds no mask.

    Raises
    ------
    DataError
        If the folder is missing or holds no masks, two masks of an image have one name, or an
        image has a folder and a file.
    """
    if not folder.is_dir():
        raise file_error(folder, "no such folder", f"give the folder of the {what}")
    found: MaskSets = {}
    for path in folders_in(folder):
        masks = tuple(files_in(path, MASK_SUFFIXES))
        by_name: dict[str, Path] = {}
        for mask in masks:
            other = by_name.setdefault(name_of(mask), mask)
            if other is not mask:
                about = f"two masks are called {name_of(mask)}, {other.name} and {mask.name}"
                raise file_error(path, about, "keep one of them")
        if found.setdefault(composed(path.name), masks) is not masks:
            raise file_error(path, f"there are several folders for {path.name}", "keep one of them")
    for path in files_in(folder, MASK_SUFFIXES):
        name = name_of(path)
        if name in found:
            raise file_error(path, f"there are several files for {name}", "keep one of them")
        found[name] = (path,)
    if not any(found.values()):
        raise file_error(
            folder,
            f"the folder holds no masks ({', '.join(MASK_SUFFIXES)})",
            f"put the {what} there as ID/NAME.png",
        )
    return dict(sorted(found.items()))


def list_images(folder: Path) -> dict[str, Path]:
    """The images of a folder by name.

    Raises
    ------
    DataError
        If the folder is missing or holds no images, or two have one name.
    """
    if not folder.is_dir():
        raise file_error(folder, "no such folder", "give the folder of the images")
    found: dict[str, Path] = {}
    for path in files_in(folder, IMAGE_SUFFIXES):
        other = found.setdefault(name_of(path), path)
        if other != path:
            raise file_error(path, f"{other.name} has the same name", "keep one of them")
    if not found:
        raise file_error(
            folder, f"no images ({', '.join(IMAGE_SUFFIXES)})", "give the folder of the images"
        )
    return found


def source_names(paths: Sequence[Path]) -> tuple[str, ...]:
    """Names of an image's masks, without their endings."""
    return tuple(name_of(path) for path in paths)
