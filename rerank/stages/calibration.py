"""What is promised about choices: the gate, the sets of proposals, and the joint choice.

All are calibrated on the folds' out-of-fold scores of the ranking SVM. For the images of a fold
they are calibrated on the other folds, so that what is reported on training images is honest too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice

import h5py
import numpy as np

from rerank.config import Recipe
from rerank.engine.folds import FINAL
from rerank.engine.hdf5 import read_arrays, write_arrays
from rerank.engine.stage import Job
from rerank.metrics import chosen_counts, corpus_iou, mean_image_iou
from rerank.ranking import ConformalSet, CorpusChoice, ExpectedCounts, Gate, choose_corpus
from rerank.stages.judged_images import (
    Beliefs,
    Judged,
    candidate_beliefs,
    expected_of_each,
    read_judged,
)
from rerank.stages.oracle import POPULATIONS, population_parts
from rerank.stages.ranking_rows import sampled_images
from rerank.types import FloatArray

#: Of the joint choice: expected counts, and what is made of them to bound it.
_BYTES_A_COUNT = 80


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
        gate, sets = _unfitted(recipe)
        gate.fit(judged.scores, judged.quality, judged.network, judged.change)
        scores = judged.scores[judged.kept]
        sets.fit(scores, judged.quality[judged.kept], judged.similarity)
        candidates = candidate_beliefs(recipe)
        merits = []
        for expected in judged.expected:
            chosen = chosen_counts(judged.counts, joint_choice(scores, expected, 0).choice)
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


def joint_choice_in_blocks(
    scores: FloatArray, expected: Iterator[ExpectedCounts], most: int
) -> CorpusChoice:
    """Choose for all images together, or for as many at a time as fit in memory.

    Parameters
    ----------
    scores : (N, M) float array
    expected : iterator of N ExpectedCounts of (M, C) arrays
        In the same order.
    most : int
        Images of a block, at most; blocks are of equal sizes.

    Returns
    -------
    CorpusChoice
        Of several blocks the means of expected IoU and bound, by images.
    """
    found: list[CorpusChoice] = []
    blocks = np.array_split(scores, -(-len(scores) // most))
    for own in blocks:
        rows = list(islice(expected, len(own)))
        counts = ExpectedCounts(*(np.stack(arrays) for arrays in zip(*rows)))
        found.append(joint_choice(own, counts))
    choices, *facts = zip(*found)
    iou, bound, gap = (
        float(np.average(values, weights=[len(own) for own in blocks])) for values in facts
    )
    return CorpusChoice(np.concatenate(choices), iou, bound, gap)


def run(job: Job, file: h5py.File) -> None:
    """Write the `model`, the gated `choices` of each part, and the joint choice of each population
    (`populations`) with its expected IoU and the bound on it."""
    count, n_classes = job.recipe.proposals.n_proposals, job.data.n_classes
    n_beliefs = len(candidate_beliefs(job.recipe))
    kept = sampled_images(job, 4 * count * (count + 4 * n_classes * (1 + n_beliefs)))
    # Of the evaluation images nothing is fitted.
    kept[FINAL] = np.zeros(len(job.ids(FINAL)), dtype=bool)
    judged = {p.name: read_judged(job, p.name, kept[p.name]) for p in job.parts if p.image_ids}
    folds = [part.name for part in job.folds if part.image_ids]
    whole = Calibration.fit(Judged.join([judged[name] for name in folds]), job.recipe)
    whole.save(file.create_group("model"))
    believed = {}
    for name, part in judged.items():
        others = [judged[fold] for fold in folds if fold != name]
        own = whole if name not in folds else Calibration.fit(Judged.join(others), job.recipe)
        found = own.gate.choose(part.scores, part.network, part.change)
        write_arrays(file.create_group(f"choices/{name}"), found._asdict())
        believed[name] = own.beliefs
    for population in POPULATIONS:
        parts = population_parts(job, population)
        if not parts:
            continue
        scores = np.concatenate([judged[name].scores for name in parts])
        expected = chain.from_iterable(
            expected_of_each(job, name, judged[name], believed[name]) for name in parts
        )
        most = max(1, (job.recipe.training_memory << 20) // (_BYTES_A_COUNT * count * n_classes))
        joint = joint_choice_in_blocks(scores, expected, most)
        write_arrays(file.create_group(f"populations/{population}"), joint._asdict())
