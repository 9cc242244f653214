"""What one row of a table gave with one seed, and the file that keeps it."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rerank.errors import DataError
from rerank.metrics import IntersectionUnion


@dataclass(frozen=True, eq=False)
class SeedResult:
    """Counts of one labeling per image, and what else is worth telling.

    Attributes
    ----------
    counts : IntersectionUnion
        Arrays (n_images, n_classes).
    seconds : float
        What it took.
    notes : mapping of str to float
        Such as the fit of a surrogate.
    """

    counts: IntersectionUnion
    seconds: float
    notes: Mapping[str, float] = field(default_factory=dict)


def settings_digest(settings: Any) -> str:
    """A short name of plain settings: equal for equal ones."""
    text = json.dumps(settings, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def write_seed_result(path: Path, outcome: SeedResult) -> None:
    """Write an outcome whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with open(partial, "wb") as stream:
        np.savez_compressed(
            stream,
            intersections=outcome.counts.intersections,
            unions=outcome.counts.unions,
            seconds=np.float64(outcome.seconds),
            names=np.array(list(outcome.notes), dtype=str),
            values=np.array(list(outcome.notes.values()), dtype=np.float64),
        )
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(partial, path)


def read_seed_result(path: Path) -> SeedResult | None:
    """Read what `write_seed_result` wrote; None where there is nothing.

    Raises
    ------
    DataError
        If the file is damaged.
    """
    if not path.exists():
        return None
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            counts = IntersectionUnion(file["intersections"], file["unions"])
            notes = {str(name): float(value) for name, value in zip(file["names"], file["values"])}
            return SeedResult(counts, float(file["seconds"]), notes)
    except Exception as error:  # a damaged archive raises one of many kinds
        raise DataError(
            f"{path}: unreadable ({str(error)[:100]}); delete it, and the same "
            "command computes it again"
        ) from error
