"""Which rows of which generators make an image's proposals, chosen on held-out training images."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from rerank.metrics import region_intersection_union
from rerank.proposals import (
    Candidate,
    ClassBias,
    DivMBest,
    ImageColours,
    LabelCoverage,
    LabelSwap,
    PerturbAndMAP,
    ProposalContext,
    ProposalGenerator,
    RegionMerging,
    SettingsGrid,
    run_generator,
)
from rerank.proposals.pool_rows import RESERVE, PoolRow
from rerank.proposals.proposal_set import equal_labelings
from rerank.tuning.greedy_pool import greedy_pool
from rerank.types import Array, IntArray


def candidate_generators(diversity: float) -> dict[ProposalGenerator, float]:
    """The generators that the pool draws from, MAP's own first, and how many rows each makes.

    Returns
    -------
    dict
        Generator -> its rows as a share of the proposals of an image. Pools on two data sets, of
        1,320 rows, took next to none from beyond these.
    """
    return {
        DivMBest(diversity, per="area"): 1.0,
        DivMBest(2 * diversity, per="area"): 1 / 3,
        DivMBest(diversity, per="area", regions="components"): 2 / 3,
        DivMBest(2 * diversity, per="area", regions="components"): 2 / 3,
        DivMBest(diversity, per="area", regions=40): 2 / 3,
        ClassBias(1.0): 1 / 3,
        LabelSwap(): 2 / 3,
        RegionMerging(): 1.0,
        SettingsGrid(): 1.0,
        ImageColours(): 1.0,
        PerturbAndMAP(0.5, "class"): 1.0,
        PerturbAndMAP(1.0, "class"): 1.0,
        PerturbAndMAP(1.0, 20): 1.0,
    }


def all_generators(diversity: float) -> tuple[ProposalGenerator, ...]:
    """Those of the pool, and those that are too slow for their gain.

    Of 1,320 rows that pools chose on two data sets, 10 were of the weaker class bias and 22 of
    noise on 60 regions, for a tenth of the time. Label coverage brings a new label in on a
    superpixel or two, which hardly changes the IoU: of 5,010 rows that pools chose on three data
    sets, 17 were its, for a sixth of the time. On whole components it does better, but less than
    others.
    """
    return (
        *candidate_generators(diversity),
        ClassBias(0.5),
        PerturbAndMAP(1.0, 60),
        LabelCoverage(of="presence"),
        LabelCoverage(of="transition"),
        LabelCoverage(1000.0, of="presence", regions="components"),
        LabelCoverage(1000.0, of="transition", regions="components"),
    )


@dataclass(frozen=True)
class CandidateTable:
    """How good every row of every generator is on held-out images.

    Attributes
    ----------
    rows : tuple of PoolRow
        All rows of a source's first generator, then of its next, source by source.
    intersections, unions : (images, rows, classes) int arrays
        0 where a row is not made on an image.
    labeling_ids : (images, rows) int array
        Equal numbers in an image are equal labelings.
    """

    rows: tuple[PoolRow, ...]
    intersections: IntArray
    unions: IntArray
    labeling_ids: IntArray


def evaluate_candidates(
    contexts: Iterable[Mapping[str, ProposalContext]],
    histograms: Sequence[Array],
    diversity: float,
    n_proposals: int,
    random_state: int,
) -> CandidateTable:
    """Run every generator on every source of every held-out image.

    Parameters
    ----------
    contexts : iterable of mappings from source to ProposalContext
        One an image, all with the same sources; they are not kept.
    histograms : sequence of (n, C) int arrays
        Pixels of each class in each superpixel of these images.
    diversity : float
        Of DivMBest in the energy's units, around which its settings are laid.
    n_proposals : int
        Proposals of an image, of which `candidate_generators` says each generator's share.
    random_state : int

    Returns
    -------
    CandidateTable
    """
    contexts = iter(contexts)
    first = next(contexts)
    # Each run's source, generator, number of rows, and place of its first row.
    runs = []
    rows: list[PoolRow] = []
    for source in first:
        for generator, share in candidate_generators(diversity).items():
            count = math.ceil(share * n_proposals)
            runs.append((source, generator, count, len(rows)))
            rows += [PoolRow(source, Candidate(generator, index)) for index in range(count)]
    shape = (len(histograms), len(rows), histograms[0].shape[1])
    intersections, unions = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    names = np.full(shape[:2], -1, np.int64)
    for image, (context, histogram) in enumerate(zip(chain([first], contexts), histograms)):
        filled, labelings = [], []
        for source, generator, count, place in runs:
            made = run_generator(generator, context[source], count, random_state)
            columns = place + np.arange(len(made))
            counts = region_intersection_union(histogram, made.labelings)
            intersections[image, columns] = counts.intersections
            unions[image, columns] = counts.unions
            filled.append(columns)
            labelings.append(made.labelings)
        names[image, np.concatenate(filled)] = equal_labelings(np.concatenate(labelings))
    return CandidateTable(tuple(rows), intersections, unions, names)


def choose_pool(
    table: CandidateTable, n_proposals: int, sources: Sequence[str]
) -> tuple[PoolRow, ...]:
    """Choose rows of some sources greedily by the oracle's gain in mean image IoU.

    The MAP labelings of the sources, in their order, come first.

    Parameters
    ----------
    table : CandidateTable
    n_proposals : int
        Proposals of an image. `RESERVE` times as many rows are chosen, since some rows repeat a
        labeling.
    sources : sequence of str
        Only their rows are chosen from.

    Returns
    -------
    tuple of PoolRow
        In the order of choice.
    """
    kept = np.array([k for k, row in enumerate(table.rows) if row.source in sources])
    rows = [table.rows[k] for k in kept]
    # Each source's first generator starts with its MAP labeling.
    maps = tuple(
        next(k for k, row in enumerate(rows) if row.source == source) for source in sources
    )
    chosen = greedy_pool(
        table.intersections[:, kept],
        table.unions[:, kept],
        min(RESERVE * n_proposals, len(rows)),
        first=maps,
        labeling_ids=table.labeling_ids[:, kept],
    )
    return tuple(rows[k] for k in chosen.order)
