"""Masks as programs write them: every value as it is in the file, or a clear refusal."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rerank.datasets import read_image, read_index_mask
from rerank.datasets.image_files import image_orientation, image_size, read_threshold_mask
from rerank.errors import DataError

RNG = np.random.default_rng(5)
LABELS = RNG.integers(0, 15, (5, 7)).astype(np.uint8)
REMEDY = "save it as a greyscale or palette PNG whose pixel values are the labels"


def png(path: Path, values: np.ndarray, depth: int, colours: int = 0, extra: bytes = b"") -> Path:
    """A PNG of samples (H, W) or (H, W, channels), by hand."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + crc

    height, width = values.shape[:2]
    rows = b""
    for row in values.reshape(height, -1):
        bits = "".join(format(int(v), f"0{depth}b") for v in row)
        bits += "0" * (-len(bits) % 8)
        rows += b"\0" + int(bits, 2).to_bytes(len(bits) // 8, "big")
    head = struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + extra
        + (chunk(b"PLTE", bytes(3 * min(256, 1 << depth))) if colours == 3 else b"")
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    return path


def tiff(path: Path, values: np.ndarray, bits: int, photometric: int | None = 1) -> Path:
    """A greyscale TIFF of one strip, by hand; without its tag where `photometric` is None."""
    height, width = values.shape
    rows = b""
    for row in values:
        text = "".join(format(int(v), f"0{bits}b") for v in row)
        text += "0" * (-len(text) % 8)
        part = int(text, 2).to_bytes(len(text) // 8, "big")
        rows += part if bits < 16 else np.frombuffer(part, ">u2").astype("<u2").tobytes()
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, photometric), (273, 8)]
    tags += [(277, 1), (278, height), (279, len(rows))]
    entries = [struct.pack("<HHII", tag, 4, 1, v) for tag, v in tags if v is not None]
    at = 8 + len(rows) + len(rows) % 2
    directory = struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    path.write_bytes(b"II*\0" + struct.pack("<I", at) + rows + bytes(len(rows) % 2) + directory)
    return path


