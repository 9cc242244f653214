"""The numbers of a run's page as plain values: rules, headroom, curves, classes, confusion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rerank.metrics import (
    IntersectionUnion,
    Interval,
    OracleCurve,
    chosen_counts,
    corpus_iou,
    image_iou,
    mean_image_iou,
)
from rerank.ranking import Gate
from rerank.reports.analyses import AblationRow
from rerank.reports.evaluation import Evaluation, evaluate
from rerank.reports.mask_comparison import NOTABLE
from rerank.reports.populations import (
    CHOICE,
    DENSE_CRF,
    GATED,
    JOINT,
    NETWORK_ROW,
    TITLES,
    Population,
)
from rerank.reports.tallies import Tally, confusion_cells
from rerank.types import Array, FloatArray, IntArray

#: Rows that a reader looks for first; all others are folded.
MAIN = (NETWORK_ROW, "MAP", DENSE_CRF, CHOICE, GATED, JOINT)
#: Rows that need the truth.
ORACLES = ("oracle of each image", "oracle of the corpus")
BOUND = "superpixel bound"
#: Proposals of a scatter plot, at most.
MOST_POINTS = 2400


def population_record(
    population: Population,
    found: Sequence[Evaluation],
    curve: OracleCurve,
    scores: FloatArray,
    tally: Tally,
) -> dict[str, Any]:
    """All numbers about one set of images.

    Parameters
    ----------
    population : Population
    found : sequence of Evaluation
        Of `evaluations`.
    curve : OracleCurve
    scores : (n_images, n_proposals) float array
        Of the ranking SVM.
    tally : Tally

    Returns
    -------
    dict
        IoU in points.
    """
    ious = image_iou(population.counts)
    return {
        "name": population.name,
        "title": TITLES[population.name],
        "lead": population.lead,
        "n_images": len(population.counts.unions),
        "rules": [rule_record(e, population) for e in found],
        "curve": curve_record(population.counts, curve, scores),
        "confusion": {
            "before": confusion_cells(tally.before),
            "after": confusion_cells(tally.after),
        },
        "reliability": {
            "before": tally.sure_before.rows(),
            "after": tally.sure_after.rows(),
            "error_before": _points(tally.sure_before.error),
            "error_after": _points(tally.sure_after.error),
        },
        "scatter": scatter_record(scores, ious),
        "class_shares": _shares(tally.before.sum(axis=1)),
        "choices": {rule: choice.tolist() for rule, choice in population.choices.items()},
    }


def reference_counts(population: Population) -> IntersectionUnion:
    """Counts of what gains are over: the user's own network, or else MAP; (n_images, n_classes)."""
    if population.network is not None:
        return population.network
    return chosen_counts(population.counts, population.choices["MAP"])


def reference_name(population: Population) -> str:
    """What gains are over, in words."""
    return "MAP" if population.network is None else "the network"


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


def _size(value: float | None) -> str:
    return "\N{EN DASH}" if value is None else f"{abs(value):.1f}"


def _signed(value: float | None) -> str:
    return f"{value:+.1f}".replace("-", "\N{MINUS SIGN}") if value is not None else "\N{EN DASH}"


def curve_record(
    counts: IntersectionUnion, curve: OracleCurve, scores: FloatArray
) -> dict[str, list[Any]]:
    """Oracles, and the ranker's choice, among the first 1, 2, .. proposals.

    Parameters
    ----------
    counts : IntersectionUnion
        Of all proposals, (n_images, n_proposals, n_classes).
    curve : OracleCurve
    scores : (n_images, n_proposals) float array
        Of the ranker that sees all proposals.

    Returns
    -------
    dict of lists
        Points, one for each number of proposals.
    """
    corpus, image = [], []
    for m in curve.n_proposals:
        chosen = chosen_counts(counts, scores[:, :m].argmax(axis=1))
        corpus.append(_points(corpus_iou(chosen).mean))
        image.append(_points(mean_image_iou(chosen)))
    return {
        "n_proposals": curve.n_proposals.tolist(),
        "oracle_corpus": [_points(v) for v in curve.corpus_oracle_miou],
        "oracle_image": [_points(v) for v in curve.image_oracle_image_iou],
        "choice_corpus": corpus,
        "choice_image": image,
    }


