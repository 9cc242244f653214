"""About fifty class-free columns: what a linear ranker can learn from a few hundred images."""

from __future__ import annotations

import numpy as np
from numba import njit

from rerank.features.agreement import AGREEMENT_SCALARS, Agreement
from rerank.features.appearance import APPEARANCE_SCALARS
from rerank.features.boundary import BORDER_SCALARS
from rerank.features.edges import EDGE_SCALARS
from rerank.features.naming import scalar_names
from rerank.features.posterior import SCALAR_FEATURES, PosteriorScores
from rerank.features.risk import RISK_SCALARS
from rerank.features.statistics import LabelingStatistics
from rerank.features.support import ComponentSupport
from rerank.features.table import FeatureTable
from rerank.types import FloatArray, IntArray

STRUCTURE_FEATURES = (
    "classes",
    "components",
    "small_components",
    "entropy",
    "largest_component",
    "compactness",
)
ENERGY_FEATURES = ("above_best_per_region", "energy_rank", "gap")
CLASSIFIER_FEATURES = (
    "score_painted",
    "denied",
    "worst_denied",
    "missed",
    "size_denied",
    "size_missed",
)


def structure_scalars(statistics: LabelingStatistics) -> FloatArray:
    """(M, 6): log of the number of painted classes, log(1 + n) of components and of small ones,
    entropy of the classes' shares in nats, share of the largest component, and compactness
    averaged over the image (see `layout_features`)."""
    s = statistics
    return _structure_kernel(s.area, s.perimeter, s.n_components, s.n_small, s.largest)


@njit(cache=True)
def _structure_kernel(
    area: FloatArray,
    perimeter: FloatArray,
    components: IntArray,
    small: IntArray,
    largest: FloatArray,
) -> FloatArray:
    n_proposals, n_classes = area.shape
    values = np.zeros((n_proposals, 6))
    for m in range(n_proposals):
        row = values[m]
        total = area[m].sum()
        for c in range(n_classes):
            share = area[m, c] / total
            if share > 0.0:
                disc = 4.0 * np.pi * area[m, c]
                row[0] += 1.0
                row[1] += components[m, c]
                row[2] += small[m, c]
                row[3] -= share * np.log(share)
                row[4] = max(row[4], largest[m, c] / total)
                row[5] += share * disc / (disc + perimeter[m, c] ** 2)
        row[0] = np.log(row[0])
        row[1] = np.log1p(row[1])
        row[2] = np.log1p(row[2])
    return values


def classifier_scalars(classification: FeatureTable, n_foreground: int) -> FloatArray:
    """(M, 6) sums over classes of the crossed columns of `classification_features`.

    `score_painted`, `denied`, `missed`, `size_denied` and `size_missed` are sums, and
    `worst_denied` is the most that one painted class is denied by.
    """
    values = classification.values
    last = values[:, -4 * n_foreground :].reshape(len(values), 4, n_foreground)
    denied, missed, size_denied, size_missed = (last[:, k] for k in range(4))
    n_sizes = (values.shape[1] - 6 * n_foreground) // 2
    start = n_foreground + n_sizes
    painted = values[:, start : start + n_foreground]
    return np.stack(
        [
            painted.sum(axis=1),
            denied.sum(axis=1),
            denied.max(axis=1),
            missed.sum(axis=1),
            size_denied.sum(axis=1),
            size_missed.sum(axis=1),
        ],
        axis=1,
    )


def summary_features(
    *,
    statistics: LabelingStatistics,
    stage1: PosteriorScores,
    components: ComponentSupport,
    agreement: Agreement,
    energy: FeatureTable,
    boundary: FeatureTable,
    appearance: FeatureTable | None = None,
    edges: FeatureTable | None = None,
    segnet: PosteriorScores | None = None,
    symmetric_kl: FloatArray | None = None,
    posterior: PosteriorScores | None = None,
    expected: FloatArray | None = None,
    classifiers: FloatArray | None = None,
    location: FloatArray | None = None,
    cooccurrence: FloatArray | None = None,
    image_id: str = "",
) -> FeatureTable:
    """Join the class-free scores of all families into one group, `summary`.

    Findings on a few hundred images were that hundreds of per-class columns overfit where
    these do not. Columns of signals that are not given are left out.

    Parameters
    ----------
    statistics : LabelingStatistics
        Gives the columns of `structure_scalars`.
    stage1, segnet, posterior : PosteriorScores
        The labelings against the probabilities of stage 1, of the SegNet carried to regions,
        and of a finer posterior: seven columns each, `<signal>_accuracy` and so on as
        `posterior_features` defines them.
    components : ComponentSupport
        Gives `component_log_prob` (summed over classes) and `worst_component`.
    agreement : Agreement
        Five columns, as `agreement_features` defines them.
    energy : FeatureTable
        Of `energy_features`; three of its columns.
    boundary : FeatureTable
        Of `boundary_features`; its five class-free columns.
    appearance : FeatureTable
        Of `appearance_features`; its three class-free columns.
    edges : FeatureTable
        Of `edge_features`; its four class-free columns.
    expected : (M, 3) float
        Of `expected_qualities`.
    symmetric_kl : (M,) float
        Both directions of Eq. 17 of Cogswell et al. 2014 per cell.
    classifiers : (M, 6) float
        Of `classifier_scalars`.
    location : (M, C) float
        `class_log_prob` under the location prior; its sum is `location_log_prob`.
    cooccurrence : (M,) float
    image_id : str

    Returns
    -------
    FeatureTable
    """
    names: list[str] = []
    blocks: list[FloatArray] = []

    def add(columns: tuple[str, ...], values: FloatArray) -> None:
        names.extend(columns)
        blocks.append(values.reshape(len(values), -1))

    for signal, scores in (("stage1", stage1), ("segnet", segnet), ("posterior", posterior)):
        if scores is not None:
            add(tuple(f"{signal}_{f}" for f in SCALAR_FEATURES), scores.scalars)
    add(("component_log_prob",), components.log_prob.sum(axis=1))
    worst = components.worst.min(axis=1, where=statistics.painted, initial=1.0)
    add(("worst_component",), worst)
    add(AGREEMENT_SCALARS, agreement.scalars)
    add(
        ENERGY_FEATURES, np.stack([energy.column(f"proposal.{f}") for f in ENERGY_FEATURES], axis=1)
    )
    add(STRUCTURE_FEATURES, structure_scalars(statistics))
    add(BORDER_SCALARS, boundary.values[:, :5])
    if expected is not None:
        add(RISK_SCALARS, expected)
    if symmetric_kl is not None:
        add(("symmetric_kl",), symmetric_kl)
    if appearance is not None:
        add(APPEARANCE_SCALARS, appearance.values[:, :3])
    if edges is not None:
        add(EDGE_SCALARS, edges.values[:, :4])
    if classifiers is not None:
        add(CLASSIFIER_FEATURES, classifiers)
    if location is not None:
        add(("location_log_prob",), location.sum(axis=1))
    if cooccurrence is not None:
        add(("cooccurrence",), cooccurrence)
    return FeatureTable.of_image(
        np.concatenate(blocks, axis=1), scalar_names("summary", tuple(names)), "summary", image_id
    )