def bmp(path: Path, values: np.ndarray, bits: int, greys: list[int]) -> Path:
    """A BMP with a palette of greys, by hand."""
    height, width = values.shape
    rows = b""
    for row in values[::-1]:
        text = "".join(format(int(v), f"0{bits}b") for v in row)
        text += "0" * (-len(text) % 32)
        rows += int(text, 2).to_bytes(len(text) // 8, "big")
    palette = b"".join(bytes([g, g, g, 0]) for g in greys)
    at = 54 + len(palette)
    head = struct.pack(
        "<IiiHHIIiiII", 40, width, height, 1, bits, 0, len(rows), 0, 0, len(greys), 0
    )
    path.write_bytes(b"BM" + struct.pack("<IHHI", at + len(rows), 0, 0, at) + head + palette + rows)
    return path


def refused(path: Path, about: str) -> None:
    with pytest.raises(DataError, match=f"{path.name}: .*{about}.*; ") as caught:
        read_index_mask(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_grey_png_of_every_depth(tmp_path: Path, depth: int) -> None:
    labels = RNG.integers(0, min(1 << depth, 60000), (5, 7))
    found = read_index_mask(png(tmp_path / "m.png", labels, depth))
    assert np.issubdtype(found.dtype, np.integer)
    np.testing.assert_array_equal(found, labels)


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_palette_png_of_every_depth(tmp_path: Path, depth: int) -> None:
    labels = RNG.integers(0, 1 << depth, (5, 7))
    np.testing.assert_array_equal(
        read_index_mask(png(tmp_path / "m.png", labels, depth, 3)), labels
    )


def test_images_of_few_bits_are_shown_at_full_scale(tmp_path: Path) -> None:
    for depth, full in ((2, 3), (4, 15)):
        path = png(tmp_path / "i.png", np.array([[0, 1, full]]), depth)
        assert read_image(path)[0, :, 0].tolist() == [0, 255 // full, 255]


@pytest.mark.parametrize("mode", ["RGB", "LA", "RGBA", "PA"])
def test_channels_that_say_the_same(tmp_path: Path, mode: str) -> None:
    """Three equal channels, and alpha that is opaque, are one label a pixel."""
    grey = Image.fromarray(LABELS)
    if mode == "PA":
        grey.putpalette(bytes(range(256)) * 3)
        grey.convert("PA").save(tmp_path / "m.tif")
        np.testing.assert_array_equal(read_index_mask(tmp_path / "m.tif"), LABELS)
        return
    path = tmp_path / "m.png"
    grey.convert(mode).save(path)
    np.testing.assert_array_equal(read_index_mask(path), LABELS)
    if mode != "RGB":
        values = np.array(Image.open(path))
        values[2, 3, -1] = 254
        Image.fromarray(values).save(path)
        refused(path, "partly transparent")


@pytest.mark.parametrize("colours, channels", [(2, 3), (6, 4), (4, 2)])
def test_channels_of_16_bits_are_refused(tmp_path: Path, colours: int, channels: int) -> None:
    """Pillow keeps their high bytes alone: every label below 256 would be 0."""
    labels = np.repeat(LABELS.astype(int)[:, :, None], channels, axis=2)
    labels[:, :, -1] = 65535 if channels in (2, 4) else labels[:, :, 0]
    refused(png(tmp_path / "m.png", labels, 16, colours), "16 bits a channel")


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_tiff_of_every_depth(tmp_path: Path, bits: int) -> None:
    labels = RNG.integers(0, min(1 << bits, 60000), (5, 7))
    np.testing.assert_array_equal(read_index_mask(tiff(tmp_path / "m.tif", labels, bits)), labels)
    # White is 0, or the file does not say: programs disagree about which value is a label.
    for photometric in (0, None):
        path = tiff(tmp_path / "n.tif", labels, bits, photometric)
        refused(path, "inverted .WhiteIsZero.")


def test_an_inverted_image_is_shown_as_it_is_meant(tmp_path: Path) -> None:
    for bits, values in ((8, [0, 10, 255]), (16, [0, 2570, 65535])):
        path = tiff(tmp_path / "i.tif", np.array([values]), bits, 0)
        assert read_image(path)[0, :, 0].tolist() == [255, 245, 0]


@pytest.mark.parametrize("largest", [1, 20, 254, 255, 1000, 65535])
@pytest.mark.parametrize("plain", [False, True])
def test_pgm_is_not_stretched_to_its_full_scale(tmp_path: Path, largest: int, plain: bool) -> None:
    labels = RNG.integers(0, largest + 1, (5, 7))
    path = tmp_path / "m.pgm"
    if plain:
        path.write_text(f"P2\n# by hand\n7 5\n{largest}\n{' '.join(map(str, labels.ravel()))}\n")
    else:
        stored = labels.astype(np.uint8 if largest < 256 else ">u2").tobytes()
        path.write_bytes(b"P5\n7 5\n%d\n" % largest + stored)
    np.testing.assert_array_equal(read_index_mask(path), labels)


def test_a_pbm_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.pgm").write_bytes(b"P4\n8 1\n\xf0")
    refused(tmp_path / "m.pgm", "1 is black")


@pytest.mark.parametrize(
    "bits, greys",
    [(1, [0, 255]), (1, [255, 0]), (4, [9] * 16), (8, list(range(256))), (8, [9] * 256)],
)
def test_bitmaps(tmp_path: Path, bits: int, greys: list[int]) -> None:
    labels = LABELS.astype(int) % (1 << bits)
    np.testing.assert_array_equal(
        read_index_mask(bmp(tmp_path / "m.bmp", labels, bits, greys)), labels
    )


@pytest.mark.parametrize("bits, greys", [(4, list(range(16))), (4, [0, 255]), (8, [0, 255])])
def test_bitmaps_that_pillow_misreads(tmp_path: Path, bits: int, greys: list[int]) -> None:
    path = bmp(tmp_path / "m.bmp", LABELS % len(greys), bits, greys)
    refused(path, f"a bitmap of {bits} bits a pixel")
    with pytest.raises(DataError, match="m.bmp: the image is a bitmap of"):
        read_image(path)


@pytest.mark.parametrize("kind, about", [("JPEG", "JPEG"), ("WEBP", "WEBP")])
def test_formats_that_change_labels(tmp_path: Path, kind: str, about: str) -> None:
    path = tmp_path / "m.png"  # whatever its ending is
    Image.fromarray(LABELS).save(path, kind)
    refused(path, f"a {about}, which changes labels")


def test_lossless_webp_and_gif(tmp_path: Path) -> None:
    Image.fromarray(LABELS).convert("RGB").save(tmp_path / "m.webp", lossless=True)
    np.testing.assert_array_equal(read_index_mask(tmp_path / "m.webp"), LABELS)
    paletted = Image.fromarray(LABELS)
    paletted.putpalette(bytes(range(255, -1, -1)) * 3)
    paletted.save(tmp_path / "m.gif", optimize=False)
    np.testing.assert_array_equal(read_index_mask(tmp_path / "m.gif"), LABELS)


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_masks_turn_as_their_images_do(tmp_path: Path, turn: int, suffix: str) -> None:
    """By the definition of each orientation, and not by Pillow, which misreads turned TIFFs."""
    exif = Image.Exif()
    exif[0x0112] = turn
    path = tmp_path / f"m.{suffix}"
    Image.fromarray(LABELS).save(path, exif=exif)
    upright = [
        LABELS,
        LABELS[:, ::-1],
        LABELS[::-1, ::-1],
        LABELS[::-1],
        LABELS.T,
        np.rot90(LABELS, -1),
        LABELS[::-1, ::-1].T,
        np.rot90(LABELS),
    ][turn - 1]
    np.testing.assert_array_equal(read_index_mask(path), upright)
    np.testing.assert_array_equal(read_image(path)[:, :, 0], upright)
    np.testing.assert_array_equal(read_threshold_mask(path), upright > 127)
    assert image_size(path) == upright.shape and image_orientation(path) == turn


def test_pictures_that_are_too_large(tmp_path: Path) -> None:
    path = png(tmp_path / "m.png", LABELS, 8)
    content = bytearray(path.read_bytes())
    content[16:24] = struct.pack(">II", 60_000, 60_000)
    content[29:33] = struct.pack(">I", zlib.crc32(bytes(content[12:29])))
    path.write_bytes(content)
    for read, what in ((read_image, "image"), (read_index_mask, "mask"), (image_size, "image")):
        with pytest.raises(DataError, match=f"m.png: the {what} has .*more than 178956970 pixels"):
            read(path)


def test_no_other_decoder_of_pillow_is_open(tmp_path: Path) -> None:
    """That of EPS runs Ghostscript on the file."""
    (tmp_path / "i.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EOF\n")
    with pytest.raises(DataError, match="i.png: the image cannot be read .cannot identify"):
        read_image(tmp_path / "i.png")


def test_no_permission_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = png(tmp_path / "m.png", LABELS, 8)

    def closed(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("builtins.open", closed)
    with pytest.raises(DataError, match="cannot be opened .Permission denied.; see that you may"):
        read_index_mask(path)
