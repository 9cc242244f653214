"""Rows of several folds' files as one array."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rerank.engine.artefact_file import REMEDY
from rerank.engine.stage import Job
from rerank.errors import DamagedArtefactError
from rerank.types import Array


def join_rows(job: Job, stage: str, rows: Sequence[tuple[str, Any]]) -> Array:
    """The rows of several parts, one after another.

    Parameters
    ----------
    job : Job
    stage : str
        The stage that wrote them.
    rows : sequence of (part, array)

    Returns
    -------
    array

    Raises
    ------
    DamagedArtefactError
        If a row of one part has another shape than one of another; it names both files.
    """
    first, own = rows[0]
    for part, found in rows[1:]:
        if found.shape[1:] != own.shape[1:]:
            paths: list[Path] = [job.paths(stage, p)[0] for p in (part, first)]
            raise DamagedArtefactError(
                f"{paths[0]}: has rows of shape {found.shape[1:]}, and {paths[1]} of "
                f"{own.shape[1:]}; {REMEDY}"
            )
    return np.concatenate([found for _, found in rows])
