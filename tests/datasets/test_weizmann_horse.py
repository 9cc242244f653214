from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from rerank.datasets import open_dataset
from rerank.errors import DataError


def test_the_photograph_takes_its_masks_size(tmp_path: Path, files: SimpleNamespace) -> None:
    files.weizmann_horse(tmp_path)
    train = open_dataset("weizmann_horse", tmp_path, "train")
    assert train.class_names == ("background", "horse") and train.background == 0
    sample = train["horse010"]
    assert sample.image.shape == (12, 16, 3)
    expected = np.zeros((12, 16), dtype=np.uint8)
    expected[3:9, 4:12] = 1
    np.testing.assert_array_equal(sample.labels, expected)


def test_resampling_keeps_place_and_brightness(tmp_path: Path, files: SimpleNamespace) -> None:
    files.weizmann_horse(tmp_path)
    picture = np.full((24, 32, 3), 40, dtype=np.uint8)
    picture[:, 16:] = 200
    Image.fromarray(picture).save(tmp_path / "rgb" / "horse001.jpg", quality=95)
    image = open_dataset("weizmann_horse", tmp_path)["horse001"].image.astype(int)
    assert np.abs(image[:, :7] - 40).max() < 8
    assert np.abs(image[:, 9:] - 200).max() < 8


def test_another_shape_is_an_error(tmp_path: Path, files: SimpleNamespace) -> None:
    files.weizmann_horse(tmp_path)
    files.image(tmp_path / "rgb" / "horse001.jpg", 0, (24, 30))
    with pytest.raises(DataError, match=r"the mask is 16x12 .* is 30x24; make them the same size"):
        open_dataset("weizmann_horse", tmp_path)["horse001"]


def test_a_folder_named_as_in_the_archive(tmp_path: Path, files: SimpleNamespace) -> None:
    files.weizmann_horse(tmp_path / "weizmann_horse_db")
    assert len(open_dataset("weizmann_horse", tmp_path, "val")) == 1
