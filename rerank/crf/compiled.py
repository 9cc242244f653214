"""Whether the solvers have been compiled before."""

from __future__ import annotations

from pathlib import Path

from rerank.crf.expansion import _violation

#: What a user is told who has to wait for it.
COMPILES = "The solvers are compiled for this machine first, once, which takes about 40 seconds."


def is_compiled() -> bool:
    """Whether compiled solvers of an earlier use are there; else the first image waits for them.

    Returns
    -------
    bool
    """
    folder = _violation.stats.cache_path
    return folder is not None and any(Path(folder).glob("expansion.*.nbi"))
