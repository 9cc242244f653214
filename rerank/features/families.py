"""Families of columns in plain words, and what each adds to a linear score."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from rerank.features.appearance_fit import APPEARANCE_FEATURES, APPEARANCE_SCALARS
from rerank.features.boundary import BORDER_SCALARS, BOUNDARY_FEATURES
from rerank.features.consensus import CONSENSUS_FEATURES, CONSENSUS_SCALARS
from rerank.features.edges import EDGE_FEATURES, EDGE_SCALARS
from rerank.features.energy_columns import ENERGY_FEATURES
from rerank.features.layout import LAYOUT_FEATURES, PAIR_FEATURES
from rerank.features.risk import RISK_SCALARS
from rerank.features.summary import CLASSIFIER_FEATURES
from rerank.features.support import SUPPORT_FEATURES
from rerank.types import FloatArray

#: Families in the order in which they are shown.
FAMILIES = (
    "class probabilities",
    "fused posterior",
    "energy",
    "agreement with the others",
    "samples",
    "segnet",
    "image classifiers",
    "borders",
    "edges of the picture",
    "colours and textures",
    "sizes and components",
    "places and company",
    "generator",
    "other",
)
#: Families of whole groups.
_GROUPS = {
    "segnet": "segnet",
    "rule": "segnet",
    "fused_posterior": "fused posterior",
    "classification": "image classifiers",
}
#: Families by how a column's name begins; the first that fits counts.
_BEGINNINGS = {
    "stage1_": "class probabilities",
    "fused_posterior_": "fused posterior",
    "segnet_": "segnet",
    "classifier_": "image classifiers",
    "made_by_": "generator",
    "inside_": "colours and textures",
    "spread_": "colours and textures",
}
_NAMES = {
    "class probabilities": (*SUPPORT_FEATURES, "component_log_prob"),
    "energy": ENERGY_FEATURES,
    "agreement with the others": (*CONSENSUS_SCALARS, *CONSENSUS_FEATURES, *RISK_SCALARS),
    "samples": ("sampled_quality", "untrained_score"),
    "segnet": ("symmetric_kl",),
    "image classifiers": CLASSIFIER_FEATURES,
    "edges of the picture": (*EDGE_SCALARS, *EDGE_FEATURES),
    "borders": (*BORDER_SCALARS, *BOUNDARY_FEATURES),
    "colours and textures": (*APPEARANCE_SCALARS, *APPEARANCE_FEATURES),
    "sizes and components": (
        *LAYOUT_FEATURES,
        *PAIR_FEATURES,
        "classes",
        "entropy",
        "largest_component",
    ),
    "places and company": (
        "location",
        "mean_location",
        "location_log_prob",
        "company",
        "cooccurrence",
    ),
}
_FAMILY_OF = {name: family for family, names in _NAMES.items() for name in names}


def family_of(column: str) -> str:
    """The family of a column, by its name.

    Examples
    --------
    >>> family_of("summary.energy_rank"), family_of("proposal.location[cow]")
    ('energy', 'places and company')
    """
    group, _, rest = column.partition(".")
    if group in _GROUPS:
        return _GROUPS[group]
    name = re.sub(r"\[.*", "", rest)
    if name in _FAMILY_OF:
        return _FAMILY_OF[name]
    for beginning, family in _BEGINNINGS.items():
        if name.startswith(beginning):
            return family
    return "other"


def family_scores(
    columns: Sequence[str], values: FloatArray, coef: FloatArray
) -> dict[str, FloatArray]:
    """Split linear scores into what each family of columns adds.

    Parameters
    ----------
    columns : sequence of D str
    values : (M, D) float array
        As the ranker weighs them.
    coef : (D,) float array

    Returns
    -------
    dict of str to (M,) float64 array
        The families that occur, in the order of `FAMILIES`. They sum to ``values @ coef``.

    Examples
    --------
    >>> columns = ("summary.gap", "summary.classes", "summary.energy_rank")
    >>> found = family_scores(columns, np.array([[1.0, 2.0, 3.0]]), np.array([1.0, 10.0, 100.0]))
    >>> {family: float(score[0]) for family, score in found.items()}
    {'energy': 301.0, 'sizes and components': 20.0}
    """
    families = np.array([family_of(column) for column in columns])
    return {
        family: np.asarray(values[:, own] @ coef[own], dtype=np.float64)
        for family in FAMILIES
        if (own := families == family).any()
    }
