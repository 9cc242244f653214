import base64
import io

import numpy as np
import pytest
from PIL import Image

from rerank.reports import data_uri, label_picture, photograph

PALETTE = np.stack([np.arange(256), np.arange(256)[::-1], np.arange(256) // 2], 1).astype(np.uint8)


def opened(picture: bytes) -> Image.Image:
    return Image.open(io.BytesIO(picture))


def test_labels_and_palette_come_back() -> None:
    labels = np.random.default_rng(0).choice([0, 1, 7, 255], (13, 17))
    picture = opened(label_picture(labels, PALETTE))
    assert picture.format == "PNG" and picture.mode == "P"
    np.testing.assert_array_equal(np.asarray(picture.convert("RGB")), PALETTE[labels])


def test_labels_are_not_mixed_when_scaled_down() -> None:
    labels = np.zeros((20, 40), np.int64)
    labels[:, 20:] = 200
    colours = np.asarray(opened(label_picture(labels, PALETTE, width=10)).convert("RGB"))
    assert colours.shape == (5, 10, 3)
    assert {tuple(c) for c in colours.reshape(-1, 3)} == {tuple(PALETTE[0]), tuple(PALETTE[200])}


@pytest.mark.parametrize("width, size", [(0, (60, 30)), (20, (20, 10)), (90, (60, 30))])
def test_photographs_are_scaled_down_only(width: int, size: tuple[int, int]) -> None:
    image = np.full((30, 60, 3), (200, 100, 50), np.uint8)
    picture = opened(photograph(image, width))
    assert picture.format == "JPEG" and picture.size == size
    np.testing.assert_allclose(
        np.asarray(picture), np.broadcast_to(image[0, 0], (*size[::-1], 3)), atol=4
    )


def test_a_data_uri_holds_the_bytes() -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    for kind, picture in (
        ("jpeg", photograph(image)),
        ("png", label_picture(image[..., 0], PALETTE)),
    ):
        head, text = data_uri(picture).split(",")
        assert head == f"data:image/{kind};base64" and base64.b64decode(text) == picture
