"""A chosen pool run on an image: the rows of the generators that it names."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rerank.errors import InputError
from rerank.proposals.context import ProposalContext
from rerank.proposals.generator import ProposalGenerator, build_generator, check_count
from rerank.proposals.proposal_set import ProposalSet


@dataclass(frozen=True)
class Candidate:
    """Row `index` of what one generator makes."""

    generator: ProposalGenerator
    index: int

    def describe(self) -> dict[str, Any]:
        """A dictionary that `from_description` turns back, of types that JSON can hold."""
        return {**self.generator.describe(), "index": self.index}

    @classmethod
    def from_description(cls, description: Mapping[str, Any]) -> Candidate:
        """Make the candidate that `describe` described.

        Raises
        ------
        InputError
            If the generator or a setting is unknown, or the index is missing.
        """
        settings = dict(description)
        index = settings.pop("index", None)
        check_count(index, "index", least=0)
        return cls(build_generator(settings), index)


def run_pool(
    candidates: Sequence[Candidate],
    context: ProposalContext,
    n_proposals: int,
    random_state: int = 0,
) -> ProposalSet:
    """Make the chosen candidates of one image, without repeated labelings.

    Each generator runs once, for as many rows as are needed, on random numbers of its own that
    depend on `random_state` and its settings and not on the other candidates.

    Parameters
    ----------
    candidates : sequence of Candidate
        In the order of choice; those after the first `n_proposals` stand in for repetitions and
        for rows that a generator does not make on this image.
    context : ProposalContext
    n_proposals : int
        At most this many labelings are returned.
    random_state : int

    Raises
    ------
    InputError
        If there is no candidate, or no candidate's row is made on this image.
    """
    check_count(n_proposals, "n_proposals")
    if not candidates:
        raise InputError("there must be at least one candidate to run")
    parts = [part for part in run_candidates(candidates, context, random_state) if len(part)]
    if not parts:
        raise InputError("none of the candidates' rows is made on this image")
    distinct = ProposalSet.concatenate(parts).distinct()
    return distinct.take(range(min(n_proposals, len(distinct))))


def run_candidates(
    candidates: Sequence[Candidate], context: ProposalContext, random_state: int = 0
) -> list[ProposalSet]:
    """The labeling of each candidate on one image, in their order; repeated ones are kept.

    Each generator runs once. The set of a candidate that is not made on this image is empty.
    """
    needed: dict[ProposalGenerator, int] = {}
    for candidate in candidates:
        needed[candidate.generator] = max(needed.get(candidate.generator, 0), candidate.index + 1)
    made = {
        generator: run_generator(generator, context, count, random_state)
        for generator, count in needed.items()
    }
    return [
        made[each.generator].take([each.index] if each.index < len(made[each.generator]) else [])
        for each in candidates
    ]


def run_generator(
    generator: ProposalGenerator, context: ProposalContext, n_proposals: int, random_state: int = 0
) -> ProposalSet:
    """Run one generator on random numbers that its settings and `random_state` determine."""
    name = repr(sorted(generator.describe().items()))
    rng = np.random.default_rng([int(random_state), zlib.crc32(name.encode())])
    return generator.generate(context, n_proposals, rng)
