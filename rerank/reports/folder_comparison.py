"""Several sets of predicted masks side by side, as text, JSON and CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rerank.metrics import IntersectionUnion, Interval, image_iou
from rerank.reports.csv_text import to_csv
from rerank.reports.evaluation import Evaluation, evaluation_rows
from rerank.reports.plain_table import plain_table, points
from rerank.types import BoolArray, FloatArray

#: An image counts as better or worse where its IoU changes by more than this.
NOTABLE = 0.01
MEANINGS = {
    "corpus": "pixels are counted over all images, then divided once per class (PASCAL VOC "
    "devkit); mean over the classes that occur",
    "image": "IoU of each image, a mean over the classes in its label or its prediction; then "
    "mean over images",
}


@dataclass(frozen=True, eq=False)
class FolderComparison:
    """Folders of predictions, judged on the same images; the first is the baseline.

    Attributes
    ----------
    image_ids : tuple of N str
    class_names : tuple of C str
    evaluations : tuple of Evaluation
        One a folder; gains are over the first.
    counts : tuple of IntersectionUnion
        One a folder, (N, C).
    present : (N, C) bool array
        Whether the label of an image holds a class.
    void : int or None
        The label that is not counted.
    void_share : float
        Its share of the labels' pixels.
    n_left_out : int
        Images that some folder lacks, and that were left out for it.
    n_resamples, random_state : int
        Of the bootstrap.
    n_groups : int
        Groups of images that it draws; 0 where it draws images.
    """

    image_ids: tuple[str, ...]
    class_names: tuple[str, ...]
    evaluations: tuple[Evaluation, ...]
    counts: tuple[IntersectionUnion, ...]
    present: BoolArray
    void: int | None
    void_share: float
    n_left_out: int
    n_resamples: int
    random_state: int
    n_groups: int

    @property
    def image_ious(self) -> FloatArray:
        """IoU of each image, (folders, N); NaN where an image has no labelled pixel."""
        return np.stack([image_iou(counts) for counts in self.counts])

    def changed(self, folder: int) -> tuple[int, int]:
        """Images whose IoU is better, and worse, than the baseline's by more than 1 point."""
        ious = self.image_ious
        gain = np.nan_to_num(ious[folder] - ious[0])
        return int((gain > NOTABLE).sum()), int((gain < -NOTABLE).sum())

    @property
    def resampled(self) -> str:
        """What the bootstrap draws, in words."""
        if self.n_groups:
            return f"{self.n_groups} groups of images"
        return f"{len(self.image_ids)} images"


def comparison_text(found: FolderComparison) -> str:
    """The comparison as tables for a terminal, with what each measure means."""
    void = "" if found.void is None else f"; {found.void_share:.1%} of the pixels are void"
    lines = [f"{len(found.image_ids)} images, {len(found.class_names)} classes{void}"]
    if found.n_left_out:
        lines.append(f"{found.n_left_out} images that some folder lacks are left out")
    unlabelled = int(np.isnan(found.image_ious[0]).sum())
    if unlabelled:
        lines.append(f"{unlabelled} images have no labelled pixel; the image IoU leaves them out")
    for measure in ("corpus", "image"):
        lines += ["", f"{measure} IoU: {MEANINGS[measure]}", _measure_table(found, measure)]
    if found.n_resamples:
        lines += [
            "",
            f"[95 % intervals]: percentile bootstrap, {found.n_resamples} resamples of "
            f"{found.resampled}, seed {found.random_state}",
        ]
    if len(found.counts) > 1:
        lines.append(
            f"gain: over {found.evaluations[0].name}, image by image; better, worse: images whose "
            "IoU changes by more than 1 point"
        )
    return "\n".join([*lines, "", "corpus IoU of each class", _class_table(found)])


