"""Which rows of which generators make an image's proposals, chosen on held-out training images."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from rerank.metrics import region_intersection_union
from rerank.proposals import (Candidate, ClassBias, DivMBest, LabelCoverage, LabelSwap,
                              PerturbAndMAP, ProposalContext, ProposalGenerator, ProposalSet,
                              RegionMerging, SettingsGrid, greedy_pool, run_generator)
from rerank.types import Array

#: Candidates chosen for each proposal wanted: the later ones stand in where labelings repeat.
RESERVE = 2


def candidate_generators(diversity: float) -> tuple[ProposalGenerator, ...]:
    """All generators that the pool draws from, MAP's own first."""
    return (
        DivMBest(diversity, per="area"), DivMBest(2 * diversity, per="area"),
        DivMBest(diversity, per="area", regions="components"),
        DivMBest(2 * diversity, per="area", regions="components"),
        DivMBest(diversity, per="area", regions=40),
        ClassBias(0.5), ClassBias(1.0), LabelSwap(), RegionMerging(), SettingsGrid(),
        PerturbAndMAP(0.5, "class"), PerturbAndMAP(1.0, "class"),
        PerturbAndMAP(1.0, 20), PerturbAndMAP(1.0, 60),
        LabelCoverage(of="presence"), LabelCoverage(of="transition"),
    )


def choose_pool(contexts: Sequence[ProposalContext], histograms: Sequence[Array],
                diversity: float, n_proposals: int, random_state: int) -> tuple[Candidate, ...]:
    """Choose candidates greedily by the oracle's gain in mean image IoU.

    Parameters
    ----------
    contexts : sequence of ProposalContext
        Of the held-out images.
    histograms : sequence of (n, C) int arrays
        Pixels of each class in each superpixel of these images.
    diversity : float
        Of DivMBest in the energy's units, around which its settings are laid.
    n_proposals : int
        How many rows each generator may make, and how many proposals are wanted.
    random_state : int
    """
    generators = candidate_generators(diversity)
    candidates = [Candidate(generator, index) for generator in generators
                  for index in range(n_proposals)]
    n_classes = histograms[0].shape[1]
    shape = (len(contexts), len(candidates), n_classes)
    intersections, unions = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    names = np.full(shape[:2], -1, np.int64)
    for row, (context, histogram) in enumerate(zip(contexts, histograms)):
        filled, labelings = [], []
        for place, generator in enumerate(generators):
            made = run_generator(generator, context, n_proposals, random_state)
            columns = place * n_proposals + np.arange(len(made))
            counts = region_intersection_union(histogram, made.labelings)
            intersections[row, columns] = counts.intersections
            unions[row, columns] = counts.unions
            filled.append(columns)
            labelings.append(made.labelings)
        _, equal = np.unique(np.concatenate(labelings), axis=0, return_inverse=True)
        names[row, np.concatenate(filled)] = equal
    chosen = greedy_pool(intersections, unions, min(RESERVE * n_proposals, len(candidates)),
                         first=(0,), labeling_ids=names)
    return tuple(candidates[k] for k in chosen.order)


def to_text(candidates: Sequence[Candidate]) -> tuple[str, ...]:
    """Candidates as JSON, one string each, as they are stored."""
    return tuple(json.dumps(candidate.describe(), sort_keys=True) for candidate in candidates)


def from_text(texts: Sequence[str]) -> tuple[Candidate, ...]:
    """The inverse of `to_text`."""
    return tuple(Candidate.from_description(json.loads(text)) for text in texts)


def fill(proposals: ProposalSet, n_proposals: int) -> ProposalSet:
    """As many rows as are wanted: where there are fewer labelings, the first one is repeated."""
    missing = n_proposals - len(proposals)
    return proposals if missing <= 0 else proposals.take([*range(len(proposals)), *[0] * missing])
