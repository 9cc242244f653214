"""The base of all generators of proposals, and how one is made from its name."""

from __future__ import annotations

import dataclasses
import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from rerank.errors import InputError
from rerank.proposals.proposal_context import ProposalContext
from rerank.proposals.proposal_set import ProposalSet
from rerank.types import FloatArray, IntArray, RandomState

_REGISTRY: dict[str, type[ProposalGenerator]] = {}


class ProposalGenerator(ABC):
    """A way to make labelings of an image, with its settings as fields of a frozen dataclass.

    A subclass sets `name` and defines `generate`. It keeps this contract:

    - `generate` returns at most `n_proposals` rows, in an order that means the same on every
      image, so that "row 3 of this generator" can be chosen on some images and used on others;
    - asked for fewer rows it returns the first ones of what it returns when asked for more;
    - equal seeds give equal rows; a generator without chance ignores the seed, and its
      `random` is False;
    - `ProposalSet.energies` are those of the image's own energy, and no labeling has a lower
      energy than ``lower_bounds``, or the generator says what its bounds hold for.
    """

    name: ClassVar[str]
    #: Whether `random_state` matters.
    random: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not inspect.isabstract(cls) and "name" in cls.__dict__:
            _REGISTRY[cls.name] = cls

    @abstractmethod
    def generate(
        self, context: ProposalContext, n_proposals: int, random_state: RandomState = None
    ) -> ProposalSet:
        """Make labelings of one image.

        Parameters
        ----------
        context : ProposalContext
        n_proposals : int
            At most this many, at least 1.
        random_state : int, Generator or None
            Ignored where `random` is False.

        Returns
        -------
        ProposalSet
        """

    @property
    def settings(self) -> dict[str, Any]:
        """The generator's fields, of types that JSON can hold."""
        return dataclasses.asdict(self)  # type: ignore[call-overload, no-any-return]

    def describe(self) -> dict[str, Any]:
        """Name and settings as a dictionary that `build_generator` turns back."""
        return {"generator": self.name, **self.settings}

    def _wrap(
        self,
        context: ProposalContext,
        labelings: IntArray,
        lower_bounds: FloatArray | None = None,
        each: list[dict[str, Any]] | None = None,
    ) -> ProposalSet:
        """Label rows with this generator; their bound is that of the MAP unless given."""
        rows = np.asarray(labelings, dtype=np.int64).reshape(-1, context.energy.n_nodes)
        energies = context.energy.evaluate(rows)
        if lower_bounds is None:
            lower_bounds = np.minimum(energies, context.map_result.lower_bound)
        return ProposalSet.of(self.name, rows, energies, lower_bounds, self.settings, each)


def build_generator(description: Mapping[str, Any]) -> ProposalGenerator:
    """Make the generator that `describe` described.

    Raises
    ------
    InputError
        If the name or a setting is unknown, or a setting is out of range.

    Examples
    --------
    >>> from rerank.proposals import build_generator
    >>> build_generator({"generator": "label_swap", "alternatives": 2})
    LabelSwap(alternatives=2, area_power=0.5)
    """
    settings = dict(description)
    name = settings.pop("generator", None)
    if name not in _REGISTRY:
        raise InputError(f"generator must be one of {', '.join(sorted(_REGISTRY))}, got {name!r}")
    kind = _REGISTRY[name]
    known = {item.name for item in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(settings) - known)
    if unknown:
        raise InputError(
            f"generator {name!r} has no setting {unknown[0]!r}; its settings: "
            f"{', '.join(sorted(known)) or 'none'}"
        )
    return kind(
        **{
            key: tuple(value) if isinstance(value, list) else value
            for key, value in settings.items()
        }
    )


def generator_names() -> list[str]:
    """Names that `build_generator` knows."""
    return sorted(_REGISTRY)


def check_count(value: int, name: str, least: int = 1) -> None:
    """Refuse what is not a count.

    Parameters
    ----------
    value : int
    name : str
        What the message calls it.
    least : int

    Raises
    ------
    InputError
        If `value` is not an integer of at least `least`.
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise InputError(f"{name} must be an integer of at least {least}, got {value!r}")


def check_amount(value: float, name: str, least: float = 0.0) -> None:
    """Refuse what is not an amount.

    Parameters
    ----------
    value : float
    name : str
        What the message calls it.
    least : float

    Raises
    ------
    InputError
        If `value` is not a finite number of at least `least`.
    """
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float, np.number))
        or not np.isfinite(value)
        or value < least
    ):
        raise InputError(f"{name} must be a finite number of at least {least}, got {value!r}")
