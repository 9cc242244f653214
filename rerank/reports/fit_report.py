"""What a fit on labelled images found: a cross-fitted table, the chosen settings, and warnings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rerank.metrics import IntersectionUnion, Interval, chosen_counts, image_iou
from rerank.reports.evaluation import Evaluation, evaluate, evaluation_rows
from rerank.reports.plain_table import plain_table, points
from rerank.types import IntArray


@dataclass(frozen=True, eq=False)
class FitReport:
    """What a fit found.

    Attributes
    ----------
    n_images, n_folds : int
    class_names : tuple of str
    evaluations : tuple of Evaluation
        The network's own labeling first; the gains of the others are over it. Each image is
        judged by models and a ranker that never saw it.
    chosen : mapping
        The settings that were chosen on all images, as plain values.
    notes : tuple of str
        What there were too few images for.
    n_resamples : int
        Of the intervals.
    """

    n_images: int
    n_folds: int
    class_names: tuple[str, ...]
    evaluations: tuple[Evaluation, ...]
    chosen: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    n_resamples: int = 1000

    def __str__(self) -> str:
        return fit_text(self)


def fit_evaluations(
    network: IntersectionUnion,
    proposals: IntersectionUnion,
    choices: Mapping[str, IntArray],
    n_resamples: int,
    random_state: int,
) -> tuple[Evaluation, ...]:
    """Measure the network's labeling, each choice of proposals, and the best of each image.

    Parameters
    ----------
    network : IntersectionUnion
        (N, C), of the network's own labeling.
    proposals : IntersectionUnion
        (N, M, C).
    choices : mapping of name to (N,) int array
    n_resamples : int
        Of the bootstrap over images.
    random_state : int

    Returns
    -------
    tuple of Evaluation
        `argmax` first, then the choices, then `oracle`.
    """
    best = np.nan_to_num(image_iou(proposals), nan=-1.0).argmax(axis=1)
    rows = [evaluate("argmax", network, None, n_resamples, random_state)]
    for name, choice in {**choices, "oracle": best}.items():
        counts = chosen_counts(proposals, choice)
        rows.append(evaluate(name, counts, network, n_resamples, random_state))
    return tuple(rows)


def gain_table(evaluations: Sequence[Evaluation], n_resamples: int) -> str:
    """Measures, and gains over the first, as a table for a terminal.

    Parameters
    ----------
    evaluations : sequence of Evaluation
        The network's own labeling first.
    n_resamples : int
        Of the intervals.

    Returns
    -------
    str
    """
    head = ["", "corpus IoU", "gain over argmax", "image IoU", "gain over argmax"]
    rows = [
        [
            e.name,
            points(e.corpus_iou),
            _gain(e.corpus_gain),
            points(e.image_iou),
            _gain(e.image_gain),
        ]
        for e in evaluations
    ]
    about = f"[95 % intervals]: paired bootstrap over images, {n_resamples} resamples"
    return f"{plain_table(head, rows)}\n{about}"


def rules_json(evaluations: Sequence[Evaluation]) -> list[dict[str, object]]:
    """Measures and gains as plain values for JSON; IoU in points, null where there is none."""
    return [
        {key: None if value == "" else value for key, value in row.items()}
        for row in evaluation_rows({e.name: e for e in evaluations})
    ]


def fit_text(report: FitReport) -> str:
    """The report for a terminal."""
    lines = [
        f"{report.n_images} images, {len(report.class_names)} classes, {report.n_folds} folds; "
        "each image is judged by models that never saw it",
        gain_table(report.evaluations, report.n_resamples),
        "",
        *(f"{name}: {_plain(value)}" for name, value in report.chosen.items()),
        *(f"note: {note}" for note in report.notes),
    ]
    return "\n".join(lines)


def fit_json(report: FitReport) -> dict[str, Any]:
    """The report as plain values for JSON; IoU in points, null where there is none."""
    return {
        "n_images": report.n_images,
        "n_folds": report.n_folds,
        "class_names": list(report.class_names),
        "unit": "points",
        "n_resamples": report.n_resamples,
        "rules": rules_json(report.evaluations),
        "chosen": dict(report.chosen),
        "notes": list(report.notes),
    }


def _gain(gain: Interval | None) -> str:
    if gain is None:
        return ""
    estimate, low, high = (100 * v for v in (gain.estimate, gain.low, gain.high))
    return f"{estimate:+.1f} [{low:+.1f}, {high:+.1f}]"


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(item)}" for name, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_plain, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
