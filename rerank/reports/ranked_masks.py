"""What choosing among candidate masks came to, as text, JSON and CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from rerank.metrics import OracleCurve
from rerank.reports.csv_text import to_csv
from rerank.reports.mask_comparison import MaskComparison, comparison_json, measure_lines
from rerank.types import FloatArray

#: What the numbers of `DiversityRow` mean.
DIVERSITY = {
    "distance": "mean 1 - IoU between two masks of an image",
    "energy_distance": "squared generalised energy distance to the labels, 0 where masks and "
    "annotations are the same distribution (Kohl et al. 2018)",
    "matched_iou": "Hungarian-matched IoU of masks and annotations (Kohl et al. 2019)",
}


class DiversityRow(NamedTuple):
    """How different the masks of one image are."""

    image: str
    masks: int
    distinct: int
    annotations: int
    distance: float
    energy_distance: float
    matched_iou: float


@dataclass(frozen=True, eq=False)
class RankedMasks:
    """The choices among candidate masks, and what they gain where there are labels.

    Attributes
    ----------
    rule : str
        What chose: `consensus`, `ranker, cross-fitted` or `ranker`.
    chosen : sequence of (image, mask) names
    n_classes : int
    diversity : sequence of DiversityRow
        One an image.
    comparison : MaskComparison or None
        None without labels.
    curve : OracleCurve or None
        Of the first masks of each image, in the order of their names.
    notes : sequence of str
        What the reader should know, such as why no ranker was fitted.
    """

    rule: str
    chosen: Sequence[tuple[str, str]]
    n_classes: int
    diversity: Sequence[DiversityRow]
    comparison: MaskComparison | None = None
    curve: OracleCurve | None = None
    notes: Sequence[str] = ()

    def mean(self, name: str) -> float:
        """Mean over images of a column of `diversity`; NaN where no image has a value."""
        values = np.array([getattr(row, name) for row in self.diversity], dtype=float)
        values = values[np.isfinite(values)]
        return float(values.mean()) if len(values) else float("nan")

    def counts(self, name: str) -> str:
        """The range over images of a column of counts, in words."""
        values = [getattr(row, name) for row in self.diversity]
        low, high = min(values), max(values)
        return str(low) if low == high else f"{low} to {high}"


def ranking_text(found: RankedMasks) -> str:
    """The figures as lines for a terminal."""
    masks = f"{found.counts('masks')} masks each ({found.counts('distinct')} different)"
    lines = [f"{len(found.chosen)} images, {found.n_classes} classes, {masks}"]
    for name, meaning in DIVERSITY.items():
        value = found.mean(name)
        if np.isfinite(value):
            lines.append(f"{value:.3f}  {meaning}")
    if found.comparison is not None:
        lines += measure_lines(found.comparison)
    lines += ["", f"chosen by: {found.rule}", *found.notes]
    return "\n".join(lines)


def ranking_json(found: RankedMasks) -> dict[str, Any]:
    """The figures as plain values for JSON; null where there is none."""
    means = {name: _plain(found.mean(name)) for name in DIVERSITY}
    return {
        "rule": found.rule,
        "n_classes": found.n_classes,
        "chosen": dict(found.chosen),
        "diversity": {"meanings": DIVERSITY, **means},
        "notes": list(found.notes),
        "comparison": None if found.comparison is None else comparison_json(found.comparison),
    }


def diversity_csv(found: RankedMasks) -> str:
    """One line an image; empty cells where there are no labels."""
    rows = []
    for row in found.diversity:
        values = {name: _plain(getattr(row, name)) for name in DIVERSITY}
        rows.append(
            {**row._asdict(), **{name: "" if v is None else v for name, v in values.items()}}
        )
    return to_csv(rows)


def curve_csv(curve: OracleCurve) -> str:
    """Oracle accuracy of the first 1, 2, .. masks, in points, one line each."""
    columns: dict[str, FloatArray] = {
        "image_oracle_miou": curve.image_oracle_miou,
        "corpus_oracle_miou": curve.corpus_oracle_miou,
        "image_oracle_image_iou": curve.image_oracle_image_iou,
        "corpus_oracle_image_iou": curve.corpus_oracle_image_iou,
    }
    return to_csv(
        [
            {"n_masks": int(m), **{k: round(100 * float(v[i]), 3) for k, v in columns.items()}}
            for i, m in enumerate(curve.n_proposals)
        ]
    )


def _plain(value: float) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None
