"""COCO's formats: read back by a decoder of our own, and by the COCO API where it is there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rerank.datasets.coco_format import (
    categories,
    class_masks,
    class_segments,
    compressed_counts,
    panoptic_picture,
    run_lengths,
)

MASKS = arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 11)))


def decoded(lengths: list[int], shape: tuple[int, int]) -> np.ndarray:
    """A mask from run lengths, pixel by pixel."""
    flat = [k % 2 == 1 for k, length in enumerate(lengths) for _ in range(length)]
    return np.array(flat).reshape(shape[::-1]).T


def lengths_of(text: str) -> list[int]:
    """The inverse of `compressed_counts`, as the COCO API reads the text."""
    found: list[int] = []
    place = 0
    while place < len(text):
        value, shift, more = 0, 0, True
        while more:
            group = ord(text[place]) - 48
            value |= (group & 31) << shift
            more = bool(group & 32)
            place, shift = place + 1, shift + 5
            if not more and group & 16:
                value |= -1 << shift
        found.append(value + found[-2] if len(found) > 2 else value)
    return found


@given(MASKS)
def test_run_lengths_are_those_of_the_mask(mask: np.ndarray) -> None:
    lengths = run_lengths(mask)
    assert sum(lengths) == mask.size and all(length > 0 for length in lengths[1:])
    np.testing.assert_array_equal(decoded(lengths, mask.shape), mask)


@given(st.lists(st.integers(0, 3_000_000), min_size=1, max_size=12))
def test_the_text_holds_the_lengths(lengths: list[int]) -> None:
    assert lengths_of(compressed_counts(lengths)) == lengths


def test_the_coco_api_reads_the_same() -> None:
    mask_api = pytest.importorskip("pycocotools.mask", reason="no pycocotools")
    rng = np.random.default_rng(0)
    for shape in ((1, 1), (7, 5), (60, 80)):
        mask = rng.random(shape) < 0.4
        ours = compressed_counts(run_lengths(mask))
        assert mask_api.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"] == ours.encode()


def test_segments_and_masks_cover_the_labeling() -> None:
    labels = np.random.default_rng(1).integers(0, 4, (6, 9))
    labels[labels == 2] = 200
    segments, masks = class_segments(labels), class_masks(labels, 5, 11)
    assert sum(s["area"] for s in segments) == labels.size
    picture = panoptic_picture(labels).astype(int) @ [1, 256, 65536]
    found = np.zeros_like(labels)
    for segment, mask in zip(segments, masks):
        assert mask["image_id"] == 5 and mask["bbox"] == segment["bbox"]
        own = decoded(lengths_of(mask["segmentation"]["counts"]), labels.shape)
        np.testing.assert_array_equal(own, picture == segment["id"])
        found[own] = mask["category_id"] - 1
        left, top, width, height = segment["bbox"]
        assert own[top : top + height, left : left + width].sum() == segment["area"] == own.sum()
        assert own[:, left].any() and own[top].any()
    np.testing.assert_array_equal(found, labels)
    assert [mask["id"] for mask in masks] == [11, 12, 13, 14]


def test_categories_are_labels_plus_one() -> None:
    palette = np.zeros((256, 3), np.uint8)
    palette[1] = (1, 2, 3)
    found = categories(("background", "cow"), palette, 0)
    assert found[1] == {
        "id": 2,
        "name": "cow",
        "supercategory": "",
        "isthing": 1,
        "color": [1, 2, 3],
    }
    assert found[0]["isthing"] == 0
