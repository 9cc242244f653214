"""How large a network map may be, before anything of it is read."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

from rerank.errors import DataError

#: Bytes of the largest map that is read.
MOST_BYTES = 1 << 32
#: Axes of an array that a file may hold.
MOST_AXES = 32


def check_bytes(where: str | os.PathLike[str], shape: Sequence[int], itemsize: int) -> int:
    """Refuse an array that is too large to be a map.

    Parameters
    ----------
    where : str or path
        Names the map in errors.
    shape : sequence of int
        Of the array, as a file says it.
    itemsize : int
        Bytes of a value.

    Returns
    -------
    int
        Bytes of the array.

    Raises
    ------
    DataError
        If a side is negative, there are more than 32 axes, or the array has more than 4 GiB.
    """
    if len(shape) > MOST_AXES or any(side < 0 for side in shape):
        raise DataError(f"{where}: an array of shape {_shown(shape)}; write (H, W, C)")
    size = math.prod(shape) * itemsize
    if size > MOST_BYTES:
        raise DataError(
            f"{where}: an array of shape {_shown(shape)} has {_shown((size,))[1:-1]} bytes, and at "
            f"most {MOST_BYTES} are read; write a smaller map, such as float16 at the network's "
            "own size"
        )
    return size


def _shown(numbers: Sequence[int]) -> str:
    some = ", ".join(str(n) if abs(n) < 10**18 else "a huge number" for n in numbers[:6])
    return f"({some}{', ...' if len(numbers) > 6 else ''})"
