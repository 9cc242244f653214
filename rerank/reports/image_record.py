"""One image as a page shows it: its line in the gallery, and all that its own view draws.

A view holds the photograph, the regions and the labelings as pictures. The page paints a labeling,
an error map or an overlay from them, so that thirty proposals cost hardly more than one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rerank.datasets import painted_classes
from rerank.reports.embedded_pictures import data_uri, exact_picture, small_photograph
from rerank.types import Array, FloatArray, IntArray

#: Width in pixels of the pictures of an image's own view, at most.
VIEW_WIDTH = 360
#: Width in pixels of a gallery's picture, at most.
THUMBNAIL_WIDTH = 120
#: Changes of class, and families of columns, that are listed.
LISTED = 3


@dataclass(frozen=True, eq=False)
class SeenImage:
    """One image with its proposals and what is known of them.

    Attributes
    ----------
    image_id, part : str
        The part is a fold or `final`.
    image : (H, W, 3) uint8 array
    labels : (H, W) uint8 array
        The truth.
    superpixels : (H, W) int array
    histogram : (n, C) int array
        Pixels of each true class in each region.
    labelings : (M, n) uint8 array
    energies, lower_bounds, scores, ious : (M,) float arrays
        An IoU is NaN where no pixel is labelled.
    generators, parameters : sequence of M str
        Parameters are JSON.
    families : mapping of name to (M,) float array
        What each family of columns adds to the scores.
    reference, oracle : int
        The proposal that others are compared with, and the best one.
    in_set : sequence of int
        The conformal set.
    doubt : (n,) float array
        Belief that the label of a region is wrong in the choice.
    confidence : float
        Of the gate.
    kept : bool
        Whether the gate keeps the reference although the ranker prefers another proposal.
    """

    image_id: str
    part: str
    image: Array
    labels: Array
    superpixels: Array
    histogram: IntArray
    labelings: Array
    energies: FloatArray
    lower_bounds: FloatArray
    scores: FloatArray
    ious: FloatArray
    generators: Sequence[str]
    parameters: Sequence[str]
    families: Mapping[str, FloatArray]
    reference: int
    oracle: int
    in_set: Sequence[int]
    doubt: FloatArray
    confidence: float
    kept: bool

    @property
    def areas(self) -> IntArray:
        """Pixels of each region, (n,)."""
        return np.bincount(self.superpixels.ravel(), minlength=self.labelings.shape[1])


def changes(
    before: Array, after: Array, histogram: IntArray, areas: IntArray, most: int = LISTED
) -> list[list[float]]:
    """Which classes a labeling takes pixels from, which it gives them to, and how often rightly.

    Parameters
    ----------
    before, after : (n,) int arrays
    histogram : (n, C) int array
        Pixels of each true class in each region.
    areas : (n,) int array
    most : int
        Changes that are listed, the largest first.

    Returns
    -------
    list of [from, to, share of the image, share newly right, share newly wrong]
        Shares are of all pixels of the image.

    Examples
    --------
    >>> histogram = np.array([[4, 0], [1, 3], [2, 0]])
    >>> changes(np.array([0, 0, 0]), np.array([0, 1, 1]), histogram, np.array([4, 4, 2]))
    [[0, 1, 0.6, 0.3, 0.3]]
    """
    total = float(areas.sum())
    found = []
    moved = np.flatnonzero(before != after)
    for source, target in sorted({(int(before[k]), int(after[k])) for k in moved}):
        own = moved[(before[moved] == source) & (after[moved] == target)]
        share = float(areas[own].sum()) / total
        right = float(histogram[own, target].sum()) / total
        wrong = float(histogram[own, source].sum()) / total
        found.append([source, target, round(share, 4), round(right, 4), round(wrong, 4)])
    return sorted(found, key=lambda row: -row[2])[:most]


def decided(families: Mapping[str, FloatArray], one: int, other: int) -> list[list[Any]]:
    """The families of columns that add most to the score of one proposal above another's.

    Parameters
    ----------
    families : mapping of name to (M,) float array
    one, other : int
        Proposals.

    Returns
    -------
    list of [family, difference]
        The largest first, at most `LISTED`.
    """
    found = [(name, float(scores[one] - scores[other])) for name, scores in families.items()]
    found = sorted((row for row in found if row[1] != 0), key=lambda row: -abs(row[1]))
    return [[name, short(value)] for name, value in found[:LISTED]]


def gallery_record(seen: SeenImage, chosen: int) -> dict[str, Any]:
    """The line of an image in the gallery, as plain values.

    Parameters
    ----------
    seen : SeenImage
    chosen : int
        What the ranking SVM chooses.

    Returns
    -------
    dict
        Changes and reasons are about the choice against the reference (`changed`, `why`) and
        against the best proposal (`missed`, `why_missed`). IoU is in hundredths of a point.
    """
    areas = seen.areas
    labelings, n_pixels = seen.labelings, float(areas.sum())
    return {
        "id": seen.image_id,
        "part": seen.part,
        "iou": [None if np.isnan(v) else round(10000 * float(v)) for v in seen.ious],
        "reference": seen.reference,
        "oracle": seen.oracle,
        "margin": short(seen.scores[chosen] - seen.scores[seen.reference]),
        "margin_oracle": short(seen.scores[chosen] - seen.scores[seen.oracle]),
        "confidence": short(seen.confidence),
        "kept": int(seen.kept),
        "doubt": round(float(seen.doubt @ areas) / n_pixels, 4),
        "classes": np.flatnonzero(seen.histogram.sum(axis=0)).tolist(),
        "changed": changes(labelings[seen.reference], labelings[chosen], seen.histogram, areas),
        "why": decided(seen.families, chosen, seen.reference),
        "missed": changes(labelings[chosen], labelings[seen.oracle], seen.histogram, areas),
        "why_missed": decided(seen.families, chosen, seen.oracle),
    }


def view_record(seen: SeenImage) -> dict[str, Any]:
    """All that an image's own view draws, as plain values and pictures."""
    size = _size(seen.image, VIEW_WIDTH)
    own = seen.labelings[seen.reference]
    areas = seen.areas
    changed = (seen.labelings != own) @ areas / areas.sum()
    return {
        "id": seen.image_id,
        "size": list(seen.image.shape[1::-1]),
        "photo": data_uri(small_photograph(seen.image, VIEW_WIDTH)),
        "regions": data_uri(exact_picture(_nearest(seen.superpixels, size))),
        "truth": data_uri(exact_picture(_nearest(seen.labels, size))),
        "labelings": data_uri(exact_picture(seen.labelings)),
        "doubt": np.rint(100 * seen.doubt).astype(int).tolist(),
        "generators": list(seen.generators),
        "parameters": [_settings(text) for text in seen.parameters],
        "scores": [short(v) for v in seen.scores],
        "energies": [short(v) for v in seen.energies],
        "gaps": [short(e - b) for e, b in zip(seen.energies, seen.lower_bounds)],
        "changed": [round(float(v), 4) for v in changed],
        "set": list(map(int, seen.in_set)),
        "families": {name: [short(v) for v in values] for name, values in seen.families.items()},
    }