def comparison_json(found: FolderComparison) -> dict[str, Any]:
    """The comparison as plain values for JSON; IoU in points, null where there is none."""
    rows = evaluation_rows({e.name: e for e in found.evaluations})
    ious = found.image_ious
    folders = []
    for k, (row, evaluation) in enumerate(zip(rows, found.evaluations)):
        better, worse = found.changed(k)
        folders.append(
            {
                "folder": row.pop("rule"),
                **{key: None if value == "" else value for key, value in row.items()},
                "n_better": better,
                "n_worse": worse,
                "class_iou": dict(zip(found.class_names, _rounded(evaluation.per_class))),
                "images": dict(zip(found.image_ids, _rounded(ious[k]))),
            }
        )
    return {
        "n_images": len(found.image_ids),
        "n_left_out": found.n_left_out,
        "n_classes": len(found.class_names),
        "void": found.void,
        "unit": "points",
        "meanings": MEANINGS,
        "bootstrap": {
            "n_resamples": found.n_resamples,
            "seed": found.random_state,
            "resampled": "groups" if found.n_groups else "images",
            "confidence": 0.95,
        },
        "folders": folders,
    }


def comparison_csv(found: FolderComparison) -> dict[str, str]:
    """`folders.csv`, `classes.csv` and `images.csv`, by name; IoU in points."""
    rows = evaluation_rows({e.name: e for e in found.evaluations})
    for k, row in enumerate(rows):
        row["folder"] = row.pop("rule")
        row["n_better"], row["n_worse"] = found.changed(k)
    names = [evaluation.name for evaluation in found.evaluations]
    per_class = [_blank(e.per_class) for e in found.evaluations]
    per_image = [_blank(ious) for ious in found.image_ious]
    return {
        "folders.csv": to_csv([{"folder": row["folder"], **row} for row in rows]),
        "classes.csv": to_csv(
            [
                {
                    "class": name,
                    "images": int(found.present[:, c].sum()),
                    **{folder: values[c] for folder, values in zip(names, per_class)},
                }
                for c, name in enumerate(found.class_names)
            ]
        ),
        "images.csv": to_csv(
            [
                {"image": name, **{folder: values[i] for folder, values in zip(names, per_image)}}
                for i, name in enumerate(found.image_ids)
            ]
        ),
    }


def _measure_table(found: FolderComparison, measure: str) -> str:
    several = len(found.evaluations) > 1
    head = ["folder", "IoU", *(["gain"] if several else [])]
    if several and measure == "image":
        head += ["better", "worse"]
    rows = []
    for k, evaluation in enumerate(found.evaluations):
        value = points(getattr(evaluation, f"{measure}_iou"))
        row = [evaluation.name, value + _ends(getattr(evaluation, f"{measure}_interval"))]
        if several:
            row.append(_gain(found, k, measure))
            if measure == "image":
                row += [str(n) if k else "" for n in found.changed(k)]
        rows.append(row)
    return plain_table(head, rows)


def _gain(found: FolderComparison, folder: int, measure: str) -> str:
    if folder == 0:
        return ""
    evaluation, baseline = found.evaluations[folder], found.evaluations[0]
    difference = getattr(evaluation, f"{measure}_iou") - getattr(baseline, f"{measure}_iou")
    interval = getattr(evaluation, f"{measure}_gain")
    return f"{100 * difference:+.1f}{_ends(interval, '+')}"


def _ends(interval: Interval | None, sign: str = "") -> str:
    if interval is None:
        return ""
    low, high = 100 * interval.low, 100 * interval.high
    return f" [{low:{sign}.1f}, {high:{sign}.1f}]"


def _class_table(found: FolderComparison) -> str:
    head = ["class", "images", *(evaluation.name for evaluation in found.evaluations)]
    rows = [
        [
            name,
            str(int(found.present[:, c].sum())),
            *(points(float(e.per_class[c])) for e in found.evaluations),
        ]
        for c, name in enumerate(found.class_names)
    ]
    return plain_table(head, rows)


def _rounded(values: Sequence[float] | FloatArray) -> list[float | None]:
    return [None if np.isnan(v) else round(100 * float(v), 3) for v in values]


def _blank(values: FloatArray) -> list[float | str]:
    return ["" if value is None else value for value in _rounded(values)]
