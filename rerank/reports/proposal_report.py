"""How good the proposals of labelled images are: a table with the network's labeling first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rerank.metrics import IntersectionUnion, chosen_counts, image_iou
from rerank.reports.evaluation import Evaluation, evaluate
from rerank.reports.fit_report import gain_table, rules_json
from rerank.types import IntArray

#: Resamples of the intervals.
N_RESAMPLES = 2000


@dataclass(frozen=True, eq=False)
class ProposalReport:
    """Proposals against labels.

    Attributes
    ----------
    n_images, n_proposals : int
    class_names : tuple of str
    evaluations : tuple of Evaluation
        The network's own labeling first; the gains of the others are over it.
    """

    n_images: int
    n_proposals: int
    class_names: tuple[str, ...]
    evaluations: tuple[Evaluation, ...]

    def __str__(self) -> str:
        return proposal_text(self)


def judge_proposals(
    proposals: IntersectionUnion,
    network: IntArray,
    chosen: IntArray,
    dense_crf: IntersectionUnion,
    class_names: tuple[str, ...],
) -> ProposalReport:
    """Measure the network's labeling, the dense CRF, MAP, the choice and the best of each image.

    Parameters
    ----------
    proposals : IntersectionUnion
        (N, M, C); the first proposal of an image is MAP.
    network, chosen : (N,) int arrays
        Proposals.
    dense_crf : IntersectionUnion
        (N, C).
    class_names : tuple of C str

    Returns
    -------
    ProposalReport
    """
    best = np.nan_to_num(image_iou(proposals), nan=-1.0).argmax(axis=1)
    argmax = chosen_counts(proposals, network)
    others = {
        "dense CRF": dense_crf,
        "MAP": chosen_counts(proposals, np.zeros_like(chosen)),
        "choice": chosen_counts(proposals, chosen),
        "oracle": chosen_counts(proposals, best),
    }
    evaluations = [evaluate("argmax", argmax, None, N_RESAMPLES)]
    for name, counts in others.items():
        evaluations.append(evaluate(name, counts, argmax, N_RESAMPLES))
    n_images, n_proposals = proposals.unions.shape[:2]
    return ProposalReport(n_images, n_proposals, class_names, tuple(evaluations))


def proposal_text(report: ProposalReport) -> str:
    """The report for a terminal."""
    return (
        f"{report.n_images} images, {len(report.class_names)} classes, "
        f"{report.n_proposals} proposals each; no label was used to make or choose them\n"
        f"{gain_table(report.evaluations, N_RESAMPLES)}"
    )


def proposal_json(report: ProposalReport) -> dict[str, Any]:
    """The report as plain values for JSON; IoU in points, null where there is none."""
    return {
        "n_images": report.n_images,
        "n_proposals": report.n_proposals,
        "class_names": list(report.class_names),
        "unit": "points",
        "n_resamples": N_RESAMPLES,
        "rules": rules_json(report.evaluations),
    }
