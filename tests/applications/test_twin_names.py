"""Two files of one name: every command that pairs files refuses them, and names both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rerank.applications.prediction_files import predict_files
from rerank.cli import main
from rerank.datasets import open_dataset
from rerank.errors import DataError

LABELS = np.eye(8, 9, dtype=np.uint8)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for part in ("images", "maps", "labels", "masks/a"):
        (tmp_path / part).mkdir(parents=True)
    Image.fromarray(np.zeros((8, 9, 3), np.uint8)).save(tmp_path / "images" / "a.png")
    np.save(tmp_path / "maps" / "a.npy", np.full((8, 9, 2), 0.5, np.float32))
    Image.fromarray(LABELS).save(tmp_path / "labels" / "a.png")
    Image.fromarray(LABELS).save(tmp_path / "masks" / "a" / "m.png")
    return tmp_path


def command(name: str, files: Path) -> list[str]:
    folders = {part: str(files / part) for part in ("images", "maps", "labels", "masks")}
    maps = ["--probabilities", folders["maps"], "--images", folders["images"]]
    out = ["--out", str(files / "out"), "--quiet"]
    return {
        "propose": ["propose", *maps, *out],
        "dense-crf": ["dense-crf", *maps, *out],
        "fit": [
            "fit",
            *maps,
            "--labels",
            folders["labels"],
            "--out",
            str(files / "m.h5"),
            "--quiet",
        ],
        "rank": ["rank", "--masks", folders["masks"], "--images", folders["images"], *out],
        "evaluate": ["evaluate", "--labels", folders["labels"], str(files / "masks" / "a"), *out],
    }[name]


@pytest.mark.parametrize(
    "name, twin",
    [
        ("propose", "images/a.webp"),
        ("propose", "images/a.PNG"),
        ("propose", "maps/a.npz"),
        ("dense-crf", "images/a.webp"),
        ("fit", "images/a.webp"),
        ("fit", "labels/a.tif"),
        ("rank", "images/a.webp"),
        ("rank", "masks/a/m.tif"),
        ("evaluate", "labels/a.tif"),
        ("evaluate", "masks/a/m.tif"),
    ],
)
def test_two_files_of_one_name(
    files: Path, name: str, twin: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = files / twin
    before = {p.name for p in path.parent.iterdir()}
    if path.suffix == ".npz":
        np.savez(path, np.full((8, 9, 2), 0.5, np.float32))
    else:
        Image.fromarray(LABELS).convert("RGB").save(path)
    if len(list(path.parent.iterdir())) == len(before):
        pytest.skip("this disk makes no difference of upper and lower case")
    assert main(command(name, files)) == 1
    error = capsys.readouterr().err
    assert path.stem in error and "Traceback" not in error
    assert path.name in error and any(other in error for other in before)
    assert not (files / "out").exists() and not (files / "m.h5").exists()


def test_a_prediction_and_a_data_set(files: Path) -> None:
    other = files / "images" / "a.webp"
    Image.fromarray(LABELS).save(other)
    images = sorted((files / "images").iterdir())
    with pytest.raises(DataError, match="two images are called a, .*a.png and .*a.webp"):
        predict_files(files / "no model", images, files / "out")
    with pytest.raises(DataError, match="the image could be any of a.png, a.webp; keep one"):
        open_dataset("folder", files)
