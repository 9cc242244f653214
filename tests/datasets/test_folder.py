from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from rerank.datasets import check_dataset, dataset_splits, open_dataset
from rerank.errors import DataError, InputError


@pytest.fixture
def root(tmp_path: Path, files: SimpleNamespace) -> Path:
    files.folder(tmp_path)
    return tmp_path


def test_without_lists_all_images_are_train(root: Path) -> None:
    assert open_dataset("folder", root).ids == ("a", "b", "c")
    assert open_dataset("folder", root, "all").ids == ("a", "b", "c")
    assert dataset_splits("folder", root) == ("all",)
    with pytest.raises(
        DataError,
        match=r"val.txt: there is no list of the split 'val' \(lists "
        r"there: none\)",
    ):
        open_dataset("folder", root, "val")


def test_lists_make_splits(root: Path, files: SimpleNamespace) -> None:
    files.list(root / "val.txt", ["c.bmp", "a"])
    assert open_dataset("folder", root, "val").ids == ("c", "a")
    assert open_dataset("folder", root, "all").ids == ("a", "b", "c")
    with pytest.raises(DataError, match=r"no list of the split 'train' \(lists there: val\)"):
        open_dataset("folder", root, "train")


def test_classes_from_options_list_or_masks(root: Path, files: SimpleNamespace) -> None:
    assert open_dataset("folder", root).class_names == ("class_0", "class_1", "class_2")
    assert open_dataset("folder", root, n_classes=5).n_classes == 5
    named = open_dataset("folder", root, class_names=["sky", "sea", "land"], background=1)
    assert named.class_names == ("sky", "sea", "land") and named.background == 1
    files.list(root / "classes.txt", ["ground", "thing", "other"])
    assert open_dataset("folder", root).class_names == ("ground", "thing", "other")
    assert dataset_splits("folder", root) == ("all",)
    with pytest.raises(InputError, match="n_classes is 2, and there are 3 class names"):
        open_dataset("folder", root, n_classes=2)
    files.list(root / "classes.txt", ["ground", "ground"])
    with pytest.raises(DataError, match="classes.txt: 'ground' is listed twice"):
        open_dataset("folder", root)


def test_classes_are_those_of_all_masks_in_every_split(root: Path, files: SimpleNamespace) -> None:
    files.mask(root / "labels" / "c.png", np.full((6, 9), 7, dtype=np.uint8))
    files.list(root / "train.txt", ["a"])
    files.list(root / "val.txt", ["c"])
    assert [open_dataset("folder", root, s).n_classes for s in ("train", "val")] == [8, 8]


def test_void_in_the_files_becomes_255(root: Path, files: SimpleNamespace) -> None:
    labels = files.make_labels(0, 3, void=3)
    for name in "abc":
        files.mask(root / "labels" / f"{name}.png", labels)
    data = open_dataset("folder", root, ignore_index=3)
    assert data.n_classes == 3 and data.ignore_index == 255
    np.testing.assert_array_equal(data["a"].labels, np.where(labels == 3, 255, labels))
    with pytest.raises(DataError, match=r"found 3; correct the mask"):
        open_dataset("folder", root, n_classes=3)["a"]
    with pytest.raises(DataError, match=r"labels must be 0..2, found 3"):
        open_dataset("folder", root, n_classes=3, ignore_index=None)["a"]


def test_void_where_the_masks_use_255_for_a_class_beyond(root: Path) -> None:
    with pytest.raises(DataError, match="highest label is 255.*; write their names in classes.txt"):
        open_dataset("folder", root, ignore_index=None)


def test_without_masks(root: Path) -> None:
    data = open_dataset("folder", root, labels=None, n_classes=3)
    assert not data.labelled and data.ids == ("a", "b", "c")
    assert (data["a"].labels == 255).all() and data.labels("a").shape == (6, 9)
    assert open_dataset("folder", root, labels=None).class_names == ()


def test_other_names_of_folders_and_masks(tmp_path: Path, files: SimpleNamespace) -> None:
    for seed, name in enumerate("xy"):
        files.image(tmp_path / f"{name}.png", seed)
        files.mask(tmp_path / f"{name}_mask.png", files.make_labels(seed, 3))
    data = open_dataset("folder", tmp_path, images=".", labels=".", label_suffix="_mask")
    assert data.ids == ("x", "y")
    np.testing.assert_array_equal(data["y"].labels, files.make_labels(1, 3))
    files.image(tmp_path / "in" / "one.png", 0)
    files.mask(tmp_path / "out" / "one.png", files.make_labels(0, 3))
    assert len(open_dataset("folder", tmp_path, images="in", labels="out", ordered=True)) == 1


def test_an_image_without_mask_and_an_empty_folder(
    root: Path, tmp_path: Path, files: SimpleNamespace
) -> None:
    files.image(root / "images" / "d.png", 5)
    with pytest.raises(DataError, match="labels/d: the mask is missing"):
        open_dataset("folder", root)
    for path in (root / "images").iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"images: the folder holds no image \(.png, .jpg"):
        open_dataset("folder", root)


@pytest.mark.parametrize(
    "options, match",
    [
        ({"n_classes": 0}, r"n_classes must be in 1..255, got 0"),
        ({"n_classes": 256}, r"got 256"),
        ({"ignore_index": 300}, r"ignore_index must be in 0..255 or None, got 300"),
        ({"background": 3}, r"background must be one of 3 classes, got 3"),
    ],
)
def test_options_out_of_range(root: Path, options: dict[str, int], match: str) -> None:
    with pytest.raises(InputError, match=match):
        open_dataset("folder", root, **options)


def test_a_torn_mask_does_not_hide_the_others(root: Path, files: SimpleNamespace) -> None:
    for name in "ab":
        (root / "labels" / f"{name}.png").write_bytes(b"torn")
    with pytest.raises(DataError, match=r"a.png: the mask cannot be read .*\(1 more such"):
        open_dataset("folder", root)
    found = [Path(problem.path).name for problem in check_dataset("folder", root)]
    assert found == ["a.png", "b.png"]
