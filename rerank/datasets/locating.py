"""Find the parts of a data set in what was unpacked, and put them into place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

_DEEPEST = 6


def find_parts(folders: Sequence[Path], *parts: str) -> Path | None:
    """Return the first folder, searched downwards in name's order, that has all the parts.

    Parameters
    ----------
    folders : where to search
    *parts : paths that must exist below the folder

    Returns
    -------
    Path or None
    """
    for top in folders:
        for here, below, _ in os.walk(top):
            below.sort()
            if len(Path(here).relative_to(top).parts) >= _DEEPEST:
                below.clear()
            if all((Path(here) / part).exists() for part in parts):
                return Path(here)
    return None


def bring(source: Path, target: Path, scratch: Path) -> None:
    """Move a file or folder that lies in the scratch folder; copy any other."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if scratch in source.parents:
        shutil.move(str(source), str(target))
    elif source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)


def write_list(path: Path, lines: Iterable[str]) -> None:
    """Write lines to a text file."""
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