def thumbnail(seen: SeenImage, chosen: int, palette: Array) -> bytes:
    """The image under the colours of a proposal, small, as a WebP file.

    Parameters
    ----------
    seen : SeenImage
    chosen : int
    palette : (256, 3) uint8 array
        Classes that are black stay clear.

    Returns
    -------
    bytes
    """
    labels = seen.labelings[chosen][seen.superpixels]
    painted = painted_classes(seen.image, labels, palette, 0.45)
    return small_photograph(painted, THUMBNAIL_WIDTH)


def short(value: float) -> float | None:
    """A number with four digits; None where it is none, which JSON has no word for."""
    return float(f"{value:.4g}") if np.isfinite(value) else None


def _settings(text: str) -> str:
    found = json.loads(text)
    return ", ".join(
        f"{name.replace('_', ' ')} {short(value) if isinstance(value, float) else value}"
        for name, value in found.items()
        if isinstance(value, (int, float, str))
    )


def _size(image: Array, width: int) -> tuple[int, int]:
    """Width and height that a picture is shown at; those of `small_photograph`."""
    height, own = image.shape[:2]
    return (own, height) if own <= width else (width, max(1, round(height * width / own)))


def _nearest(values: Array, size: tuple[int, int]) -> Array:
    width, height = size
    rows = ((np.arange(height) + 0.5) * values.shape[0] / height).astype(int)
    columns = ((np.arange(width) + 0.5) * values.shape[1] / width).astype(int)
    found: Array = values[rows[:, None], columns]
    return found
