"""What is promised about choices: the gate, the sets of proposals, and the joint choice.

All are calibrated on the folds' out-of-fold scores of the ranking SVM. For the images of a fold
they are calibrated on the other folds, so that what is reported on training images is honest too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import h5py
import numpy as np

from rerank.config import Recipe
from rerank.engine.hdf5 import read_arrays, write_arrays
from rerank.engine.stage import Job, read_image, read_rows
from rerank.metrics import (
    IntersectionUnion,
    chosen_counts,
    corpus_iou,
    image_iou,
    mean_image_iou,
    pairwise_counts,
)
from rerank.ranking import (
    ConformalSet,
    CorpusChoice,
    ExpectedCounts,
    Gate,
    choose_corpus,
    expected_counts,
    marginal_counts,
    proposal_beliefs,
)
from rerank.stages.fusion import open_sources, read_probabilities
from rerank.stages.oracle import POPULATIONS, population_parts
from rerank.stages.proposals import NETWORK
from rerank.stages.ranking import load_scores
from rerank.types import Array, FloatArray, IntArray

#: The rule whose scores are calibrated: the one that predictions use.
RULE = "svm"


class Beliefs(NamedTuple):
    """What is believed about the truth of an image, for the joint choice.

    Attributes
    ----------
    temperature : float
        Of `proposal_beliefs`.
    marginal_share : float
        Weight of the class probabilities of regions, in [0, 1].
    """

    temperature: float
    marginal_share: float

    def counts(
        self, scores: Array, labelings: Array, areas: Array, region_probabilities: Array
    ) -> ExpectedCounts:
        """Expected counts of one image's proposals.

        Parameters
        ----------
        scores : (M,) float array
        labelings : (M, n) int array
        areas : (n,) array
        region_probabilities : (n, C) float array

        Returns
        -------
        ExpectedCounts
            (M, C) arrays.
        """
        marginal = marginal_counts(labelings, areas, region_probabilities)
        pairs = pairwise_counts(labelings, areas, region_probabilities.shape[1])
        p = proposal_beliefs(scores, self.temperature)
        return expected_counts(pairs, p, marginal, self.marginal_share)


def candidate_beliefs(recipe: Recipe) -> list[Beliefs]:
    """The beliefs that a recipe chooses among."""
    chosen = recipe.corpus_choice
    return [Beliefs(t, s) for t in chosen.temperatures for s in chosen.marginal_shares]


@dataclass(frozen=True, eq=False)
class Judged:
    """Images with the scores of their proposals and the truth about them.

    Attributes
    ----------
    scores : (N, M) float array
        By a ranker that was not fitted on these images.
    network : (N,) int array
        The proposal that is the network's own labeling; MAP where there is no network map.
    similarity : (N, M, M) float array
    counts : IntersectionUnion of (N, M, C) arrays
    expected : sequence of ExpectedCounts of (N, M, C) arrays
        One for each of `candidate_beliefs`.
    """

    scores: FloatArray
    network: IntArray
    similarity: FloatArray
    counts: IntersectionUnion
    expected: Sequence[ExpectedCounts]

    @property
    def change(self) -> FloatArray:
        """1 less the IoU of each proposal with the network's labeling, (N, M)."""
        rows = np.arange(len(self.scores))
        return change_of(self.similarity[rows, :, self.network])

    @classmethod
    def join(cls, parts: Sequence[Judged]) -> Judged:
        """Several parts as one."""
        return cls(
            np.concatenate([part.scores for part in parts]),
            np.concatenate([part.network for part in parts]),
            np.concatenate([part.similarity for part in parts]),
            IntersectionUnion(
                np.concatenate([part.counts.intersections for part in parts]),
                np.concatenate([part.counts.unions for part in parts]),
            ),
            [
                ExpectedCounts(*(np.concatenate(arrays) for arrays in zip(*found)))
                for found in zip(*(part.expected for part in parts))
            ],
        )


def change_of(similarity: Array) -> FloatArray:
    """What a proposal changes: 1 less its IoU with the network's labeling."""
    return np.clip(1.0 - np.asarray(similarity, dtype=np.float64), 0.0, 1.0)