def scatter_record(scores: FloatArray, ious: FloatArray) -> dict[str, Any]:
    """Scores of proposals against their IoU, each less its mean over the image's proposals.

    Parameters
    ----------
    scores, ious : (n_images, n_proposals) float arrays

    Returns
    -------
    dict
        `points` [image, proposal, score, IoU in points], every k-th of all; `bins` of equal size
        over the scores, [score, mean IoU]; `rank_correlation`, the mean over images of Spearman's.
    """
    held = np.isfinite(ious).all(axis=1)
    if not held.any():
        return {"points": [], "bins": [], "rank_correlation": None}
    index = np.flatnonzero(held)
    x = scores[held] - scores[held].mean(axis=1, keepdims=True)
    y = 100 * (ious[held] - ious[held].mean(axis=1, keepdims=True))
    step = -(-x.size // MOST_POINTS)
    taken = np.arange(0, x.size, step)
    image, proposal = np.divmod(taken, x.shape[1])
    points = [
        [int(index[i]), int(m), float(f"{x[i, m]:.3g}"), round(float(y[i, m]), 1)]
        for i, m in zip(image, proposal)
    ]
    order = np.argsort(x.ravel(), kind="stable")
    bins = [
        [float(f"{x.ravel()[part].mean():.3g}"), round(float(y.ravel()[part].mean()), 2)]
        for part in np.array_split(order, min(12, len(order)))
    ]
    found = [_rank_correlation(a, b) for a, b in zip(scores[held], ious[held])]
    found = [value for value in found if np.isfinite(value)]
    mean = round(float(np.mean(found)), 3) if found else None
    return {"points": points, "bins": bins, "rank_correlation": mean}


def ablation_record(
    rows: Sequence[AblationRow],
    counts: IntersectionUnion,
    reference: IntersectionUnion,
    n_bootstrap: int,
    random_state: int,
) -> list[dict[str, Any]]:
    """What the ranker gains over the reference with each subset of its groups of columns.

    Parameters
    ----------
    rows : sequence of AblationRow
    counts : IntersectionUnion
        Of all proposals, (n_images, n_proposals, n_classes).
    reference : IntersectionUnion
        (n_images, n_classes).
    n_bootstrap, random_state : int

    Returns
    -------
    list of dict
    """
    found = []
    for row in rows:
        chosen = chosen_counts(counts, row.choice)
        e = evaluate("", chosen, reference, n_bootstrap, random_state)
        found.append(
            {
                "groups": list(row.groups),
                "n_columns": row.n_columns,
                "C": row.C,
                "corpus": {"value": _points(e.corpus_iou), "gain": interval_record(e.corpus_gain)},
                "image": {"value": _points(e.image_iou), "gain": interval_record(e.image_gain)},
            }
        )
    return found


def gate_record(gate: Gate, enabled: bool) -> dict[str, Any]:
    """The promise of a calibrated gate, as plain values; shares in percent.

    Parameters
    ----------
    gate : Gate
    enabled : bool
        Whether predictions pass through it.

    Returns
    -------
    dict
    """
    return {
        "text": gate.explanation_,
        "enabled": enabled,
        "promised": gate.promised_,
        "level": _points(gate.level),
        "sure": _points(1 - gate.delta),
        "tolerance": _points(gate.tolerance),
        "threshold": float(f"{gate.threshold_:.4g}") if np.isfinite(gate.threshold_) else None,
        "opens_all": bool(np.isneginf(gate.threshold_)),
        "bound": _points(gate.bound_),
        "share": _points(gate.share_),
        "n_images": gate.n_images_,
        "n_changed": gate.n_changed_,
        "n_falls": gate.n_falls_,
    }


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
        "classes": [_points(v) for v in evaluation.per_class],
    }
    for measure in ("corpus", "image"):
        over = getattr(evaluation, f"{measure}_{first}")
        record[measure] = {
            "value": _points(getattr(evaluation, f"{measure}_iou")),
            "interval": interval_record(getattr(evaluation, f"{measure}_interval")),
            "gain": interval_record(over),
            "map_gain": interval_record(getattr(evaluation, f"{measure}_gain")),
            "answer": ""
            if over is None
            else answer(name, measure, over, len(gain), reference_name(population)),
        }
    return record


def _shares(pixels: IntArray) -> list[float]:
    total = max(1, int(pixels.sum()))
    return [round(float(v) / total, 5) for v in pixels]


def _rank_correlation(a: FloatArray, b: FloatArray) -> float:
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    from scipy.stats import rankdata

    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])


def interval_record(interval: Interval | None) -> list[float | None] | None:
    """Estimate, low and high in points; None for none."""
    if interval is None:
        return None
    return [_points(interval.estimate), _points(interval.low), _points(interval.high)]


def _points(value: float | Array) -> float | None:
    number = 100 * float(value)
    return round(number, 3) if np.isfinite(number) else None
