from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from rerank.datasets import check_dataset, dataset_splits, open_dataset, read_image
from rerank.errors import DataError


@pytest.fixture
def root(tmp_path: Path, files: SimpleNamespace) -> Path:
    files.voc2012(tmp_path)
    files.sbd(tmp_path)
    return tmp_path


def test_the_devkits_splits(root: Path, files: SimpleNamespace) -> None:
    lists = files.VOC_LISTS
    train, val, both = (open_dataset("voc2012", root, s) for s in ("train", "val", "trainval"))
    assert train.ids == tuple(lists["train"]) and val.ids == tuple(lists["val"])
    assert both.ids == tuple(sorted(lists["train"] + lists["val"]))
    assert train.n_classes == 21 and train.background == 0
    assert train.class_names[15] == "person"
    np.testing.assert_array_equal(train[0].labels, files.make_labels(0, 21))
    assert (train[0].labels == 255).any()
    assert train.palette[1].tolist() == [128, 0, 0]


def test_train_with_sbd_is_all_but_val(root: Path) -> None:
    data = open_dataset("voc2012", root, "train_sbd")
    assert data.ids == ("2007_000032", "2008_000002", "2008_000008", "2009_000009")
    assert not set(data.ids) & set(open_dataset("voc2012", root, "val").ids)


def test_trainval_with_sbd_is_everything(root: Path) -> None:
    data = open_dataset("voc2012", root, "trainval_sbd")
    assert set(data.ids) == {
        "2007_000032",
        "2008_000002",
        "2007_000033",
        "2010_000001",
        "2008_000008",
        "2009_000009",
    }
    assert data.ids[:4] == open_dataset("voc2012", root, "trainval").ids


def test_vocs_mask_is_taken_where_both_have_one(root: Path, files: SimpleNamespace) -> None:
    data = open_dataset("voc2012", root, "trainval_sbd")
    np.testing.assert_array_equal(data["2008_000002"].labels, files.make_labels(1, 21))
    np.testing.assert_array_equal(data["2010_000001"].labels, files.make_labels(3, 21))
    sbd_only = data["2008_000008"]
    np.testing.assert_array_equal(sbd_only.labels, files.make_labels(101, 21, void=None))
    assert not (sbd_only.labels == 255).any()


def test_vocs_image_is_taken_where_both_have_one(root: Path) -> None:
    data = open_dataset("voc2012", root, "train_sbd")
    devkit = root / "VOCdevkit" / "VOC2012" / "JPEGImages"
    sbd = root / "benchmark_RELEASE" / "dataset" / "img"
    np.testing.assert_array_equal(data.image("2008_000008"), read_image(devkit / "2008_000008.jpg"))
    np.testing.assert_array_equal(data.image("2009_000009"), read_image(sbd / "2009_000009.jpg"))


@pytest.mark.parametrize("below", ["", "VOCdevkit", "VOCdevkit/VOC2012"])
def test_root_at_any_level(root: Path, below: str) -> None:
    assert len(open_dataset("voc2012", root / below, "train")) == 2
    assert len(open_dataset("voc2012", root / below, "train_sbd")) == 4
    assert dataset_splits("voc2012", root / below) == (
        "train",
        "trainval",
        "val",
        "train_sbd",
        "trainval_sbd",
    )


def test_sbd_elsewhere_or_nowhere(tmp_path: Path, files: SimpleNamespace) -> None:
    files.voc2012(tmp_path / "voc")
    assert dataset_splits("voc2012", tmp_path / "voc") == ("train", "trainval", "val")
    with pytest.raises(DataError, match="SBD is not there .*; unpack its benchmark.tgz there"):
        open_dataset("voc2012", tmp_path / "voc", "train_sbd")
    files.sbd(tmp_path / "other")
    data = open_dataset("voc2012", tmp_path / "voc", "train_sbd", sbd_root=tmp_path / "other")
    assert len(data) == 4
    with pytest.raises(DataError, match="nothing: SBD is not there"):
        dataset_splits("voc2012", tmp_path / "voc", sbd_root=tmp_path / "nothing")


@pytest.mark.parametrize("below", ["sbd", "SBD"])
def test_sbd_in_a_folder_of_its_name(tmp_path: Path, files: SimpleNamespace, below: str) -> None:
    files.voc2012(tmp_path)
    files.sbd(tmp_path / below)
    assert len(open_dataset("voc2012", tmp_path, "train_sbd")) == 4
    inner = tmp_path / below / "benchmark_RELEASE" / "dataset"
    inner.rename(tmp_path / below / "dataset")
    assert len(open_dataset("voc2012", tmp_path / "VOCdevkit" / "VOC2012", "train_sbd")) == 4


def test_test_has_no_masks(root: Path, files: SimpleNamespace) -> None:
    devkit = root / "VOCdevkit" / "VOC2012"
    files.image(devkit / "JPEGImages" / "2008_000001.jpg", 9)
    files.list(devkit / "ImageSets" / "Segmentation" / "test.txt", ["2008_000001"])
    data = open_dataset("voc2012", root, "test")
    assert not data.labelled
    assert (data[0].labels == 255).all()
    assert data.labels(data.ids[0]).shape == (6, 9)


def test_problems_are_named(root: Path) -> None:
    devkit = root / "VOCdevkit" / "VOC2012"
    (devkit / "JPEGImages" / "2007_000032.jpg").unlink()
    (devkit / "SegmentationClass" / "2008_000002.png").unlink()
    (root / "benchmark_RELEASE" / "dataset" / "cls" / "2009_000009.mat").write_bytes(b"?")
    with pytest.raises(
        DataError,
        match=r"2007_000032.jpg: the image is missing; put it there or "
        r"take its id off the list \(1 more such",
    ):
        open_dataset("voc2012", root, "train")
    found = {(Path(f.path).name, f.problem[:22]) for f in check_dataset("voc2012", root)}
    assert found == {
        ("2007_000032.jpg", "the image is missing"),
        ("2008_000002.png", "the mask is missing"),
        ("2009_000009.mat", "the mask cannot be rea"),
    }
