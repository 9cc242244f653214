from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from rerank.datasets import dataset_splits, open_dataset
from rerank.errors import DataError


def test_ids_classes_and_pixels(tmp_path: Path, files: SimpleNamespace) -> None:
    files.msrc21(tmp_path)
    train = open_dataset("msrc21", tmp_path, "train")
    assert train.ids == ("2_7_s", "1_1_s")
    assert train.n_classes == 21
    assert train.class_names[:2] == ("building", "grass") and train.class_names[-1] == "boat"
    assert train.background is None and not train.ordered
    np.testing.assert_array_equal(train["2_7_s"].image, files.make_image(1))
    np.testing.assert_array_equal(train["2_7_s"].labels, files.make_labels(1, 21))
    assert dataset_splits("msrc21", tmp_path) == ("train", "val")
    assert open_dataset("msrc21", tmp_path, "trainval").ids == ("2_7_s", "1_1_s", "9_4_s")


def test_problems_are_named(tmp_path: Path, files: SimpleNamespace) -> None:
    files.msrc21(tmp_path)
    (tmp_path / "labels" / "2_7_s.png").unlink()
    with pytest.raises(DataError, match=r"labels/2_7_s: the mask is missing \(.png, .*; put it"):
        open_dataset("msrc21", tmp_path)
    (tmp_path / "images" / "1_1_s.png").unlink()
    command = "rerank data check msrc21 --root .*"
    with pytest.raises(DataError, match=rf"\(1 more such: `{command}` lists"):
        open_dataset("msrc21", tmp_path)
    files.image(tmp_path / "images" / "9_4_s.bmp", 0)
    with pytest.raises(DataError, match="9_4_s: the image could be any of 9_4_s.bmp, 9_4_s.png"):
        open_dataset("msrc21", tmp_path, "val")


@pytest.mark.parametrize(
    "lines, match",
    [
        (
            ["1_1_s", "2_7_s", "1_1_s"],
            "train.txt: '1_1_s' is listed twice; delete one of the lines",
        ),
        ([], "train.txt: the list is empty; write the images' names in it"),
        (["", "  "], "train.txt: the list is empty"),
    ],
)
def test_faults_of_a_list(
    tmp_path: Path, files: SimpleNamespace, lines: list[str], match: str
) -> None:
    files.msrc21(tmp_path)
    files.list(tmp_path / "train.txt", lines)
    with pytest.raises(DataError, match=match):
        open_dataset("msrc21", tmp_path)


def test_a_list_that_is_no_text(tmp_path: Path, files: SimpleNamespace) -> None:
    files.msrc21(tmp_path)
    (tmp_path / "train.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="train.txt: the list cannot be read as text"):
        open_dataset("msrc21", tmp_path)
