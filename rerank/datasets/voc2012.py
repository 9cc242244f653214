"""PASCAL VOC 2012 segmentation, alone and joined to the Semantic Boundaries Dataset.

VOC: Everingham et al. 2010. SBD: Hariharan et al. 2011, "Semantic contours from inverse
detectors". Layout of the devkit: `JPEGImages/<id>.jpg`, `SegmentationClass/<id>.png` (palette
PNG, labels 0..20, void 255) and `ImageSets/Segmentation/<split>.txt`. Layout of SBD:
`benchmark_RELEASE/dataset/` with `img/<id>.jpg`, `cls/<id>.mat`, `train.txt` and `val.txt`.
"""

from __future__ import annotations

from pathlib import Path

from rerank.datasets.dataset import Dataset
from rerank.datasets.file_names import files_in, name_of
from rerank.datasets.file_pairs import Listing, find_folder, read_lines, read_split, split_names
from rerank.datasets.file_source import FilePair, FileSource
from rerank.datasets.image_files import PathLike, read_index_mask, read_sbd_mask
from rerank.datasets.problems import file_error, missing_file
from rerank.errors import DataError
from rerank.types import Array

CLASS_NAMES = (
    "background",
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)

#: Splits that join SBD, and the split of VOC that each contains.
JOINED = {"train_sbd": "train", "trainval_sbd": "trainval"}

DEVKIT_PARTS = ("JPEGImages", "ImageSets/Segmentation")

DEVKIT_BELOW = ("VOCdevkit/VOC2012", "VOC2012", "voc2012/VOCdevkit/VOC2012", "voc2012/VOC2012")

SBD_PARTS = ("cls", "train.txt", "val.txt")

SBD_BELOW = tuple(
    f"{folder}{inside}"
    for folder in ("", "sbd/", "SBD/")
    for inside in ("", "dataset", "benchmark_RELEASE/dataset")
)


def read_voc_mask(path: PathLike) -> Array:
    """Read a mask of VOC, or of SBD where the file's name ends in `.mat`."""
    return read_sbd_mask(path) if str(path).lower().endswith(".mat") else read_index_mask(path)


def list_voc2012(root: PathLike | None, split: str, *, sbd_root: PathLike | None = None) -> Listing:
    """List a split of VOC 2012.

    The devkit has train, val, trainval and test, which has no masks. "train_sbd" is VOC's train
    and all of SBD that is not in VOC's val (10,582 images with the published lists).
    "trainval_sbd" is VOC's trainval and all of SBD (12,031 images), as in Cogswell et al. 2014,
    section 5. Where both collections have a mask, VOC's is taken. SBD's masks have no void.

    Parameters
    ----------
    root : path
        The devkit's folder, or one above it.
    split : str
        One of the splits above.
    sbd_root : path, optional
        The folder of SBD, or one above it. By default SBD is looked for in `root` and in the
        folders above the devkit.

    Returns
    -------
    Listing

    Raises
    ------
    InputError
        `root` is None.
    DataError
        The devkit, the split's list or SBD is missing.
    """
    devkit = find_folder(root, "voc2012", DEVKIT_PARTS, DEVKIT_BELOW)
    lists = devkit / "ImageSets" / "Segmentation"
    joined = split in JOINED
    ids, problems = read_split(lists, JOINED.get(split, split))
    images = _names(devkit / "JPEGImages", ".jpg")
    masks = _names(devkit / "SegmentationClass", ".png")
    sbd_masks: dict[str, str] = {}
    if joined:
        sbd = _find_sbd(devkit, root, sbd_root)
        sbd_ids, sbd_problems = read_lines([sbd / "train.txt", sbd / "val.txt"])
        problems.extend(sbd_problems)
        held_out = set(read_split(lists, "val")[0]) if split == "train_sbd" else set()
        ids = list(dict.fromkeys([*ids, *(i for i in sbd_ids if i not in held_out)]))
        images = {**_names(sbd / "img", ".jpg"), **images}
        sbd_masks = _names(sbd / "cls", ".mat")
    labelled = split != "test"
    pairs: dict[str, FilePair] = {}
    for image_id in ids:
        mask = masks.get(image_id, sbd_masks.get(image_id))
        image = images.get(image_id)
        if image is None:
            problems.append(missing_file(devkit / "JPEGImages" / f"{image_id}.jpg", "image"))
        if mask is None and labelled:
            folder = devkit / "SegmentationClass"
            problems.append(missing_file(folder / f"{image_id}.png", "mask"))
        if image is not None and (mask is not None or not labelled):
            pairs[image_id] = FilePair(image, mask if labelled else None)
    source = FileSource(pairs, n_classes=len(CLASS_NAMES), decode=read_voc_mask, labelled=labelled)
    dataset = Dataset(
        name="voc2012",
        split=split,
        ids=tuple(pairs),
        class_names=CLASS_NAMES,
        source=source,
        background=0,
    )
    return Listing(dataset, tuple(problems))


def voc2012_splits(root: PathLike | None, *, sbd_root: PathLike | None = None) -> tuple[str, ...]:
    """Return the splits that have a list, and those with SBD where SBD is found.

    Parameters
    ----------
    root : path or None
        The folder of the data set, or the one that holds it.
    sbd_root : path, optional
        The folder of SBD; searched at and above `root` by default.

    Returns
    -------
    tuple of str

    Raises
    ------
    InputError
        `root` is None.
    DataError
        The data set is not there, or SBD is not at the `sbd_root` that was given.
    """
    devkit = find_folder(root, "voc2012", DEVKIT_PARTS, DEVKIT_BELOW)
    own = split_names(devkit / "ImageSets" / "Segmentation")
    try:
        _find_sbd(devkit, root, sbd_root)
    except DataError:
        if sbd_root is not None:
            raise
        return own
    return (*own, *JOINED)


def _find_sbd(devkit: Path, root: PathLike | None, sbd_root: PathLike | None) -> Path:
    if sbd_root is not None:
        tops = [Path(sbd_root)]
    else:
        tops = [Path(root or devkit), devkit, *devkit.parents[:2]]
    for top in tops:
        for below in SBD_BELOW:
            if all((top / below / part).exists() for part in SBD_PARTS):
                return top / below
    raise file_error(
        tops[0],
        "SBD is not there (benchmark_RELEASE/dataset with cls, train.txt and val.txt)",
        "unpack its benchmark.tgz there, or choose a split without _sbd",
    )


def _names(folder: Path, suffix: str) -> dict[str, str]:
    return {name_of(path): str(path) for path in files_in(folder, (suffix,))}
