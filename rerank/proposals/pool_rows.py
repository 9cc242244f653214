"""The rows of generators that make an image's pool, and making them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

import numpy as np

from rerank.errors import InputError
from rerank.potentials.energy_settings import EnergySettings, potts_energy
from rerank.proposals.candidates import Candidate, run_candidates
from rerank.proposals.divmbest import DivMBest
from rerank.proposals.generator import ProposalGenerator
from rerank.proposals.posterior_samples import PosteriorSamples
from rerank.proposals.proposal_context import ProposalContext
from rerank.proposals.proposal_set import ProposalSet
from rerank.superpixels import RegionGraph
from rerank.types import FloatArray

#: Candidates chosen for each proposal wanted: the later ones stand in where labelings repeat.
RESERVE = 2
#: Of numbers of labelings, steps and regions in a text.
_MOST_DIGITS = 4
_LARGEST = 1e9


@dataclass(frozen=True)
class PoolRow:
    """A candidate and the source of class probabilities whose energy it is drawn from."""

    source: str
    candidate: Candidate


def pool_contexts(
    probabilities: Mapping[str, FloatArray],
    graph: RegionGraph,
    appearance: FloatArray,
    settings: Mapping[str, EnergySettings],
) -> dict[str, ProposalContext]:
    """The energy of each source as the generators see it, the main one last.

    Parameters
    ----------
    probabilities : mapping of source to (n, C) float array
    graph : RegionGraph
    appearance : (n, D) float array
        Colours of the superpixels.
    settings : mapping of source to EnergySettings

    Returns
    -------
    mapping of source to ProposalContext
    """
    found: dict[str, ProposalContext] = {}
    for source, chosen in settings.items():
        energy = potts_energy(probabilities[source], graph, chosen)
        if found:
            found[source] = next(iter(found.values())).beside(energy)
        else:
            found[source] = ProposalContext(energy, graph.areas, appearance=appearance)
    return found


def run_rows(
    rows: Sequence[PoolRow],
    contexts: Mapping[str, ProposalContext],
    n_proposals: int,
    random_state: int,
    made: Mapping[str, Mapping[ProposalGenerator, ProposalSet]] | None = None,
) -> ProposalSet:
    """Make the chosen rows of one image, without repeated labelings.

    Energies are those of the last source's energy, and so are bounds; rows that another source's
    energy gave are bounded by the last one's MAP.

    Parameters
    ----------
    rows : sequence of PoolRow
        The pool, in its order.
    contexts : mapping of source to ProposalContext
        As `pool_contexts` returns them, the main source last.
    n_proposals : int
        At most this many.
    random_state : int
        Seed of the generators that use chance.
    made : mapping of source to generator to ProposalSet, optional
        As `run_candidates` takes it, for each source.

    Returns
    -------
    ProposalSet
    """
    main = list(contexts)[-1]
    energy, bound = contexts[main].energy, contexts[main].map_result.lower_bound
    known = made or {}
    each: dict[str, Iterator[ProposalSet]] = {
        source: iter(
            run_candidates(
                [row.candidate for row in rows if row.source == source],
                context,
                random_state,
                known.get(source),
            )
        )
        for source, context in contexts.items()
    }
    parts = []
    for row in rows:
        found = next(each[row.source])
        if row.source != main:
            energies = energy.evaluate(found.labelings)
            found = replace(found, energies=energies, lower_bounds=np.minimum(energies, bound))
        if len(contexts) > 1:
            found = replace(
                found, parameters=tuple({**p, "source": row.source} for p in found.parameters)
            )
        parts.append(found)
    distinct = ProposalSet.concatenate(parts).distinct()
    return distinct.take(range(min(n_proposals, len(distinct))))


def mixed_rows(
    sources: Sequence[str], diversity: float, class_noise: float, n_proposals: int
) -> tuple[PoolRow, ...]:
    """Labelings of DivMBest and samples under class noise by turns, on each source.

    Parameters
    ----------
    sources : sequence of str
        The main one last; its labelings come first.
    diversity : float
        Of `DivMBest`, by area.
    class_noise : float
        Of `PosteriorSamples`.
    n_proposals : int
        Proposals of an image; there are at least `RESERVE` times as many rows.

    Returns
    -------
    tuple of PoolRow
    """
    generators = (DivMBest(diversity, per="area"), PosteriorSamples(class_noise))
    each = math.ceil(RESERVE * n_proposals / (len(generators) * len(sources)))
    return tuple(
        PoolRow(source, Candidate(generator, index))
        for index in range(each)
        for source in reversed(sources)
        for generator in generators
    )


def to_text(rows: Sequence[PoolRow]) -> tuple[str, ...]:
    """Rows as JSON, one string each, as they are stored."""
    return tuple(
        json.dumps({"source": row.source, **row.candidate.describe()}, sort_keys=True)
        for row in rows
    )


def from_text(texts: Sequence[str]) -> tuple[PoolRow, ...]:
    """The inverse of `to_text`.

    Raises
    ------
    InputError
        If a text describes no row, or one that would take too long: texts come from files too.
    """
    found = []
    for text in texts:
        try:
            description = json.loads(
                text, parse_constant=_refused, parse_int=_bounded, parse_float=_finite
            )
            source = description.pop("source")
            if source not in ("unary", "fusion"):
                raise ValueError(f"no source is called {source!r:.20}")
            found.append(PoolRow(source, Candidate.from_description(description)))
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(f"{text!r:.60} is no row of a pool ({error!s:.80})") from error
    return tuple(found)


def _refused(name: str) -> NoReturn:
    raise ValueError(f"{name} is no setting")


def _finite(digits: str) -> float:
    if not abs(value := float(digits)) <= _LARGEST:
        raise ValueError(f"{digits:.20} is too large")
    return value


def _bounded(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"{digits:.20} is too large")
    return int(digits)


def fill(proposals: ProposalSet, n_proposals: int) -> ProposalSet:
    """Bring a set to a number of rows: where it has fewer, its first labeling is repeated.

    Parameters
    ----------
    proposals : ProposalSet
        At least one row.
    n_proposals : int

    Returns
    -------
    ProposalSet
        Of `n_proposals` rows.
    """
    kept = range(min(n_proposals, len(proposals)))
    return proposals.take([*kept, *[0] * (n_proposals - len(kept))])
