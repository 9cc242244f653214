"""A set of images with everything that a report compares on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rerank.metrics import IntersectionUnion, chosen_counts
from rerank.reports.evaluation import Evaluation, evaluate
from rerank.types import IntArray

#: Names of the rules as people read them, by the name of their scores.
RULES = {
    "svm": "ranking SVM",
    "kl": "symmetric KL (Eq. 17)",
    "kl_cross_entropy": "symmetric KL, SegNet of CE alone",
    "mbr": "minimum Bayes risk",
    "pairwise": "pairwise ranking SVM",
    "ridge": "ridge",
    "boosting": "gradient boosting",
}
FUSION = "fusion (MAP of all signals)"
DENSE_CRF = "dense CRF"
GATED = "gated choice"
JOINT = "corpus-level choice"
#: Rules that are drawn beside the oracle curve; all of them would be too many lines to tell apart.
DRAWN = ("MAP", FUSION, RULES["kl"], RULES["mbr"], RULES["svm"])
TITLES = {"evaluation": "Evaluation images", "cross_fitted": "All images, cross-fitted"}
LEADS = {
    "evaluation": "Images of the evaluation split; every model was fitted on the training split.",
    "cross_fitted": "Training and evaluation images together, each judged by models and by a "
    "ranker that never saw it.",
}


@dataclass(frozen=True)
class Population:
    """A set of images with everything that is compared on it.

    Attributes
    ----------
    name : {"evaluation", "cross_fitted"}
    parts : tuple of str
        `final` and the folds whose images it holds.
    counts : IntersectionUnion
        Of all proposals, arrays (n_images, n_proposals, n_classes).
    choices : mapping of rule to (n_images,) int array
        Index of the proposal that the rule chooses.
    fixed : mapping of baseline to IntersectionUnion
        Of labelings that are no proposals, arrays (n_images, n_classes).
    """

    name: str
    parts: tuple[str, ...]
    counts: IntersectionUnion
    choices: Mapping[str, IntArray]
    fixed: Mapping[str, IntersectionUnion]


def evaluations(population: Population, n_bootstrap: int, random_state: int) -> list[Evaluation]:
    """Every rule and baseline on a population, each with its gain over MAP.

    Parameters
    ----------
    population : Population
    n_bootstrap : int
        Resamples of the images for the intervals.
    random_state : int

    Returns
    -------
    list of Evaluation
    """
    baseline = chosen_counts(population.counts, population.choices["MAP"])
    found = [
        evaluate(name, counts, baseline, n_bootstrap, random_state)
        for name, counts in population.fixed.items()
    ]
    for name, choice in population.choices.items():
        counts = chosen_counts(population.counts, choice)
        found.append(
            evaluate(name, counts, None if name == "MAP" else baseline, n_bootstrap, random_state)
        )
    return found
