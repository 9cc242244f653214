from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rerank.datasets import colourize, overlay, read_index_mask, save_labels_png, voc_palette
from rerank.datasets.palettes import palette_of
from rerank.errors import DataError, InputError


def slow_voc_palette() -> np.ndarray:
    """The devkit's loop, a bit at a time."""
    palette = np.zeros((256, 3), dtype=np.uint8)
    for label in range(256):
        rest, colour = label, [0, 0, 0]
        for step in range(8):
            for channel in range(3):
                colour[channel] |= ((rest >> channel) & 1) << (7 - step)
            rest >>= 3
        palette[label] = colour
    return palette


def test_voc_palette_agrees_with_the_devkits_loop() -> None:
    np.testing.assert_array_equal(voc_palette(), slow_voc_palette())
    assert len(np.unique(voc_palette(), axis=0)) == 256


def test_palette_of_keeps_the_other_colours() -> None:
    palette = palette_of([(1, 2, 3), (4, 5, 6)])
    assert palette[:2].tolist() == [[1, 2, 3], [4, 5, 6]]
    np.testing.assert_array_equal(palette[2:], voc_palette()[2:])


def test_colourize_and_overlay() -> None:
    labels = np.array([[0, 1, 255], [15, 1, 0]])
    palette = voc_palette()
    colours = colourize(labels, palette)
    assert colours.shape == (2, 3, 3) and colours.dtype == np.uint8
    assert colours[1, 0].tolist() == [192, 128, 128]
    image = np.full((2, 3, 3), 100, dtype=np.uint8)
    np.testing.assert_array_equal(overlay(image, labels, palette, 0.0), image)
    np.testing.assert_array_equal(overlay(image, labels, palette, 1.0), colours)
    assert overlay(image, labels, palette, 0.25)[0, 1].tolist() == [107, 75, 75]


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**31))
@settings(max_examples=10, deadline=None)
def test_a_saved_mask_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, height: int, width: int, seed: int
) -> None:
    labels = np.random.default_rng(seed).integers(0, 256, (height, width))
    path = tmp_path_factory.mktemp("mask") / "m.png"
    save_labels_png(path, labels, voc_palette())
    np.testing.assert_array_equal(read_index_mask(path), labels)
    with Image.open(path) as picture:
        assert picture.mode == "P"
        np.testing.assert_array_equal(
            np.asarray(picture.convert("RGB")), colourize(labels, voc_palette())
        )


@pytest.mark.parametrize(
    "labels, match",
    [
        (np.zeros((2, 2, 3), dtype=int), r"shape \(H, W\)"),
        (np.zeros((2, 2)), "must be integers"),
        (np.array([[0, 256]]), r"0\.\.255, got 0\.\.256"),
        (np.array([[0, -1]]), "got -1"),
    ],
)
def test_bad_labels_are_refused(labels: np.ndarray, match: str) -> None:
    with pytest.raises(InputError, match=match):
        colourize(labels, voc_palette())


def test_bad_arguments_are_refused(tmp_path: Path) -> None:
    labels = np.zeros((2, 3), dtype=np.uint8)
    with pytest.raises(InputError, match=r"\(256, 3\)"):
        colourize(labels, voc_palette()[:21])
    with pytest.raises(InputError, match="alpha must be in 0..1, got 1.5"):
        overlay(np.zeros((2, 3, 3), dtype=np.uint8), labels, voc_palette(), 1.5)
    with pytest.raises(InputError, match=r"\(2, 3, 3\)"):
        overlay(np.zeros((3, 2, 3), dtype=np.uint8), labels, voc_palette())
    with pytest.raises(InputError, match="as .png, got '.jpg'"):
        save_labels_png(tmp_path / "m.jpg", labels, voc_palette())
    with pytest.raises(DataError, match=r"nowhere/m.png: the mask cannot be written"):
        save_labels_png(tmp_path / "nowhere" / "m.png", labels, voc_palette())


def test_a_mask_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.png"
    save_labels_png(path, np.zeros((2, 3), dtype=np.uint8), voc_palette())
    before = path.read_bytes()

    def torn(picture: Image.Image, file: Path, **_options: str) -> None:
        file.write_bytes(b"half")
        raise OSError("no room")

    monkeypatch.setattr(Image.Image, "save", torn)
    with pytest.raises(DataError, match=r"m.png: the mask cannot be written \(no room\)"):
        save_labels_png(path, np.ones((2, 3), dtype=np.uint8), voc_palette())
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
