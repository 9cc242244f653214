"""Names of array types, and the few constants that all rooms share."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
IntArray = npt.NDArray[np.integer[Any]]
FloatArray = npt.NDArray[np.floating[Any]]
BoolArray = npt.NDArray[np.bool_]
RandomState = int | np.random.Generator | None

#: Label of a pixel that no loss, metric or target counts.
VOID = 255


def as_generator(random_state: RandomState) -> np.random.Generator:
    """Turn a seed, a generator or None into a `numpy.random.Generator`."""
    if isinstance(random_state, np.random.Generator):
        return random_state
    return np.random.default_rng(random_state)
