from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from rerank.datasets.image_files import (
    read_image,
    read_index_mask,
    read_sbd_mask,
    read_threshold_mask,
)
from rerank.errors import DataError

RNG = np.random.default_rng(3)
RGB = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)
GREY = RNG.integers(0, 256, (5, 7), dtype=np.uint8)


def saved(path: Path, array: np.ndarray, mode: str | None = None, **options: object) -> Path:
    picture = Image.fromarray(array)
    (picture if mode is None else picture.convert(mode)).save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "webp"])
def test_rgb_comes_as_it_is(tmp_path: Path, suffix: str) -> None:
    options = {"lossless": True} if suffix == "webp" else {}
    image = read_image(saved(tmp_path / f"i.{suffix}", RGB, **options))
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, RGB)


def test_greyscale_is_repeated(tmp_path: Path) -> None:
    expected = np.repeat(GREY[:, :, None], 3, axis=2)
    np.testing.assert_array_equal(read_image(saved(tmp_path / "i.png", GREY)), expected)
    with_alpha = np.stack([GREY, 255 - GREY], axis=2)
    np.testing.assert_array_equal(read_image(saved(tmp_path / "a.png", with_alpha)), expected)
    bits = saved(tmp_path / "b.png", GREY > 127)
    np.testing.assert_array_equal(read_image(bits)[:, :, 1], np.where(GREY > 127, 255, 0))


def test_alpha_is_dropped_and_colours_stay(tmp_path: Path) -> None:
    path = saved(tmp_path / "i.png", np.dstack([RGB, GREY]))
    np.testing.assert_array_equal(read_image(path), RGB)


@pytest.mark.parametrize("transparency", [None, 3, bytes(range(256))])
def test_palettes_are_resolved(tmp_path: Path, transparency: int | bytes | None) -> None:
    palette = RNG.integers(0, 256, (256, 3), dtype=np.uint8)
    picture = Image.fromarray(GREY)
    picture.putpalette(palette.tobytes())
    options = {} if transparency is None else {"transparency": transparency}
    picture.save(tmp_path / "i.png", **options)
    np.testing.assert_array_equal(read_image(tmp_path / "i.png"), palette[GREY])


def test_sixteen_bits_are_scaled_by_their_full_scale(tmp_path: Path) -> None:
    values = np.array([[0, 257, 65535], [128, 129, 1000]], dtype=np.uint16)
    for suffix in ("png", "tif"):
        image = read_image(saved(tmp_path / f"i.{suffix}", values))
        np.testing.assert_array_equal(image[:, :, 0], [[0, 1, 255], [0, 1, 4]])


@pytest.mark.parametrize(
    "values, match",
    [
        (np.full((2, 3), 70000, dtype=np.int32), r"32-bit values \(70000\.\.70000\)"),
        (np.full((2, 3), 0.5, dtype=np.float32), "floating-point values"),
    ],
)
def test_values_without_a_full_scale_are_refused(
    tmp_path: Path, values: np.ndarray, match: str
) -> None:
    with pytest.raises(DataError, match=f"i.tif: the image holds {match}.*; save it with 8 or 16"):
        read_image(saved(tmp_path / "i.tif", values))


def test_cmyk_is_converted(tmp_path: Path) -> None:
    flat = np.full((16, 16, 3), (200, 60, 30), dtype=np.uint8)
    image = read_image(saved(tmp_path / "i.jpg", flat, "CMYK", quality=95))
    assert image.shape == (16, 16, 3)
    assert np.abs(image.astype(int) - (200, 60, 30)).max() < 12


def test_a_noted_rotation_is_carried_out(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = saved(tmp_path / "i.png", RGB, exif=exif)
    np.testing.assert_array_equal(read_image(path), np.rot90(RGB, -1))


def test_the_first_of_several_frames_is_taken(tmp_path: Path) -> None:
    first, second = (Image.fromarray(np.full((4, 6, 3), v, dtype=np.uint8)) for v in (40, 200))
    first.save(tmp_path / "i.tif", save_all=True, append_images=[second])
    assert read_image(tmp_path / "i.tif").max() == 40


def test_a_1x1_image(tmp_path: Path) -> None:
    assert read_image(saved(tmp_path / "i.png", RGB[:1, :1])).shape == (1, 1, 3)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("name", ["i.png", "i.jpg", "i.bmp", "i.webp", "i.tif", "i.gif"])
def test_half_a_file_is_an_error_that_names_it(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path / name, np.repeat(np.repeat(RGB, 9, axis=0), 9, axis=1))
    truncated(path)
    with pytest.raises(DataError, match=rf"{name}: the image cannot be read \(.*; replace") as got:
        read_image(path)
    assert "\n" not in str(got.value)


def test_damage_within_a_png(tmp_path: Path) -> None:
    path = saved(tmp_path / "i.png", RGB)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DataError, match="i.png: the image cannot be read"):
        read_image(path)


