"""The numbers of a run's page as plain values: rules, headroom, curves, classes, confusion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rerank.metrics import (
    IntersectionUnion,
    OracleCurve,
    chosen_counts,
    corpus_iou,
    image_iou,
    mean_image_iou,
)
from rerank.ranking import Gate
from rerank.reports.analyses import AblationRow
from rerank.reports.evaluation import Evaluation, evaluate
from rerank.reports.populations import TITLES, Population
from rerank.reports.rule_numbers import interval_record, points_of, rule_record
from rerank.reports.tallies import Tally, confusion_cells
from rerank.types import FloatArray, IntArray

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
        "resampled": str(population.resampled),
        "rules": [rule_record(e, population) for e in found],
        "curve": curve_record(population.counts, curve, scores),
        "confusion": {
            "before": confusion_cells(tally.before),
            "after": confusion_cells(tally.after),
        },
        "reliability": {
            "before": tally.sure_before.rows(),
            "after": tally.sure_after.rows(),
            "error_before": points_of(tally.sure_before.error),
            "error_after": points_of(tally.sure_after.error),
        },
        "scatter": scatter_record(scores, ious),
        "class_shares": _shares(tally.before.sum(axis=1)),
        "choices": {rule: choice.tolist() for rule, choice in population.choices.items()},
    }


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
        corpus.append(points_of(corpus_iou(chosen).mean))
        image.append(points_of(mean_image_iou(chosen)))
    return {
        "n_proposals": curve.n_proposals.tolist(),
        "oracle_corpus": [points_of(v) for v in curve.corpus_oracle_miou],
        "oracle_image": [points_of(v) for v in curve.image_oracle_image_iou],
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
    groups: IntArray | None = None,
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
    groups : (n_images,) int array, optional
        Groups of images, such as videos, that are resampled whole.

    Returns
    -------
    list of dict
    """
    found = []
    for row in rows:
        chosen = chosen_counts(counts, row.choice)
        e = evaluate("", chosen, reference, n_bootstrap, random_state, groups)
        found.append(
            {
                "groups": list(row.groups),
                "n_columns": row.n_columns,
                "C": row.C,
                "corpus": {
                    "value": points_of(e.corpus_iou),
                    "gain": interval_record(e.corpus_gain),
                },
                "image": {"value": points_of(e.image_iou), "gain": interval_record(e.image_gain)},
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
        "level": points_of(gate.level),
        "sure": points_of(1 - gate.delta),
        "tolerance": points_of(gate.tolerance),
        "threshold": float(f"{gate.threshold_:.4g}") if np.isfinite(gate.threshold_) else None,
        "opens_all": bool(np.isneginf(gate.threshold_)),
        "bound": points_of(gate.bound_),
        "share": points_of(gate.share_),
        "n_images": gate.n_images_,
        "n_changed": gate.n_changed_,
        "n_falls": gate.n_falls_,
    }


def _shares(pixels: IntArray) -> list[float]:
    total = max(1, int(pixels.sum()))
    return [round(float(v) / total, 5) for v in pixels]


def _rank_correlation(a: FloatArray, b: FloatArray) -> float:
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    from scipy.stats import rankdata

    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])
