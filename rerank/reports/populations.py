"""A set of images with everything that a report compares on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rerank.metrics import IntersectionUnion, chosen_counts
from rerank.reports.evaluation import IMAGES, Evaluation, Resampled, evaluate
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
#: The user's own network: the most probable class of each pixel of its maps.
NETWORK_ROW = "network"
FUSION = "fusion (MAP of all signals)"
DENSE_CRF = "dense CRF"
#: The rule that predictions use.
CHOICE = RULES["svm"]
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
#: What is said before a table that begins with the user's own network.
NETWORK_LEAD = (
    " The row network is your network alone: at each pixel the most probable class of its map. "
    "unary alone is the mean of the maps over each region, MAP is the CRF of stage 1. Gains are "
    "counted over the network first, then over MAP; each is a paired difference with its 95% "
    "interval."
)


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
    network : IntersectionUnion or None
        Of the labeling of the user's own network, arrays (n_images, n_classes), where the unaries
        come from its maps.
    resampled : Resampled
        What intervals draw of the images.
    """

    name: str
    parts: tuple[str, ...]
    counts: IntersectionUnion
    choices: Mapping[str, IntArray]
    fixed: Mapping[str, IntersectionUnion]
    network: IntersectionUnion | None = None
    resampled: Resampled = IMAGES

    def counts_of(self, rule: str) -> IntersectionUnion:
        """Counts of a rule, a baseline or the network, arrays (n_images, n_classes)."""
        if rule == NETWORK_ROW and self.network is not None:
            return self.network
        if rule in self.fixed:
            return self.fixed[rule]
        return chosen_counts(self.counts, self.choices[rule])

    @property
    def lead(self) -> str:
        """What is said before its table."""
        lead = LEADS[self.name]
        if self.name == "cross_fitted" and "final" not in self.parts:
            lead = "Each image is judged by models and by a ranker that never saw it."
        lead += "" if self.network is None else NETWORK_LEAD
        return f"{lead} Intervals come from a bootstrap over {self.resampled}."


def evaluations(population: Population, n_bootstrap: int, random_state: int) -> list[Evaluation]:
    """Every rule and baseline on a population, each with its gain over MAP.

    The user's own network comes first where there is one, and the others have their gain over it
    too.

    Parameters
    ----------
    population : Population
    n_bootstrap : int
        Resamples for the intervals.
    random_state : int

    Returns
    -------
    list of Evaluation
    """
    baseline = chosen_counts(population.counts, population.choices["MAP"])
    network = population.network
    rows = {} if network is None else {NETWORK_ROW: network}
    rows.update(population.fixed)
    rows.update(
        (name, chosen_counts(population.counts, choice))
        for name, choice in population.choices.items()
    )
    found = []
    for name, counts in rows.items():
        other = None if name == "MAP" else baseline
        groups = population.resampled.groups
        row = evaluate(name, counts, other, n_bootstrap, random_state, groups)
        if network is not None and name != NETWORK_ROW:
            row = row.over_network(
                evaluate(name, counts, network, n_bootstrap, random_state, groups)
            )
        found.append(row)
    return found