@dataclass(frozen=True, eq=False)
class Calibration:
    """The calibrated gate and sets, and the beliefs of the joint choice."""

    gate: Gate
    sets: ConformalSet
    beliefs: Beliefs

    @classmethod
    def fit(cls, judged: Judged, recipe: Recipe) -> Calibration:
        """Calibrate on images with labels.

        Parameters
        ----------
        judged : Judged
        recipe : Recipe
            Its sections `gate`, `conformal_set` and `corpus_choice`.

        Returns
        -------
        Calibration
            The beliefs are those whose joint choice has the highest sum of corpus IoU and mean
            image IoU.
        """
        quality = image_iou(judged.counts)
        gate, sets = _unfitted(recipe)
        gate.fit(judged.scores, quality, judged.network, judged.change)
        sets.fit(judged.scores, quality, judged.similarity)
        candidates = candidate_beliefs(recipe)
        merits = []
        for expected in judged.expected:
            chosen = chosen_counts(judged.counts, joint_choice(judged.scores, expected, 0).choice)
            merits.append(corpus_iou(chosen).mean + mean_image_iou(chosen))
        return cls(gate, sets, candidates[int(np.argmax(merits))])

    @classmethod
    def load(cls, model: h5py.Group, recipe: Recipe) -> Calibration:
        """Read what `save` wrote.

        Parameters
        ----------
        model : HDF5 group
        recipe : Recipe

        Returns
        -------
        Calibration
        """
        gate, sets = _unfitted(recipe)
        gate.load_state(read_arrays(model["gate"]))
        sets.load_state(read_arrays(model["sets"]))
        return cls(gate, sets, Beliefs(*model["beliefs"][()].tolist()))

    def save(self, model: h5py.Group) -> None:
        """Write gate, sets and beliefs."""
        write_arrays(model.create_group("gate"), self.gate.state())
        write_arrays(model.create_group("sets"), self.sets.state())
        write_arrays(model, {"beliefs": np.array(self.beliefs)})


def _unfitted(recipe: Recipe) -> tuple[Gate, ConformalSet]:
    gate = Gate(
        level=recipe.gate.level,
        delta=recipe.gate.delta,
        tolerance=recipe.gate.tolerance,
        statistic="margin_per_change",
        reference="network" if recipe.unary.source == "probabilities" else "map",
    )
    return gate, ConformalSet(
        alpha=recipe.conformal_set.alpha, min_iou=recipe.conformal_set.min_iou
    )


def joint_choice(scores: FloatArray, expected: ExpectedCounts, max_nodes: int = 1) -> CorpusChoice:
    """Choose for all images together, starting also from the best scores.

    Parameters
    ----------
    scores : (N, M) float array
    expected : ExpectedCounts of (N, M, C) arrays
    max_nodes : int
        As in `choose_corpus`.

    Returns
    -------
    CorpusChoice
    """
    return choose_corpus(*expected, [scores.argmax(axis=1)], max_nodes)


def read_judged(job: Job, part: str) -> Judged:
    """Read scores, counts and beliefs of one part.

    Parameters
    ----------
    job : Job
        Of this stage.
    part : str
        A fold or `final`.

    Returns
    -------
    Judged
    """
    with job.open("ranking") as file:
        scores = load_scores(file, part)[RULE]
    with job.open("features", part) as file:
        similarity = read_rows(file, "similarity")
    candidates = candidate_beliefs(job.recipe)
    network, counts = [], []
    expected: list[list[ExpectedCounts]] = [[] for _ in candidates]
    with (
        job.open("superpixels", part) as regions,
        job.open("proposals", part) as proposals,
        job.open("quality", part) as quality,
        open_sources(job, part) as sources,
    ):
        for index in range(len(job.ids(part))):
            drawn = read_image(proposals, index)
            names = drawn["generators"]
            network.append(names.index(NETWORK) if NETWORK in names else 0)
            found = read_image(quality, index, ("intersections", "unions"))
            counts.append(IntersectionUnion(found["intersections"], found["unions"]))
            areas = read_image(regions, index, ("areas",))["areas"]
            probabilities = list(read_probabilities(sources, index).values())[-1]
            for beliefs, rows in zip(candidates, expected):
                rows.append(beliefs.counts(scores[index], drawn["labelings"], areas, probabilities))
    return Judged(
        scores,
        np.array(network, dtype=np.int64),
        similarity,
        IntersectionUnion.stack(counts),
        [ExpectedCounts(*(np.stack(arrays) for arrays in zip(*rows))) for rows in expected],
    )


def run(job: Job, file: h5py.File) -> None:
    """Write the `model`, the gated `choices` of each part, and the joint choice of each population
    (`populations`) with its expected IoU and the bound on it."""
    candidates = candidate_beliefs(job.recipe)
    judged = {part.name: read_judged(job, part.name) for part in job.parts if part.image_ids}
    folds = [part.name for part in job.folds if part.image_ids]
    whole = Calibration.fit(Judged.join([judged[name] for name in folds]), job.recipe)
    whole.save(file.create_group("model"))
    believed = {}
    for name, part in judged.items():
        others = [judged[fold] for fold in folds if fold != name]
        own = whole if name not in folds else Calibration.fit(Judged.join(others), job.recipe)
        found = own.gate.choose(part.scores, part.network, part.change)
        write_arrays(file.create_group(f"choices/{name}"), found._asdict())
        believed[name] = part.expected[candidates.index(own.beliefs)]
    for population in POPULATIONS:
        parts = population_parts(job, population)
        if not parts:
            continue
        scores = np.concatenate([judged[name].scores for name in parts])
        arrays = zip(*(believed[name] for name in parts))
        joint = joint_choice(scores, ExpectedCounts(*(np.concatenate(a) for a in arrays)))
        write_arrays(file.create_group(f"populations/{population}"), joint._asdict())
