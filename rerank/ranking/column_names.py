"""Names of columns: what a ranker was fitted on must stand in the same place again."""

from __future__ import annotations

from typing import Any

from rerank.errors import InputError


def column_names(X: Any) -> tuple[str, ...] | None:
    """Names of the columns of a `FeatureTable` or a data frame; None where they have none.

    As in scikit-learn, only strings are names: the numbers that a data frame gives to columns
    without names say nothing.
    """
    columns = getattr(X, "columns", None)
    if columns is None:
        return None
    names = tuple(columns)
    return names if all(isinstance(name, str) for name in names) else None


def check_column_names(names: tuple[str, ...], fitted: tuple[str, ...]) -> None:
    """Raise `InputError` unless the names are those of `fit`, in its order."""
    if names == fitted:
        return
    missing, unknown = sorted(set(fitted) - set(names)), sorted(set(names) - set(fitted))
    if missing or unknown:
        raise InputError(
            f"the columns are not those that the ranker was fitted on: missing "
            f"{_shown(missing)}; not seen in fit {_shown(unknown)}"
        )
    place = next((k for k, (a, b) in enumerate(zip(fitted, names)) if a != b), len(fitted))
    raise InputError(
        f"the columns are not in the order of fit: {names[place]!r} stands at "
        f"{place}"
        + (f" in place of {fitted[place]!r}" if place < len(fitted) else ", a second time")
    )


def _shown(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(repr(name) for name in names[:3]) + more if names else "none"
