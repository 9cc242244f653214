"""From each data set's published layout to the layout that `open_dataset` reads.

The function of a data set takes the folders to search, the folder to build, and the scratch
folder. It moves files that lie in the scratch folder and copies all others.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from PIL import Image

from rerank.datasets import msrc21
from rerank.datasets.file_names import files_in, name_of
from rerank.datasets.file_pairs import read_lines, split_names
from rerank.datasets.image_files import PathLike, read_image
from rerank.datasets.palettes import palette_of, save_labels_png
from rerank.datasets.problems import file_error
from rerank.errors import DataError
from rerank.types import VOID

#: Names of the lists, ours and those of the TextonBoost splits.
_LIST_NAMES = (("train.txt", "val.txt", "test.txt"), ("Train.txt", "Validation.txt", "Test.txt"))

_DEVKIT_PARTS = ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation")

#: Levels of folders that are searched for a data set.
_DEEPEST = 6


def _arrange_voc2012(folders: Sequence[Path], built: Path, scratch: Path) -> None:
    """Take the devkit's segmentation files and SBD; one of the two is enough."""
    devkit = _find_parts(folders, *_DEVKIT_PARTS)
    sbd = _find_parts(folders, "img", "cls", "train.txt", "val.txt")
    if devkit is None and sbd is None:
        raise _incomplete(folders, _DEVKIT_PARTS)
    if devkit is not None:
        for part in _DEVKIT_PARTS:
            _bring(devkit / part, built / "VOCdevkit" / "VOC2012" / part, scratch)
    if sbd is not None:
        for part in ("img", "cls", "train.txt", "val.txt"):
            _bring(sbd / part, built / "benchmark_RELEASE" / "dataset" / part, scratch)


def _arrange_camvid(folders: Sequence[Path], built: Path, scratch: Path) -> None:
    """Take the splits that have a list, and make the lists' paths relative."""
    source = _require_parts(folders, "train", "trainannot", "train.txt")
    for split in split_names(source):
        parts = (split, f"{split}annot")
        if not all((source / part).is_dir() for part in parts):
            continue
        lines, _ = read_lines([source / f"{split}.txt"])
        _write_list(
            built / f"{split}.txt",
            (" ".join("/".join(Path(word).parts[-2:]) for word in line.split()) for line in lines),
        )
        for part in parts:
            _bring(source / part, built / part, scratch)


def _arrange_weizmann_horse(folders: Sequence[Path], built: Path, scratch: Path) -> None:
    """Take photographs and masks; without lists every fourth photograph is for validation."""
    source = _require_parts(folders, "rgb", "figure_ground")
    lists = _lists(folders)
    if not lists:
        ids = sorted(name_of(path) for path in files_in(source / "rgb", (".jpg",)))
        lists = {"train": [i for k, i in enumerate(ids) if k % 4 != 3], "val": ids[3::4]}
    for split, ids in lists.items():
        _write_list(built / f"{split}.txt", ids)
    for part in ("rgb", "figure_ground"):
        _bring(source / part, built / part, scratch)


def _arrange_msrc21(folders: Sequence[Path], built: Path, scratch: Path) -> None:
    """Turn the bitmaps into PNGs and the masks' colours into labels, for the listed images."""
    source = _require_parts(folders, "Images", "GroundTruth")
    lists = _lists(folders)
    if not lists:
        lists_wanted = "the lists of TextonBoostSplits.zip (Train.txt, Validation.txt)"
        raise _incomplete(folders, (lists_wanted,))
    (built / "images").mkdir()
    (built / "labels").mkdir()
    palette = palette_of(list(msrc21.COLOURS.values()))
    for split, ids in lists.items():
        _write_list(built / f"{split}.txt", ids)
        for image_id in ids:
            mask = source / "GroundTruth" / f"{image_id}_GT.bmp"
            save_labels_png(built / "labels" / f"{image_id}.png", msrc21_labels(mask), palette)
            image = read_image(source / "Images" / f"{image_id}.bmp")
            Image.fromarray(image).save(built / "images" / f"{image_id}.png")
    _write_list(built / "classes.txt", msrc21.COLOURS)


def msrc21_labels(path: PathLike) -> npt.NDArray[np.uint8]:
    """Read a mask of the MSRC database, in which colours stand for classes.

    Parameters
    ----------
    path : path
        A file `<id>_GT.bmp`.

    Returns
    -------
    ndarray of shape (H, W), uint8
        0..20, and 255 where the mask is black, horse or mountain.

    Raises
    ------
    DataError
        The file is missing or damaged, or has a colour that stands for no class.
    """
    colours = read_image(path).astype(np.int64)
    code = (colours[:, :, 0] << 16) | (colours[:, :, 1] << 8) | colours[:, :, 2]
    labels = np.full(code.shape, VOID, dtype=np.uint8)
    known = np.zeros(code.shape, dtype=bool)
    for label, colour in [
        *enumerate(msrc21.COLOURS.values()),
        *((VOID, colour) for colour in msrc21.VOID_COLOURS.values()),
    ]:
        here = code == ((colour[0] << 16) | (colour[1] << 8) | colour[2])
        labels[here] = label
        known |= here
    if not known.all():
        first = tuple(int(value) for value in colours[~known][0])
        raise file_error(
            path,
            f"the colour {first} stands for no class of MSRC-21",
            "take the masks of the database's second version",
        )
    return labels


def _find_parts(folders: Sequence[Path], *parts: str) -> Path | None:
    """Return the first folder, searched downwards and by name, that has all the parts."""
    for top in folders:
        for here, below, _ in os.walk(top):
            below.sort()
            if len(Path(here).relative_to(top).parts) >= _DEEPEST:
                below.clear()
            if all((Path(here) / part).exists() for part in parts):
                return Path(here)
    return None


def _require_parts(folders: Sequence[Path], *parts: str) -> Path:
    found = _find_parts(folders, *parts)
    if found is None:
        raise _incomplete(folders, parts)
    return found


def _bring(source: Path, target: Path, scratch: Path) -> None:
    """Move a file or folder that lies in the scratch folder; copy any other."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if scratch in source.parents:
        shutil.move(str(source), str(target))
    elif source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)


def _write_list(path: Path, lines: Iterable[str]) -> None:
    """Write lines to a text file."""
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _lists(folders: Sequence[Path]) -> dict[str, list[str]]:
    """Find the lists of train, val and, where there is one, test; return the ids of each split."""
    for names in _LIST_NAMES:
        folder = _find_parts(folders, *names[:2])
        if folder is not None:
            lists = {}
            for split, name in zip(("train", "val", "test"), names):
                if (folder / name).is_file():
                    lines, _ = read_lines([folder / name])
                    lists[split] = [Path(line).stem for line in lines]
            return lists
    return {}


def _incomplete(folders: Sequence[Path], parts: Sequence[str]) -> DataError:
    wanted = " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))
    return file_error(
        folders[0],
        f"{wanted} are not in what was given",
        "give the published archive, or the folder that it was unpacked to",
    )


ARRANGERS: Mapping[str, Callable[[Sequence[Path], Path, Path], None]] = MappingProxyType(
    {
        "voc2012": _arrange_voc2012,
        "msrc21": _arrange_msrc21,
        "camvid": _arrange_camvid,
        "weizmann_horse": _arrange_weizmann_horse,
    }
)
