"""Strings in the form that HDF5 takes."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from rerank.types import Array


def encode_strings(strings: Iterable[str]) -> Array:
    """Fixed-length UTF-8 bytes, (N,) `S`; an empty list gives `S1`."""
    encoded = [str(s).encode("utf-8") for s in strings]
    return np.array(encoded, dtype=f"S{max([1, *map(len, encoded)])}")


def decode_strings(values: Array) -> tuple[str, ...]:
    """The strings of bytes, `str` or object arrays, as HDF5 readers hand them back."""
    return tuple(
        v.decode("utf-8") if isinstance(v, bytes) else str(v) for v in np.asarray(values).tolist()
    )


def shown(names: Iterable[str], limit: int = 5) -> str:
    """A few names for a message, and how many more there are.

    Examples
    --------
    >>> shown("abc", limit=2)
    "'a', 'b' and 1 more"
    """
    listed = list(names)
    if not listed:
        return "none"
    text = ", ".join(repr(n) for n in listed[:limit])
    return text if len(listed) <= limit else f"{text} and {len(listed) - limit} more"
