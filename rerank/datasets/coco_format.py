"""Labelings in the formats of COCO: run-length encoded masks, and panoptic segments.

The layouts are those of https://cocodataset.org/#format-data. A segment is all pixels of one class
in one image, since labelings do not tell objects of a class apart. A category's id is its label
plus one, because 0 stands for no segment in a panoptic picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rerank.types import Array, IntArray


def run_lengths(mask: Array) -> list[int]:
    """Lengths of the runs of a mask, column by column, the first one of zeros.

    Parameters
    ----------
    mask : (H, W) bool array

    Returns
    -------
    list of int
        They sum to H W; the first is 0 where the first pixel is set.

    Examples
    --------
    >>> run_lengths(np.array([[0, 1, 1], [0, 1, 0]], dtype=bool))
    [2, 3, 1]
    """
    flat = np.asarray(mask, dtype=bool).ravel(order="F")
    borders = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    first = [0] if len(flat) and flat[0] else []
    return [*first, *np.diff([0, *borders, len(flat)]).tolist()]


def compressed_counts(lengths: Sequence[int]) -> str:
    """Run lengths as the text of COCO's compressed masks.

    Each length, from the third on less the one two places before, is written in groups of five bits
    of two's complement, the lowest first; 32 marks that more follow, and 48 is added so that each
    group is a letter (`rleToString` of the COCO API).

    Parameters
    ----------
    lengths : sequence of int
        Of `run_lengths`.

    Returns
    -------
    str

    Examples
    --------
    >>> compressed_counts([2, 3, 1])
    '231'
    """
    letters = []
    for place, length in enumerate(lengths):
        value = length - lengths[place - 2] if place > 2 else length
        more = True
        while more:
            group = value & 31
            value >>= 5
            more = value != (-1 if group & 16 else 0)
            letters.append(chr((group | 32 if more else group) + 48))
    return "".join(letters)


def class_masks(labels: IntArray, image_id: int, first: int) -> list[dict[str, Any]]:
    """Each class of a labeling as an annotation with a run-length encoded mask.

    Parameters
    ----------
    labels : (H, W) int array
    image_id : int
    first : int
        Id of the first annotation; the next ones follow.

    Returns
    -------
    list of dict
        The annotations as plain values, by rising class.
    """
    found = []
    for offset, segment in enumerate(class_segments(labels)):
        mask = labels == segment["category_id"] - 1
        counts = compressed_counts(run_lengths(mask))
        size = [int(v) for v in labels.shape]
        annotation = {key: value for key, value in segment.items() if key != "id"}
        found.append(
            {
                "id": first + offset,
                "image_id": image_id,
                **annotation,
                "segmentation": {"size": size, "counts": counts},
            }
        )
    return found


def class_segments(labels: IntArray) -> list[dict[str, Any]]:
    """Each class of a labeling as a segment of a panoptic annotation.

    Parameters
    ----------
    labels : (H, W) int array

    Returns
    -------
    list of dict
        `id` and `category_id` (the label plus one), `area` in pixels, `bbox` as left, top, width
        and height, and `iscrowd` 0.

    Examples
    --------
    >>> class_segments(np.array([[0, 0, 2]]))[1]
    {'id': 3, 'category_id': 3, 'area': 1, 'bbox': [2, 0, 1, 1], 'iscrowd': 0}
    """
    found = []
    for label in np.unique(labels):
        rows, columns = np.nonzero(labels == label)
        left, top = int(columns.min()), int(rows.min())
        box = [left, top, int(columns.max()) - left + 1, int(rows.max()) - top + 1]
        number = int(label) + 1
        found.append(
            {"id": number, "category_id": number, "area": len(rows), "bbox": box, "iscrowd": 0}
        )
    return found


def panoptic_picture(labels: IntArray) -> Array:
    """The picture of a panoptic annotation: a segment's id as red + 256 green + 65536 blue.

    Parameters
    ----------
    labels : (H, W) int array

    Returns
    -------
    (H, W, 3) uint8 array
    """
    numbers = np.asarray(labels, dtype=np.int64) + 1
    found: Array = np.stack([numbers >> shift & 255 for shift in (0, 8, 16)], axis=2)
    return found.astype(np.uint8)


def categories(
    class_names: Sequence[str], palette: Array, background: int | None
) -> list[dict[str, Any]]:
    """The classes of a data set as categories.

    Parameters
    ----------
    class_names : sequence of str
    palette : (256, 3) uint8 array
    background : int or None
        The class that is no thing.

    Returns
    -------
    list of dict
    """
    return [
        {
            "id": label + 1,
            "name": name,
            "supercategory": "",
            "isthing": int(label != background),
            "color": [int(v) for v in palette[label]],
        }
        for label, name in enumerate(class_names)
    ]
