from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from rerank.datasets import open_dataset
from rerank.errors import DataError


@pytest.mark.parametrize("prefix", ["", "/SegNet/CamVid/"])
def test_order_void_and_paths_of_other_machines(
    tmp_path: Path, files: SimpleNamespace, prefix: str
) -> None:
    files.camvid(tmp_path, prefix)
    train = open_dataset("camvid", tmp_path, "train")
    assert train.ids == ("0006_2", "0006_1")
    assert train.ordered and train.background is None and train.n_classes == 11
    labels = files.make_labels(1, 11, void=11)
    assert (labels == 11).any()
    np.testing.assert_array_equal(train["0006_1"].labels, np.where(labels == 11, 255, labels))


def test_problems_are_named(tmp_path: Path, files: SimpleNamespace) -> None:
    files.camvid(tmp_path)
    with pytest.raises(DataError, match=r"0016_1.png: labels must be 0..10 or 11 \(void\), found"):
        files.mask(tmp_path / "valannot" / "0016_1.png", files.make_labels(0, 11, void=255))
        open_dataset("camvid", tmp_path, "val")[0]
    (tmp_path / "trainannot" / "0006_2.png").unlink()
    with pytest.raises(DataError, match="trainannot/0006_2.png: the mask is missing"):
        open_dataset("camvid", tmp_path)
    files.list(tmp_path / "train.txt", ["train/0006_1.png"])
    with pytest.raises(DataError, match="the line 'train/0006_1.png' does not name two files"):
        open_dataset("camvid", tmp_path)
    line = "train/0006_1.png trainannot/0006_1.png"
    files.list(tmp_path / "train.txt", [line, f"{line} ", f"/elsewhere/{line}"])
    with pytest.raises(DataError, match="is listed twice"):
        open_dataset("camvid", tmp_path)
