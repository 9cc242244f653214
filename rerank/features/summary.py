"""About fifty class-free columns, few enough for a linear ranker to learn from 300 images."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numba import njit

from rerank.features.feature_table import FeatureTable
from rerank.features.naming import scalar_names
from rerank.features.probability_scores import SCALAR_FEATURES, ProbabilityScores
from rerank.features.statistics import LabelingStatistics
from rerank.features.support import ComponentSupport
from rerank.types import FloatArray

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


class ClassFree(NamedTuple):
    """Class-free columns of one family of features."""

    names: tuple[str, ...]
    values: FloatArray  #: (M, k), or (M,) for one name


def summary_features(families: Iterable[ClassFree], image_id: str = "") -> FeatureTable:
    """Join class-free columns of several families into one group, `summary`.

    On a few hundred images a ranker overfits hundreds of columns for single classes, but not
    these.

    Parameters
    ----------
    families : iterable of ClassFree
        In the order of the columns.
    image_id : str

    Returns
    -------
    FeatureTable
        M rows.
    """
    found = list(families)
    values = [family.values.reshape(len(family.values), -1) for family in found]
    names = tuple(name for family in found for name in family.names)
    return FeatureTable.of_image(
        np.concatenate(values, axis=1), scalar_names("summary", names), "summary", image_id
    )


def score_scalars(signal: str, scores: ProbabilityScores) -> ClassFree:
    """Seven columns `<signal>_accuracy` and so on, defined in `fused_posterior_features`.

    Parameters
    ----------
    signal : str
        Where the probabilities come from, such as `segnet`.
    scores : ProbabilityScores

    Returns
    -------
    ClassFree
    """
    return ClassFree(tuple(f"{signal}_{name}" for name in SCALAR_FEATURES), scores.scalars)


def component_scalars(components: ComponentSupport, statistics: LabelingStatistics) -> ClassFree:
    """`component_log_prob`, summed over classes, and `worst_component` of all painted classes.

    Parameters
    ----------
    components : ComponentSupport
    statistics : LabelingStatistics

    Returns
    -------
    ClassFree
    """
    worst = components.worst.min(axis=1, where=statistics.painted, initial=1.0)
    return ClassFree(
        ("component_log_prob", "worst_component"),
        np.stack([components.log_prob.sum(axis=1), worst], axis=1),
    )


def energy_scalars(energy: FeatureTable) -> ClassFree:
    """Three columns of `energy_features`."""
    columns = [energy.column(f"proposal.{name}") for name in ENERGY_FEATURES]
    return ClassFree(ENERGY_FEATURES, np.stack(columns, axis=1))


def structure_scalars(statistics: LabelingStatistics) -> ClassFree:
    """Number, sizes and shapes of what each labeling paints.

    `classes` = log of the number of painted classes; `components` and `small_components` =
    log(1 + n); `entropy` of the classes' shares in nats; `largest_component` = its share of the
    image; `compactness` averaged over the image (see `layout_features`).
    """
    return ClassFree(STRUCTURE_FEATURES, _structure_kernel(statistics))


@njit(cache=True)
def _structure_kernel(statistics: LabelingStatistics) -> FloatArray:
    area, perimeter, largest = statistics.area, statistics.perimeter, statistics.largest
    components, small = statistics.n_components, statistics.n_small
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


def classifier_scalars(classification: FeatureTable, n_foreground: int) -> ClassFree:
    """Six sums over classes of columns of `classification_features`.

    `worst_denied` is the highest `denied` of a class, the others are sums of the columns that
    they are named after.

    Parameters
    ----------
    classification : FeatureTable
        Of `classification_features`.
    n_foreground : int
        Number of classes with classifiers, K.

    Returns
    -------
    ClassFree
    """
    values = classification.values
    last = values[:, -4 * n_foreground :].reshape(len(values), 4, n_foreground)
    denied, missed, size_denied, size_missed = (last[:, k] for k in range(4))
    n_sizes = (values.shape[1] - 6 * n_foreground) // 2
    start = n_foreground + n_sizes
    painted = values[:, start : start + n_foreground]
    sums = np.stack(
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
    return ClassFree(CLASSIFIER_FEATURES, sums)
