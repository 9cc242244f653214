"""The public collections beside the checkout, in the layouts that they come in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rerank.datasets import check_dataset, dataset_splits, open_dataset

pytestmark = pytest.mark.shared


@pytest.mark.parametrize(
    "name, n_train, n_val, n_classes, background, ordered",
    [
        ("msrc21", 276, 59, 21, None, False),
        ("camvid", 367, 101, 11, None, True),
        ("weizmann_horse", 150, 50, 2, 0, False),
    ],
)
def test_counts_and_description(
    shared_root: Path,
    name: str,
    n_train: int,
    n_val: int,
    n_classes: int,
    background: int | None,
    ordered: bool,
) -> None:
    above = shared_root / "datasets"
    train, val = (open_dataset(name, above, split) for split in ("train", "val"))
    assert (len(train), len(val)) == (n_train, n_val)
    assert train.n_classes == n_classes
    assert train.background == background
    assert train.ordered == ordered
    assert not set(train.ids) & set(val.ids)
    assert open_dataset(name, above / name, "train").ids == train.ids
    assert open_dataset(name, above, "trainval").ids == train.ids + val.ids
    assert dataset_splits(name, above) == ("train", "val")


@pytest.mark.parametrize("name", ["msrc21", "camvid", "weizmann_horse"])
def test_labels_are_in_range_and_every_class_occurs(shared_root: Path, name: str) -> None:
    val = open_dataset(name, shared_root / "datasets", "val")
    seen = np.zeros(256, dtype=bool)
    for image_id in val.ids:
        labels = val.labels(image_id)
        assert labels.dtype == np.uint8
        seen[np.unique(labels)] = True
    assert seen[: val.n_classes].all()
    assert not seen[val.n_classes : 255].any()
    assert seen[255] == (name != "weizmann_horse")


@pytest.mark.parametrize("name", ["msrc21", "weizmann_horse"])
def test_check_finds_nothing(shared_root: Path, name: str) -> None:
    assert check_dataset(name, shared_root / "datasets", ["val"]) == []


def test_a_horse_has_the_size_of_its_mask(shared_root: Path) -> None:
    horses = open_dataset("weizmann_horse", shared_root / "datasets", "val")
    for image_id in horses.ids[:5]:
        sample = horses[image_id]
        assert sample.image.shape[:2] == sample.labels.shape
        np.testing.assert_array_equal(horses.image(image_id), sample.image)
