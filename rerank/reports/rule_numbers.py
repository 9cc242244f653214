"""The rows of a run's rules as plain values, and in one sentence what a rule gained."""

from __future__ import annotations

from typing import Any

import numpy as np

from rerank.metrics import IntersectionUnion, Interval, chosen_counts, image_iou
from rerank.reports.evaluation import Evaluation
from rerank.reports.mask_comparison import NOTABLE
from rerank.reports.populations import CHOICE, DENSE_CRF, GATED, JOINT, NETWORK_ROW, Population
from rerank.types import Array

#: Rows that a reader looks for first; all others are folded.
MAIN = (NETWORK_ROW, "MAP", DENSE_CRF, CHOICE, GATED, JOINT)
#: Rows that need the truth.
ORACLES = ("oracle of each image", "oracle of the corpus")
BOUND = "superpixel bound"


def reference_counts(population: Population) -> IntersectionUnion:
    """Counts of what gains are over: the user's own network, or else MAP; (n_images, n_classes)."""
    if population.network is not None:
        return population.network
    return chosen_counts(population.counts, population.choices["MAP"])


def reference_name(population: Population) -> str:
    """What gains are over, in words."""
    return "MAP" if population.network is None else "the network"


def rule_record(evaluation: Evaluation, population: Population) -> dict[str, Any]:
    """One row of the rules, with its gains over the reference and what they come to.

    Parameters
    ----------
    evaluation : Evaluation
    population : Population

    Returns
    -------
    dict
    """
    reference, has_network = reference_counts(population), population.network is not None
    name = evaluation.name
    counts = population.counts_of(name)
    gain = image_iou(counts) - image_iou(reference)
    gain = np.nan_to_num(gain)
    first = "network_gain" if has_network else "gain"
    record: dict[str, Any] = {
        "name": name,
        "kind": "oracle" if name in (*ORACLES, BOUND) else ("main" if name in MAIN else "baseline"),
        "is_proposal": name in population.choices,
        "better": int((gain > NOTABLE).sum()),
        "worse": int((gain < -NOTABLE).sum()),
        "classes": [points_of(v) for v in evaluation.per_class],
    }
    for measure in ("corpus", "image"):
        over = getattr(evaluation, f"{measure}_{first}")
        record[measure] = {
            "value": points_of(getattr(evaluation, f"{measure}_iou")),
            "interval": interval_record(getattr(evaluation, f"{measure}_interval")),
            "gain": interval_record(over),
            "map_gain": interval_record(getattr(evaluation, f"{measure}_gain")),
            "answer": ""
            if over is None
            else answer(name, measure, over, len(gain), reference_name(population)),
        }
    return record


def answer(rule: str, measure: str, gain: Interval, n_images: int, over: str) -> str:
    """What a rule gained, and whether it can be told from nothing, in one sentence.

    Parameters
    ----------
    rule : str
    measure : {"corpus", "image"}
    gain : Interval
    n_images : int
    over : str
        What the gain is over.

    Returns
    -------
    str

    Examples
    --------
    >>> print(answer("ranking SVM", "corpus", Interval(0.016, 0.004, 0.035, 0.95), 59, "MAP"))
    The ranking SVM gains 1.6 points of corpus IoU over MAP (95 % interval +0.4 to +3.5, 59 images),
    more than chance explains.
    """
    # Rounded as the tables are, so that both say the same.
    estimate, low, high = interval_record(gain) or [0.0, 0.0, 0.0]
    what = {"corpus": "corpus IoU", "image": "mean image IoU"}[measure]
    verb = f"is {_size(estimate)} points of {what} {'below' if (estimate or 0) < 0 else 'above'}"
    verdict = "which cannot be told from nothing"
    if low is not None and low > 0:
        verb, verdict = (
            f"gains {_size(estimate)} points of {what} over",
            "more than chance explains",
        )
    elif high is not None and high < 0:
        verb = f"loses {_size(estimate)} points of {what} against"
        verdict = "more than chance explains"
    return (
        f"The {rule} {verb} {over} (95 % interval {_signed(low)} to {_signed(high)}, {n_images} "
        f"images), {verdict}."
    )


def interval_record(interval: Interval | None) -> list[float | None] | None:
    """Estimate, low and high in points; None for none."""
    if interval is None:
        return None
    return [points_of(interval.estimate), points_of(interval.low), points_of(interval.high)]


def _size(value: float | None) -> str:
    return "\N{EN DASH}" if value is None else f"{abs(value):.1f}"


def _signed(value: float | None) -> str:
    return f"{value:+.1f}".replace("-", "\N{MINUS SIGN}") if value is not None else "\N{EN DASH}"


def points_of(value: float | Array) -> float | None:
    """A share as points with three digits; None for NaN, which JSON has no word for."""
    number = 100 * float(value)
    return round(number, 3) if np.isfinite(number) else None
