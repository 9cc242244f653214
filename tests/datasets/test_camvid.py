from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from rerank.datasets import Moment, open_dataset
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


def test_frames_know_their_recording_and_their_block_of_seconds(tmp_path):
    folder = tmp_path / "camvid"
    frames = {
        "train": ("0001TP_006690", "0001TP_006720", "0001TP_006840", "0006R0_f00930"),
        "val": ("0016E5_07959", "0016E5_08101"),
    }
    for split, names in frames.items():
        for kind in (split, f"{split}annot"):
            (folder / kind).mkdir(parents=True)
            for name in names:
                shape = (4, 6, 3) if kind == split else (4, 6)
                Image.fromarray(np.zeros(shape, np.uint8)).save(folder / kind / f"{name}.png")
        lines = [f"{split}/{name}.png {split}annot/{name}.png" for name in names]
        (folder / f"{split}.txt").write_text("\n".join(lines))
    both = open_dataset("camvid", folder, "trainval")
    assert both.moments["0001TP_006690"] == Moment("0001TP", 223.0)
    assert both.moments["0006R0_f00930"] == Moment("0006R0", 31.0)
    assert both.sequences().tolist() == [0, 0, 0, 1, 2, 2]
    # 223 s, 224 s and 228 s: blocks start at multiples of five seconds.
    assert both.blocks(5.0).tolist() == [0, 0, 1, 2, 3, 4]
    assert both.blocks(10.0).tolist() == [0, 0, 0, 1, 2, 3]
    assert both.subset(both.ids[::-1]).blocks(10.0).tolist() == [0, 1, 2, 3, 3, 3]
    scenes = open_dataset("scenes", n_images=3)
    assert scenes.blocks().tolist() == scenes.sequences().tolist() == [0, 1, 2]
