"""Several labelings of one image, each with its energy, its bound and where it came from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rerank.errors import InputError
from rerank.types import Array, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class ProposalSet:
    """M labelings of the n nodes of one graph.

    Attributes
    ----------
    labelings : (M, n) int64
    energies : (M,) float64
        Energy of each labeling under the energy that was asked about, whatever costs a generator
        added to make it different.
    lower_bounds : (M,) float64
        What the generator proves about each energy, at most that energy; -inf where it proves
        nothing. Each generator says what its bound holds for.
    generators : (M,) tuple of str
        Name of the generator that made each labeling.
    parameters : (M,) tuple of dict
        Its settings; values that JSON can hold.
    """

    labelings: IntArray
    energies: FloatArray
    lower_bounds: FloatArray
    generators: tuple[str, ...]
    parameters: tuple[Mapping[str, Any], ...]

    def __post_init__(self) -> None:
        n_proposals = len(self.labelings)
        if self.labelings.ndim != 2:
            raise InputError(f"labelings must have shape (M, n), got {self.labelings.shape}")
        for name in ("energies", "lower_bounds", "generators", "parameters"):
            if len(getattr(self, name)) != n_proposals:
                raise InputError(
                    f"{name} must have one entry for each of {n_proposals} labelings, got "
                    f"{len(getattr(self, name))}"
                )

    @classmethod
    def of(
        cls,
        generator: str,
        labelings: IntArray,
        energies: FloatArray,
        lower_bounds: FloatArray | None = None,
        parameters: Mapping[str, Any] | None = None,
        each: Iterable[Mapping[str, Any]] | None = None,
    ) -> ProposalSet:
        """Label M labelings with one generator's name.

        Parameters
        ----------
        generator : str
        labelings : (M, n) int
        energies : (M,) float
        lower_bounds : (M,) float, optional
            -inf by default.
        parameters : mapping, optional
            Settings that all M share.
        each : iterable of M mappings, optional
            Settings of each one, beside the shared ones.

        Returns
        -------
        ProposalSet
        """
        n_proposals = len(labelings)
        shared = dict(parameters or {})
        own = [{} for _ in range(n_proposals)] if each is None else list(each)
        return cls(
            labelings=np.ascontiguousarray(labelings, dtype=np.int64),
            energies=np.asarray(energies, dtype=np.float64),
            lower_bounds=(
                np.full(n_proposals, -np.inf)
                if lower_bounds is None
                else np.asarray(lower_bounds, dtype=np.float64)
            ),
            generators=(generator,) * n_proposals,
            parameters=tuple({**shared, **extra} for extra in own),
        )

    def __len__(self) -> int:
        return len(self.labelings)

    @property
    def gaps(self) -> FloatArray:
        """``energies - lower_bounds`` (M,), infinite where nothing is proved."""
        return self.energies - self.lower_bounds

    def take(self, indices: Iterable[int]) -> ProposalSet:
        """The proposals at `indices`, in that order."""
        rows = np.fromiter(indices, dtype=np.int64)
        return ProposalSet(
            self.labelings[rows],
            self.energies[rows],
            self.lower_bounds[rows],
            tuple(self.generators[k] for k in rows),
            tuple(self.parameters[k] for k in rows),
        )

    def distinct(self) -> ProposalSet:
        """Without the labelings that equal an earlier one."""
        numbers = equal_labelings(self.labelings)
        return self.take(np.unique(numbers, return_index=True)[1])

    @staticmethod
    def concatenate(sets: Iterable[ProposalSet]) -> ProposalSet:
        """All proposals of several sets on the same graph, in order.

        Raises
        ------
        InputError
            If there is no set, or they differ in their number of nodes.
        """
        parts = list(sets)
        if not parts:
            raise InputError("there must be at least one set of proposals to join")
        widths = {part.labelings.shape[1] for part in parts}
        if len(widths) > 1:
            raise InputError(f"all sets must label the same nodes, got {sorted(widths)} of them")
        return ProposalSet(
            np.concatenate([part.labelings for part in parts]),
            np.concatenate([part.energies for part in parts]),
            np.concatenate([part.lower_bounds for part in parts]),
            sum((part.generators for part in parts), ()),
            sum((part.parameters for part in parts), ()),
        )


def equal_labelings(labelings: Array) -> IntArray:
    """Number labelings so that equal ones have equal numbers, in the order of first occurrence.

    Parameters
    ----------
    labelings : (M, n) integer array

    Returns
    -------
    (M,) int64
    """
    # `numpy.unique` along an axis sorts whole rows, a hundred times the work of hashing them.
    known: dict[bytes, int] = {}
    rows = np.ascontiguousarray(labelings)
    return np.array([known.setdefault(row.tobytes(), len(known)) for row in rows], dtype=np.int64)
