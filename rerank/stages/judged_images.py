"""What is known of proposals of images with labels: scores, counts, and beliefs in the truth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rerank.config import Recipe
from rerank.engine.hdf5 import read_strings
from rerank.engine.stage import Job, read_image
from rerank.metrics import IntersectionUnion, image_iou, pairwise_counts
from rerank.ranking import ExpectedCounts, expected_counts, marginal_counts, proposal_beliefs
from rerank.stages.fusion import open_sources, read_probabilities
from rerank.stages.proposals import NETWORK
from rerank.stages.ranking import load_scores
from rerank.types import Array, BoolArray, FloatArray, IntArray

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

    What is large is there of K images alone, as many as fit in `training_memory`.

    Attributes
    ----------
    scores : (N, M) float array
        By a ranker that was not fitted on these images.
    network : (N,) int array
        The proposal that is the network's own labeling; MAP where there is no network map.
    change : (N, M) float array
        1 less the IoU of each proposal with the network's labeling.
    quality : (N, M) float array
        Image IoU of each proposal.
    kept : (N,) bool array
        The K images.
    similarity : (K, M, M) float array
    counts : IntersectionUnion of (K, M, C) arrays
    expected : sequence of ExpectedCounts of (K, M, C) arrays
        One for each of `candidate_beliefs`.
    """

    scores: FloatArray
    network: IntArray
    change: FloatArray
    quality: FloatArray
    kept: BoolArray
    similarity: FloatArray
    counts: IntersectionUnion
    expected: Sequence[ExpectedCounts]

    @classmethod
    def join(cls, parts: Sequence[Judged]) -> Judged:
        """Several parts as one."""
        return cls(
            np.concatenate([part.scores for part in parts]),
            np.concatenate([part.network for part in parts]),
            np.concatenate([part.change for part in parts]),
            np.concatenate([part.quality for part in parts]),
            np.concatenate([part.kept for part in parts]),
            np.concatenate([part.similarity for part in parts]),
            IntersectionUnion.concatenate([part.counts for part in parts]),
            [joined_counts(found) for found in zip(*(part.expected for part in parts))],
        )


def joined_counts(found: Sequence[ExpectedCounts]) -> ExpectedCounts:
    """Those of several sets of images, one after another."""
    return ExpectedCounts(*(np.concatenate(arrays) for arrays in zip(*found)))


def change_of(similarity: Array) -> FloatArray:
    """What a proposal changes: 1 less its IoU with the network's labeling."""
    return np.clip(1.0 - np.asarray(similarity, dtype=np.float64), 0.0, 1.0)


def read_judged(job: Job, part: str, kept: BoolArray | None = None) -> Judged:
    """Read scores, counts and beliefs of one part.

    Parameters
    ----------
    job : Job
        Of this stage.
    part : str
        A fold or `final`.
    kept : (N,) bool array, optional
        The images of which all is read; all by default.

    Returns
    -------
    Judged
    """
    with job.open("ranking") as file:
        scores = load_scores(file, part)[RULE]
    count, n_proposals = scores.shape
    whole = np.ones(count, dtype=bool) if kept is None else kept
    network, change = np.zeros(count, dtype=np.int64), np.empty(scores.shape)
    quality = np.empty(scores.shape)
    counts, similarities = list[IntersectionUnion](), []
    candidates = candidate_beliefs(job.recipe)
    expected: list[list[ExpectedCounts]] = [[] for _ in candidates]
    for index, (image, similarity) in enumerate(zip(_images(job, part), _similarities(job, part))):
        names = image.generators
        network[index] = names.index(NETWORK) if NETWORK in names else 0
        change[index] = change_of(similarity[:, network[index]])
        quality[index] = image_iou(image.counts)
        if whole[index]:
            counts.append(image.counts)
            similarities.append(similarity)
            for beliefs, rows in zip(candidates, expected):
                rows.append(image.expected(beliefs, scores[index]))
    shape = (len(counts), n_proposals, job.data.n_classes)
    return Judged(
        scores,
        network,
        change,
        quality,
        whole,
        np.array(similarities, dtype=np.float32).reshape(-1, n_proposals, n_proposals),
        IntersectionUnion(
            np.array([c.intersections for c in counts], dtype=np.int64).reshape(shape),
            np.array([c.unions for c in counts], dtype=np.int64).reshape(shape),
        ),
        [_stacked(rows, shape) for rows in expected],
    )


class _Image(NamedTuple):
    """What is read of one image."""

    generators: tuple[str, ...]
    labelings: Array
    counts: IntersectionUnion
    areas: Array
    probabilities: FloatArray

    def expected(self, beliefs: Beliefs, scores: FloatArray) -> ExpectedCounts:
        return beliefs.counts(scores, self.labelings, self.areas, self.probabilities)


def _images(job: Job, part: str) -> Iterator[_Image]:
    with (
        job.open("superpixels", part) as regions,
        job.open("proposals", part) as proposals,
        job.open("quality", part) as quality,
        open_sources(job, part) as sources,
    ):
        for index in range(len(job.ids(part))):
            drawn = read_image(proposals, index, ("labelings", "generators"))
            found = read_image(quality, index, ("intersections", "unions"))
            yield _Image(
                read_strings(drawn["generators"]),
                drawn["labelings"],
                IntersectionUnion(found["intersections"], found["unions"]),
                read_image(regions, index, ("areas",))["areas"],
                list(read_probabilities(sources, index).values())[-1],
            )


def _similarities(job: Job, part: str) -> Iterator[FloatArray]:
    for file in job.files("features", part):
        yield from file["similarity"][()]


def _stacked(rows: Sequence[ExpectedCounts], shape: tuple[int, ...]) -> ExpectedCounts:
    return ExpectedCounts(
        np.array([row.intersections for row in rows], dtype=np.float64).reshape(shape),
        np.array([row.unions for row in rows], dtype=np.float64).reshape(shape),
    )


def expected_of_each(
    job: Job, part: str, judged: Judged, beliefs: Beliefs
) -> Iterator[ExpectedCounts]:
    """Expected counts of each image of a part, read again unless all were kept.

    Parameters
    ----------
    job : Job
    part : str
    judged : Judged
        Of the part.
    beliefs : Beliefs
        One of `candidate_beliefs`.

    Yields
    ------
    ExpectedCounts of (M, C) arrays
    """
    if judged.kept.all():
        known = judged.expected[candidate_beliefs(job.recipe).index(beliefs)]
        yield from map(ExpectedCounts, known.intersections, known.unions)
        return
    for index, image in enumerate(_images(job, part)):
        yield image.expected(beliefs, judged.scores[index])
