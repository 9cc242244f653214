"""The reason of a choice as rows of CSV files: scores, margins, and what changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rerank.result import Result
from rerank.types import Array, FloatArray

#: Changed regions, and families of columns, that a line names.
SHOWN = 3


class Change(NamedTuple):
    """A connected region of pixels that one class was taken from and another given to.

    Attributes
    ----------
    source, target : int
        The classes.
    n_pixels : int
    box : tuple of four int
        Left, top, right and bottom: the first and the last columns and rows.
    """

    source: int
    target: int
    n_pixels: int
    box: tuple[int, int, int, int]


def largest_changes(before: Array, after: Array, most: int = SHOWN) -> list[Change]:
    """The largest connected regions that two labelings give two different classes.

    Parameters
    ----------
    before, after : (H, W) uint8 arrays
    most : int
        Regions that are listed.

    Returns
    -------
    list of Change
        The largest first. Pixels touch by their sides.

    Examples
    --------
    >>> before = np.array([[0, 0, 1, 1], [0, 0, 1, 1]])
    >>> largest_changes(before, np.array([[0, 2, 2, 1], [0, 2, 1, 0]]), most=1)
    [Change(source=0, target=2, n_pixels=2, box=(1, 0, 1, 1))]
    """
    from scipy import ndimage

    pairs = 256 * before.astype(np.int64) + after
    pairs[before == after] = -1
    found = []
    for pair in np.unique(pairs[pairs >= 0]):
        regions, count = ndimage.label(pairs == pair)
        sizes = np.bincount(regions.ravel(), minlength=count + 1)
        for place, (rows, columns) in enumerate(ndimage.find_objects(regions), start=1):
            box = (columns.start, rows.start, columns.stop - 1, rows.stop - 1)
            found.append(Change(int(pair) // 256, int(pair) % 256, int(sizes[place]), box))
    return sorted(found, key=lambda change: (-change.n_pixels, change.box))[:most]


def proposal_rows(result: Result, class_names: Sequence[str] = ()) -> list[dict[str, object]]:
    """A row for each proposal of an image.

    Parameters
    ----------
    result : Result
    class_names : sequence of str
        Of all classes; numbers where there are none.

    Returns
    -------
    list of dict
        `margin` is the score less that of the best other labeling; `margin_over_network`, `changed`
        (a share of pixels), `gained` and `lost` compare with the network's own labeling. Without
        one they compare with MAP, and the margin is called `margin_over_map`. `in_set` says
        whether the proposal is in the conformal set.
    """
    proposals, reference = result.proposals, result.reference
    names, areas = _Names(class_names), _region_shares(result)
    own = proposals.labelings[reference]
    rows = []
    for m, labeling in enumerate(proposals.labelings):
        others = (proposals.labelings != labeling).any(axis=1)
        best = result.scores[others].max() if others.any() else np.nan
        gained, lost = _gained_lost(own, labeling)
        rows.append(
            {
                "proposal": m,
                "chosen": int(m == result.chosen),
                "generator": proposals.generators[m],
                "score": short(result.scores[m]),
                "margin": short(result.scores[m] - best),
                over(result): short(result.scores[m] - result.scores[reference]),
                "in_set": int(m in result.conformal_set) if result.conformal_set else "",
                "energy": short(proposals.energies[m]),
                "gap": short(proposals.energies[m] - proposals.lower_bounds[m]),
                "changed": short(areas[labeling != own].sum()),
                "gained": names.several(gained),
                "lost": names.several(lost),
                "classes": names.painted(labeling, areas),
            }
        )
    return rows


def summary_row(result: Result, name: str, class_names: Sequence[str] = ()) -> dict[str, object]:
    """The row of one image: what was chosen, why, and what differs from the network's labeling.

    Parameters
    ----------
    result : Result
    name : str
        Of the image.
    class_names : sequence of str
        As in `proposal_rows`.

    Returns
    -------
    dict
        `decided` names the families of columns that add most to the margin over the network's
        labeling, for a fitted ranker; what it lists sums to that margin.
    """
    proposals, reference = result.proposals, result.reference
    names, areas = _Names(class_names), _region_shares(result)
    own, chosen = proposals.labelings[reference], proposals.labelings[result.chosen]
    gained, lost = _gained_lost(own, chosen)
    row: dict[str, object] = {
        "image": name,
        "proposal": result.chosen,
        "generator": proposals.generators[result.chosen],
        over(result): short(result.margin),
        "confidence": short(result.confidence),
        "kept": result.kept,
        "decided": _decided(result),
        "changed": short(areas[chosen != own].sum()),
        "gained": names.several(gained),
        "lost": names.several(lost),
    }
    found = largest_changes(proposals.labels(reference), result.labels)
    n_pixels = proposals.superpixels.size
    for place in range(SHOWN):
        row[f"change_{place + 1}"] = (
            names.change(found[place], n_pixels) if place < len(found) else ""
        )
    return row


def over(result: Result) -> str:
    """Name of the column of margins over the proposal that others are compared with."""
    return "margin_over_map" if result.proposals.network is None else "margin_over_network"


def short(value: float) -> object:
    """A number with six digits; empty where it is none."""
    return float(f"{value:.6g}") if np.isfinite(value) else ""


def _decided(result: Result) -> str:
    parts = [(family, value) for family, value in result.contributions.items() if value != 0]
    if len(parts) > SHOWN + 1:
        parts[SHOWN:] = [("all others", sum(value for _, value in parts[SHOWN:]))]
    return "; ".join(f"{family} {value:+.3g}" for family, value in parts)


def _region_shares(result: Result) -> FloatArray:
    superpixels = result.proposals.superpixels
    n_regions = result.proposals.labelings.shape[1]
    return np.bincount(superpixels.ravel(), minlength=n_regions) / superpixels.size


def _gained_lost(before: Array, after: Array) -> tuple[list[int], list[int]]:
    return np.setdiff1d(after, before).tolist(), np.setdiff1d(before, after).tolist()


class _Names(NamedTuple):
    """Texts about classes."""

    class_names: Sequence[str]

    def of(self, label: int) -> str:
        return str(self.class_names[label]) if label < len(self.class_names) else str(label)

    def several(self, labels: Sequence[int]) -> str:
        return "; ".join(map(self.of, labels))

    def painted(self, labeling: Array, areas: FloatArray) -> str:
        shares = np.bincount(labeling, weights=areas)
        order = [int(k) for k in np.argsort(-shares, kind="stable") if shares[k] > 0]
        return "; ".join(f"{self.of(k)} {100 * shares[k]:.1f}%" for k in order)

    def change(self, change: Change, n_pixels: int) -> str:
        left, top, right, bottom = change.box
        share = 100 * change.n_pixels / n_pixels
        return (
            f"{self.of(change.source)} -> {self.of(change.target)}, {share:.1f}% of the image, "
            f"x {left}-{right}, y {top}-{bottom}"
        )
