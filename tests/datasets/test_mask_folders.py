from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rerank.datasets.mask_folders import list_masks, match_endings, read_ids, without_suffix
from rerank.errors import DataError


def folder(path: Path, *names: str) -> Path:
    path.mkdir()
    for name in names:
        Image.fromarray(np.zeros((2, 3), np.uint8)).save(path / name)
    return path


def test_plain_names(tmp_path: Path) -> None:
    masks = list_masks(folder(tmp_path / "m", "b.png", "a.bmp", "c.jpg"), "labels")
    assert (list(masks.paths), masks.ending) == (["a", "b"], "")


def test_of_the_files_of_propose_the_choices_are_taken(tmp_path: Path) -> None:
    names = ("a_segmentation.png", "a_overlay.png", "b_segmentation.png", "b_overlay.png")
    masks = list_masks(folder(tmp_path / "m", *names), "predictions")
    assert (list(masks.paths), masks.ending) == (["a", "b"], "_segmentation")
    assert masks.called("c") == "c_segmentation.png"


@pytest.mark.parametrize(
    "labels, predictions, ids, endings",
    [
        (("a.png", "b.png"), ("a.png", "b.png"), ["a", "b"], ("", "")),
        (("a_GT.png", "b_GT.png"), ("a.png", "b.png"), ["a", "b"], ("_GT", "")),
        (("a.png", "b.png"), ("a-pred.png", "b-pred.png"), ["a", "b"], ("", "-pred")),
        (("1.png", "10.png", "100.png"), ("1.png", "10.png"), ["1", "10"], ("", "")),
        (("a_GT.png",), ("a_segmentation.png", "a_overlay.png"), ["a"], ("_GT", "_segmentation")),
    ],
)
def test_endings(
    tmp_path: Path,
    labels: tuple[str, ...],
    predictions: tuple[str, ...],
    ids: list[str],
    endings: tuple[str, str],
) -> None:
    truth = list_masks(folder(tmp_path / "l", *labels), "labels")
    found = list_masks(folder(tmp_path / "p", *predictions), "predictions")
    truth, found = match_endings(truth, found)
    assert [name for name in truth.paths if name in found.paths] == ids
    assert (truth.ending, found.ending) == endings
    assert all(path.is_file() for path in found.paths.values())


def test_a_list_of_names(tmp_path: Path) -> None:
    (tmp_path / "l.txt").write_text("a.jpg\nb\n2007_1.5\n")
    assert read_ids(tmp_path / "l.txt") == ["a", "b", "2007_1.5"]
    assert without_suffix("x.PNG") == "x"
    assert read_ids(tmp_path / "l.txt", ["a.jpg"]) == ["a.jpg", "b", "2007_1.5"]
    (tmp_path / "l.txt").write_text("a.jpg\na.png\n")
    with pytest.raises(DataError, match="a stands twice"):
        read_ids(tmp_path / "l.txt")
    (tmp_path / "l.txt").write_text("\n")
    with pytest.raises(DataError, match="empty"):
        read_ids(tmp_path / "l.txt")


def test_errors_say_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no such folder; give the folder of the labels"):
        list_masks(tmp_path / "none", "labels")
    with pytest.raises(DataError, match=r"holds no masks .*give the folder of the predictions"):
        list_masks(folder(tmp_path / "e"), "predictions")
    (tmp_path / "f" / "img_1").mkdir(parents=True)
    with pytest.raises(DataError, match="it holds folders such as img_1"):
        list_masks(tmp_path / "f", "labels")
    with pytest.raises(DataError, match="has the same name"):
        list_masks(folder(tmp_path / "t", "a.png", "a.bmp"), "labels")
