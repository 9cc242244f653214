"""Candidates of a pool: single rows of generators, made on an image."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rerank.proposals.generator import ProposalGenerator, build_generator, check_count
from rerank.proposals.proposal_context import ProposalContext
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


def run_candidates(
    candidates: Sequence[Candidate],
    context: ProposalContext,
    random_state: int = 0,
    made: Mapping[ProposalGenerator, ProposalSet] | None = None,
) -> list[ProposalSet]:
    """Make the labeling of each candidate on one image.

    Each generator runs once, for as many rows as are needed. Its random numbers depend on
    `random_state` and its settings, not on the other candidates.

    Parameters
    ----------
    candidates : sequence of Candidate
    context : ProposalContext
    random_state : int
    made : mapping of generator to ProposalSet, optional
        What generators made before on this image with this random state, enough rows or all that
        they can: those do not run again.

    Returns
    -------
    list of ProposalSet
        One set a candidate, in their order: its labeling, or none where its generator makes fewer
        rows on this image. Repeated labelings are kept.
    """
    needed: dict[ProposalGenerator, int] = {}
    for candidate in candidates:
        needed[candidate.generator] = max(needed.get(candidate.generator, 0), candidate.index + 1)
    known = made or {}
    sets = {
        generator: known[generator]
        if generator in known
        else run_generator(generator, context, count, random_state)
        for generator, count in needed.items()
    }
    return [
        sets[each.generator].take([each.index] if each.index < len(sets[each.generator]) else [])
        for each in candidates
    ]


def run_generator(
    generator: ProposalGenerator, context: ProposalContext, n_proposals: int, random_state: int = 0
) -> ProposalSet:
    """Run one generator on random numbers that its settings and `random_state` determine.

    Parameters
    ----------
    generator : ProposalGenerator
    context : ProposalContext
    n_proposals : int
        How many labelings to ask for.
    random_state : int

    Returns
    -------
    ProposalSet
        At most `n_proposals` labelings.
    """
    return generator.generate(context, n_proposals, random_numbers(generator, random_state))


def random_numbers(generator: ProposalGenerator, random_state: int) -> np.random.Generator:
    """The random numbers of a generator: its settings and `random_state` determine them.

    Parameters
    ----------
    generator : ProposalGenerator
    random_state : int

    Returns
    -------
    numpy.random.Generator
    """
    name = repr(sorted(generator.describe().items()))
    return np.random.default_rng([int(random_state), zlib.crc32(name.encode())])
