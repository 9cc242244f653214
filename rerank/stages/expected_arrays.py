"""Short names for the arrays that stages declare, and for the ranges of their values."""

from __future__ import annotations

from rerank.config import Recipe
from rerank.engine.contents import Expected, Values

Length = int | str | None
ANY = Expected("*", None, "any")
SHARES = Values(0, 1, shares=True)
UNIT = Values(0, 1)
CLASSES, REGIONS = Values(below="C"), Values(below="n")
#: Bounds of columns that clip nothing, thresholds that nothing passes, means over nothing.
UNBOUNDED = Values(infinite=True)
NOT_NEGATIVE, POSITIVE = Values(0), Values(1e-6)


def each(kind: str, *shape: Length, values: Values = Values()) -> Expected:  # noqa: B008
    """A data set of every image of the part.

    Parameters
    ----------
    kind : str
    *shape : int, str or None
    values : Values
        All as in `Expected`.

    Returns
    -------
    Expected
    """
    return Expected(kind, shape, "each", values)


def once(kind: str, *shape: Length, values: Values = Values()) -> Expected:  # noqa: B008
    """A data set that the file holds once.

    Parameters
    ----------
    kind : str
    *shape : int, str or None
    values : Values
        All as in `Expected`.

    Returns
    -------
    Expected
    """
    return Expected(kind, shape, "once", values)


def some(kind: str, *shape: Length, values: Values = Values()) -> Expected:  # noqa: B008
    """A data set that may come any number of times.

    Parameters
    ----------
    kind : str
    *shape : int, str or None
    values : Values
        All as in `Expected`.

    Returns
    -------
    Expected
    """
    return Expected(kind, shape, "any", values)


def own_maps(recipe: Recipe) -> bool:
    """Whether class probabilities come from network maps of the user's."""
    return recipe.unary.source == "probabilities"
