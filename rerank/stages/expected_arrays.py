"""Short names for the arrays that stages declare, and for the ranges of their values."""

from __future__ import annotations

from functools import partial
from typing import get_args

from rerank.config import Recipe
from rerank.engine.contents import Expected, Often, Values

Length = int | str | None
OFTEN: tuple[Often, ...] = get_args(Often)
VALUES = Values()
ANY = Expected("*", None, "any")
SHARES = Values(0, 1, shares=True)
UNIT = Values(0, 1)
CLASSES, REGIONS = Values(below="C"), Values(below="n")
#: Bounds of columns that clip nothing, thresholds that nothing passes, means over nothing.
UNBOUNDED = Values(infinite=True)
NOT_NEGATIVE, POSITIVE = Values(0), Values(1e-6)


def _declared(often: Often, kind: str, *shape: Length, values: Values = VALUES) -> Expected:
    return Expected(kind, shape, often, values)


#: A data set of every image of the part, one that the file holds once, and one that may come any
#: number of times; called with the kind, the shape and the `values` of `Expected`.
each, once, some = (partial(_declared, often) for often in OFTEN)


def own_maps(recipe: Recipe) -> bool:
    """Whether class probabilities come from network maps of the user's."""
    return recipe.unary.source == "probabilities"