@pytest.mark.parametrize(
    "read, what",
    [
        (read_image, "image"),
        (read_index_mask, "mask"),
        (read_threshold_mask, "mask"),
        (read_sbd_mask, "mask"),
    ],
)
def test_missing_files_folders_and_texts(tmp_path: Path, read, what: str) -> None:
    with pytest.raises(DataError, match=f"x.mat: the {what} is missing; put it there"):
        read(tmp_path / "x.mat")
    (tmp_path / "text.mat").write_text("no picture", encoding="utf-8")
    with pytest.raises(DataError, match=rf"text.mat: the {what} cannot be read \("):
        read(tmp_path / "text.mat")
    (tmp_path / "empty.mat").write_bytes(b"")
    with pytest.raises(DataError, match=rf"empty.mat: the {what} cannot be read \("):
        read(tmp_path / "empty.mat")


def test_a_folder_in_place_of_an_image(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the image is not a file"):
        read_image(tmp_path)


def test_index_masks_of_every_kind(tmp_path: Path) -> None:
    labels = RNG.integers(0, 21, (5, 7), dtype=np.uint8)
    paletted = Image.fromarray(labels)
    paletted.putpalette(bytes(range(256)) * 3)
    paletted.save(tmp_path / "p.png")
    saved(tmp_path / "l.png", labels)
    saved(tmp_path / "i16.png", labels.astype(np.uint16))
    saved(tmp_path / "rgb.png", np.repeat(labels[:, :, None], 3, axis=2))
    for name in ("p", "l", "i16", "rgb"):
        values = read_index_mask(tmp_path / f"{name}.png")
        assert np.issubdtype(values.dtype, np.integer)
        np.testing.assert_array_equal(values, labels)
    np.testing.assert_array_equal(
        read_index_mask(saved(tmp_path / "b.png", labels > 9)), labels > 9
    )


def test_a_mask_of_colours_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="m.png: a mask must hold one label a pixel.*a RGB picture"):
        read_index_mask(saved(tmp_path / "m.png", RGB))


def test_threshold_masks_survive_jpeg(tmp_path: Path) -> None:
    truth = np.zeros((24, 32), dtype=np.uint8)
    truth[8:16, 8:24] = 1
    path = saved(tmp_path / "m.jpg", 255 * truth, quality=60)
    np.testing.assert_array_equal(read_threshold_mask(path), truth)
    levels = np.array([[126, 127, 128, 129]], dtype=np.uint8)
    assert read_threshold_mask(saved(tmp_path / "m.png", levels)).tolist() == [[0, 0, 1, 1]]


def test_sbd_masks(tmp_path: Path) -> None:
    labels = RNG.integers(0, 21, (1, 7), dtype=np.uint8)
    scipy.io.savemat(tmp_path / "a.mat", {"GTcls": {"Segmentation": labels}})
    np.testing.assert_array_equal(read_sbd_mask(tmp_path / "a.mat"), labels)
    scipy.io.savemat(tmp_path / "inst.mat", {"GTinst": {"Segmentation": labels}})
    with pytest.raises(DataError, match="no GTcls.Segmentation; take the files of SBD's folder"):
        read_sbd_mask(tmp_path / "inst.mat")
    scipy.io.savemat(tmp_path / "float.mat", {"GTcls": {"Segmentation": labels * 0.5}})
    with pytest.raises(DataError, match="must be integers"):
        read_sbd_mask(tmp_path / "float.mat")
    truncated(tmp_path / "a.mat")
    with pytest.raises(DataError, match="a.mat: the mask cannot be read"):
        read_sbd_mask(tmp_path / "a.mat")
