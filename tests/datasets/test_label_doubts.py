"""Masks that can be read and are not what they seem."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from rerank.applications.label_files import find_labels
from rerank.applications.mask_set_files import MaskedImage, check_masked_images
from rerank.cli import main
from rerank.datasets import check_dataset, open_dataset
from rerank.datasets.label_doubts import certain
from rerank.errors import DataError


@pytest.fixture
def binary(tmp_path: Path, files: SimpleNamespace) -> Path:
    """Masks of 0 and 255, as most tools save them."""
    mask = np.zeros(files.make_image(0).shape[:2], np.uint8)
    mask[2:5, 2:6] = 255
    for seed, name in enumerate("abc"):
        files.image(tmp_path / "images" / f"{name}.png", seed)
        files.mask(tmp_path / "labels" / f"{name}.png", mask)
    return tmp_path


def test_a_foreground_of_255_is_found(binary: Path) -> None:
    remedy = "if 255 is the foreground, save the masks with 1 in its place"
    for options in ({}, {"n_classes": 2}, {"class_names": ["ground", "figure"]}):
        found = check_dataset("folder", binary, **options)
        assert certain(found) and remedy in found[0].remedy
    with pytest.raises(DataError, match=f"hold nothing but 0 and 255, which is void; {remedy}"):
        open_dataset("folder", binary)
    # Without void 255 is no class, and the remedy is said too.
    data = open_dataset("folder", binary, n_classes=2, ignore_index=None)
    with pytest.raises(DataError, match="found 255.*if 255 is the foreground, save 1"):
        data["a"]


def test_labels_beside_maps_and_masks(binary: Path) -> None:
    images = sorted((binary / "images").iterdir())
    with pytest.raises(DataError, match="labels: the masks hold nothing but 0 and 255"):
        find_labels(binary / "labels", images, 2, 255)
    item = MaskedImage("a", images[0], (), (binary / "labels" / "a.png",))
    with pytest.raises(DataError, match="labels: the masks hold nothing but 0 and 255"):
        check_masked_images([item], 255, 2)


def test_one_class_and_void_may_be_meant(binary: Path) -> None:
    assert check_dataset("folder", binary, n_classes=1) == []


def test_classes_that_occur_nowhere_and_everywhere(tmp_path: Path, files: SimpleNamespace) -> None:
    for seed, name in enumerate("ab"):
        files.image(tmp_path / "images" / f"{name}.png", seed)
        files.mask(tmp_path / "labels" / f"{name}.png", files.make_labels(seed, 2))
    assert check_dataset("folder", tmp_path, n_classes=2) == []
    (found,) = check_dataset("folder", tmp_path, class_names=["sky", "sea", "ship", "gull"])
    assert "2 of 4 classes occur in no mask: ship (2), gull (3)" in found.problem
    assert found.doubtful and not certain([found])


def test_the_command_tells_doubts_from_problems(
    tmp_path: Path, files: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    files.image(tmp_path / "images" / "a.png", 0)
    files.mask(tmp_path / "labels" / "a.png", files.make_labels(0, 2))
    (tmp_path / "classes.txt").write_text("sky\nsea\nship\n")
    command = ["data", "check", "folder", "--root", str(tmp_path)]
    assert main(command) == 0
    assert "every file is in order, and 1 to look at" in capsys.readouterr().out
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["problems"][0]["doubtful"] is True
    (tmp_path / "labels" / "a.png").write_bytes(b"")
    assert main(command) == 1


def write_turned(folder: Path, shape: tuple[int, int], turns: tuple[int, int]) -> None:
    """An image and its mask, both of one stored size but where they are turned by a quarter."""
    for part, turn in zip(("images", "labels"), turns):
        (folder / part).mkdir(exist_ok=True)
        sides = shape if turn < 5 or 1 not in turns or shape[0] == shape[1] else shape[::-1]
        values = np.arange(sides[0] * sides[1]).reshape(sides) % 2
        picture = Image.fromarray(values.astype(np.uint8))
        exif = Image.Exif()
        exif[0x0112] = turn
        options = {} if turn == 1 else {"exif": exif}
        (picture.convert("RGB") if part == "images" else picture).save(
            folder / part / "a.png", **options
        )


@pytest.mark.parametrize(
    "shape, turns, doubt",
    [
        ((6, 9), (6, 6), False),  # both are turned
        ((6, 9), (6, 1), False),  # the mask was drawn on the turned image, as sizes show
        ((6, 9), (3, 1), True),
        ((6, 9), (2, 1), True),
        ((6, 9), (1, 4), True),
        ((6, 9), (6, 8), True),
        ((6, 6), (6, 1), True),
    ],
)
def test_turns_that_disagree(
    tmp_path: Path, shape: tuple[int, int], turns: tuple[int, int], doubt: bool
) -> None:
    write_turned(tmp_path, shape, turns)
    found = check_dataset("folder", tmp_path, n_classes=2)
    assert len(found) == doubt and all(x.doubtful for x in found)
    if doubt:
        assert f"(orientation {turns[0]}) in another way than this mask" in found[0].problem


def test_a_mask_of_the_image_as_it_is_stored(tmp_path: Path, files: SimpleNamespace) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "images").mkdir()
    Image.fromarray(files.make_image(0)).save(tmp_path / "images" / "a.jpg", exif=exif)
    files.mask(tmp_path / "labels" / "a.png", files.make_labels(0, 2))
    (found,) = certain(check_dataset("folder", tmp_path, n_classes=2))
    assert "as its EXIF data turn it" in found.problem
    assert "save the image without an orientation" in found.remedy
