"""Class probabilities as files hold them: in half precision, read again in single precision.

What is computed for a new image is rounded in the same way, so that predictions see what a run saw.
"""

from __future__ import annotations

from collections.abc import Sequence

import h5py
import numpy as np

from rerank.engine.sharded_file import ShardedFile
from rerank.engine.stage import read_image, write_image
from rerank.types import Array, FloatArray

_NAME = "region_probabilities"


def halved(probabilities: Array) -> Array:
    """Probabilities as float16: 11 bits each, and nothing below 3e-8."""
    return np.asarray(probabilities).astype(np.float16)


def widened(stored: Array) -> FloatArray:
    """Stored probabilities as float32; the last axis sums to 1 again."""
    found: FloatArray = stored.astype(np.float32)
    if found.size:
        found /= found.sum(axis=-1, keepdims=True)
    return found


def as_stored(probabilities: Array) -> FloatArray:
    """What would be read of probabilities if they were written first, float32."""
    return widened(halved(probabilities))


def write_regions(file: h5py.Group, index: int, probabilities: Array) -> None:
    """Write the class probabilities of an image's superpixels.

    Parameters
    ----------
    file : HDF5 group
    index : int
        The image's place in the part's `image_ids`.
    probabilities : (n, C) float array
    """
    write_image(file, index, {_NAME: halved(probabilities)})


def read_regions(file: h5py.Group | ShardedFile, index: int) -> FloatArray:
    """Read what `write_regions` wrote.

    Parameters
    ----------
    file : HDF5 group or ShardedFile
    index : int

    Returns
    -------
    (n, C) float32 array
    """
    names: Sequence[str] = (_NAME,)
    return widened(read_image(file, index, names)[_NAME])
