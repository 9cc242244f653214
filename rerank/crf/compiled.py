"""Whether the solvers have been compiled before."""

from __future__ import annotations

from pathlib import Path

from rerank.crf.expansion import _violation

#: What a user is told who has to wait for it.
COMPILES = "The solvers are compiled for this machine first, once, which takes about 40 seconds."


def compiler_notes() -> tuple[str, ...]:
    """`COMPILES`, unless compiled solvers of an earlier use are there.

    Returns
    -------
    tuple of str
        One line or none.
    """
    folder = _violation.stats.cache_path
    known = folder is not None and any(Path(folder).glob("expansion.*.nbi"))
    return () if known else (COMPILES,)
