"""Small collections in the layouts of the public ones, written into a temporary folder."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.io
from PIL import Image

from rerank.datasets import save_labels_png, voc_palette

SIZE = (6, 9)


def make_image(seed: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def make_labels(
    seed: int, n_classes: int, size: tuple[int, int] = SIZE, void: int | None = 255
) -> np.ndarray:
    labels = np.random.default_rng(seed).integers(0, n_classes, size, dtype=np.uint8)
    labels[0, 0] = n_classes - 1
    if void is not None:
        labels[0, 1] = void
    return labels


def write_image(path: Path, seed: int, size: tuple[int, int] = SIZE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(make_image(seed, size)).save(path)


def write_mask(path: Path, labels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(labels).save(path)


def write_list(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def write_msrc21(folder: Path) -> None:
    for seed, image_id in enumerate(("1_1_s", "2_7_s", "9_4_s")):
        write_image(folder / "images" / f"{image_id}.png", seed)
        write_mask(folder / "labels" / f"{image_id}.png", make_labels(seed, 21))
    write_list(folder / "train.txt", ["2_7_s", "1_1_s"])
    write_list(folder / "val.txt", ["9_4_s"])


def write_camvid(folder: Path, prefix: str = "") -> None:
    for split, ids in (("train", ["0006_2", "0006_1"]), ("val", ["0016_1"])):
        for seed, image_id in enumerate(ids):
            write_image(folder / split / f"{image_id}.png", seed)
            mask = make_labels(seed, 11, void=11)
            write_mask(folder / f"{split}annot" / f"{image_id}.png", mask)
        write_list(
            folder / f"{split}.txt",
            [f"{prefix}{split}/{i}.png {prefix}{split}annot/{i}.png" for i in ids],
        )


def write_weizmann_horse(folder: Path) -> None:
    for seed, image_id in enumerate(("horse001", "horse002", "horse010")):
        write_image(folder / "rgb" / f"{image_id}.jpg", seed, (24, 32))
        mask = np.zeros((12, 16), dtype=np.uint8)
        mask[3:9, 2 + seed : 12] = 255
        write_mask(folder / "figure_ground" / f"{image_id}.jpg", mask)
    write_list(folder / "train.txt", ["horse001", "horse010"])
    write_list(folder / "val.txt", ["horse002"])


VOC_LISTS = {"train": ["2007_000032", "2008_000002"], "val": ["2007_000033", "2010_000001"]}

SBD_LISTS = {"train": ["2008_000002", "2008_000008", "2010_000001"], "val": ["2009_000009"]}


def write_voc2012(root: Path) -> None:
    devkit = root / "VOCdevkit" / "VOC2012"
    lists = devkit / "ImageSets" / "Segmentation"
    (devkit / "SegmentationClass").mkdir(parents=True)
    for seed, image_id in enumerate(VOC_LISTS["train"] + VOC_LISTS["val"]):
        write_image(devkit / "JPEGImages" / f"{image_id}.jpg", seed)
        save_labels_png(
            devkit / "SegmentationClass" / f"{image_id}.png", make_labels(seed, 21), voc_palette()
        )
    # The devkit has the images of all years, annotated or not.
    write_image(devkit / "JPEGImages" / "2008_000008.jpg", 50)
    write_list(lists / "train.txt", VOC_LISTS["train"])
    write_list(lists / "val.txt", VOC_LISTS["val"])
    write_list(lists / "trainval.txt", sorted(VOC_LISTS["train"] + VOC_LISTS["val"]))


def write_sbd(root: Path) -> None:
    sbd = root / "benchmark_RELEASE" / "dataset"
    (sbd / "cls").mkdir(parents=True)
    for seed, image_id in enumerate(SBD_LISTS["train"] + SBD_LISTS["val"]):
        write_image(sbd / "img" / f"{image_id}.jpg", 100 + seed)
        labels = make_labels(100 + seed, 21, void=None)
        content = {
            "Segmentation": labels,
            "Boundaries": np.zeros(20),
            "CategoriesPresent": np.unique(labels),
        }
        scipy.io.savemat(sbd / "cls" / f"{image_id}.mat", {"GTcls": content})
    write_list(sbd / "train.txt", SBD_LISTS["train"])
    write_list(sbd / "val.txt", SBD_LISTS["val"])


def write_folder(folder: Path) -> None:
    for seed, name in enumerate(("a.png", "b.jpg", "c.bmp")):
        write_image(folder / "images" / name, seed)
        write_mask(folder / "labels" / f"{name[0]}.png", make_labels(seed, 3))


@pytest.fixture
def files() -> SimpleNamespace:
    """Writers of small files and of whole collections, and what they write."""
    return SimpleNamespace(
        make_image=make_image,
        make_labels=make_labels,
        image=write_image,
        mask=write_mask,
        list=write_list,
        msrc21=write_msrc21,
        camvid=write_camvid,
        weizmann_horse=write_weizmann_horse,
        voc2012=write_voc2012,
        sbd=write_sbd,
        folder=write_folder,
        VOC_LISTS=VOC_LISTS,
        SBD_LISTS=SBD_LISTS,
    )
