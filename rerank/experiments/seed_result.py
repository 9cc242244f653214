"""What one row of a table gave with one seed, and the HDF5 file that keeps it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from rerank.engine.hdf5 import read_arrays, write_arrays
from rerank.errors import DataError
from rerank.files import replace_file
from rerank.metrics import IntersectionUnion


@dataclass(frozen=True, eq=False)
class SeedResult:
    """Counts of one labeling per image, the time they took, and further figures.

    Attributes
    ----------
    counts : IntersectionUnion
        Arrays (n_images, n_classes).
    seconds : float
        Time that the measurement took.
    notes : mapping of str to float
        Further figures, such as the fit of a surrogate.
    """

    counts: IntersectionUnion
    seconds: float
    notes: Mapping[str, float] = field(default_factory=dict)


def settings_digest(settings: Any) -> str:
    """A short name of plain settings: equal settings have equal names."""
    text = json.dumps(settings, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def write_seed_result(path: Path, result: SeedResult) -> None:
    """Write a result whole or not at all.

    Parameters
    ----------
    path : Path
        Ends in .h5; its folder is made.
    result : SeedResult
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {
        "intersections": result.counts.intersections,
        "unions": result.counts.unions,
        "seconds": result.seconds,
        "note_names": tuple(result.notes),
        "note_values": np.array(list(result.notes.values()), dtype=np.float64),
    }
    with replace_file(path) as temporary, h5py.File(temporary, "w") as file:
        write_arrays(file, arrays)


def read_seed_result(path: Path) -> SeedResult | None:
    """Read what `write_seed_result` wrote; None where there is no file.

    Raises
    ------
    DataError
        If the file is damaged.
    """
    if not path.exists():
        return None
    try:
        with h5py.File(path, "r") as file:
            found = read_arrays(file)
        counts = IntersectionUnion(found["intersections"], found["unions"])
        notes = {n: float(v) for n, v in zip(found["note_names"], found["note_values"])}
        return SeedResult(counts, float(found["seconds"]), notes)
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise DataError(
            f"{path}: unreadable ({str(error)[:100]}); delete it, and the same "
            "command computes it again"
        ) from error
