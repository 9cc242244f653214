"""What a page knows of an image: pictures that keep every number, and reasons that are counted."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from PIL import Image

from rerank.reports.embedded_pictures import exact_picture
from rerank.reports.image_record import (
    VIEW_WIDTH,
    SeenImage,
    changes,
    decided,
    gallery_record,
    thumbnail,
    view_record,
)


def read(uri: str) -> np.ndarray:
    """Numbers of an exact picture in a data URI."""
    raw = base64.b64decode(uri.split(",", 1)[1])
    return np.asarray(Image.open(io.BytesIO(raw)).convert("RGB")).astype(int) @ [1, 256, 65536]


def seen(height: int = 24, width: int = 40, **changed: Any) -> SeenImage:
    rng = np.random.default_rng(0)
    superpixels = np.arange(height * width).reshape(height, width) // 10
    n = superpixels.max() + 1
    labels = rng.integers(0, 3, (height, width)).astype(np.uint8)
    histogram = np.stack(
        [np.bincount(superpixels[labels == k], minlength=n) for k in range(3)], axis=1
    )
    values: dict[str, Any] = dict(
        image_id="a/b",
        part="final",
        image=rng.integers(0, 256, (height, width, 3), dtype=np.uint8),
        labels=labels,
        superpixels=superpixels,
        histogram=histogram,
        labelings=rng.integers(0, 3, (4, n)).astype(np.uint8),
        energies=np.array([1.0, 2.0, 3.0, 4.0]),
        lower_bounds=np.array([0.5, -np.inf, 3.0, 4.0]),
        scores=np.array([0.1, 0.4, 0.2, 0.3]),
        ious=np.array([0.5, 0.25, np.nan, 0.75]),
        generators=("map", "a", "b", "b"),
        parameters=("{}", '{"bandwidth": 0.25, "turn": 1}', "{}", "{}"),
        families={"energy": np.array([0.1, 0.1, 0.2, 0.2]), "samples": np.array([0, 0.3, 0, 0.1])},
        reference=0,
        oracle=3,
        in_set=(1, 3),
        doubt=np.linspace(0, 1, n),
        confidence=float("inf"),
        kept=True,
    )
    return SeenImage(**{**values, **changed})


def test_exact_pictures_keep_every_number() -> None:
    values = np.random.default_rng(1).integers(0, 1 << 24, (37, 53))
    values[0, :4] = [0, 255, 65535, (1 << 24) - 1]
    raw = exact_picture(values)
    back = np.asarray(Image.open(io.BytesIO(raw)).convert("RGB")).astype(int) @ [1, 256, 65536]
    np.testing.assert_array_equal(back, values)


def test_a_view_holds_regions_truth_and_labelings() -> None:
    image = seen()
    view = view_record(image)
    np.testing.assert_array_equal(read(view["regions"]), image.superpixels)
    np.testing.assert_array_equal(read(view["truth"]), image.labels)
    np.testing.assert_array_equal(read(view["labelings"]), image.labelings)
    assert view["gaps"] == [0.5, None, 0.0, 0.0] and view["set"] == [1, 3]
    assert view["parameters"][1] == "bandwidth 0.25, turn 1"
    areas = np.bincount(image.superpixels.ravel())
    moved = (image.labelings[2] != image.labelings[0]) @ areas / areas.sum()
    assert view["changed"][2] == round(float(moved), 4) and view["changed"][0] == 0


def test_a_wide_image_is_shown_smaller_and_its_labels_are_not_mixed() -> None:
    image = seen(60, 2 * VIEW_WIDTH)
    view = view_record(image)
    regions = read(view["regions"])
    assert regions.shape == (30, VIEW_WIDTH) and view["size"] == [2 * VIEW_WIDTH, 60]
    np.testing.assert_array_equal(regions, image.superpixels[1::2, 1::2])


def test_changes_are_counted_over_pixels() -> None:
    image = seen()
    before, after = image.labelings[0], image.labelings[3]
    areas = np.bincount(image.superpixels.ravel())
    found = changes(before, after, image.histogram, areas, most=9)
    pixels = before[image.superpixels], after[image.superpixels], image.labels
    for source, target, share, right, wrong in found:
        moved = (pixels[0] == source) & (pixels[1] == target)
        assert share == round(float(moved.mean()), 4)
        assert right == round(float((moved & (pixels[2] == target)).mean()), 4)
        assert wrong == round(float((moved & (pixels[2] == source)).mean()), 4)
    assert sum(row[2] for row in found) > 0.5
    assert [row[2] for row in found] == sorted((row[2] for row in found), reverse=True)


def test_the_gallery_tells_margin_and_reason() -> None:
    found = gallery_record(seen(), 1)
    assert found["iou"] == [5000, 2500, None, 7500]
    assert found["margin"] == 0.3 and found["margin_oracle"] == 0.1
    assert found["why"] == [["samples", 0.3]]
    assert found["why_missed"] == [["samples", 0.2], ["energy", -0.1]]
    assert found["confidence"] is None and found["kept"] == 1 and found["classes"] == [0, 1, 2]
    assert decided({"energy": np.array([1.0, 1.0])}, 0, 1) == []


def test_thumbnails_are_small() -> None:
    palette = np.random.default_rng(0).integers(0, 256, (256, 3)).astype(np.uint8)
    raw = thumbnail(seen(90, 400), 1, palette)
    assert Image.open(io.BytesIO(raw)).size == (120, 27) and len(raw) < 6000
