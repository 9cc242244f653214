"""Files that are made from one another must agree: as many superpixels of an image in each."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from rerank.engine.contents import Lengths
from rerank.engine.manifest import Manifest

_IMAGES = "images/"


class _Noted(NamedTuple):
    signature: tuple[int, ...] | None
    image_ids: tuple[str, ...]
    inputs: tuple[Path, ...]
    lengths: Lengths


#: What this process knows of files that it has checked, and the files that are made from each.
_NOTED: dict[Path, _Noted] = {}
_MADE_FROM: defaultdict[Path, set[Path]] = defaultdict(set)


def note_lengths(path: Path, manifest: Manifest, lengths: Lengths) -> None:
    """Note the lengths in a file that was checked, for those that are opened after it.

    Parameters
    ----------
    path : Path
        In a work folder.
    manifest : Manifest
    lengths : Lengths
    """
    of_images = {key: length for key, length in lengths.items() if key[0].startswith(_IMAGES)}
    if not of_images:
        return
    # `ROOT/stage/key/part.h5`, of names that a manifest gives as `stage/part/key`.
    names = [name.split("/") for name in manifest.header.inputs]
    inputs = tuple(path.parents[2] / stage / key / f"{part}.h5" for stage, part, key in names)
    for other in inputs:
        _MADE_FROM[other].add(path)
    _NOTED[path] = _Noted(_sign(path), manifest.header.image_ids, inputs, of_images)


def check_agreement(path: Path) -> None:
    """Check that a noted file has the lengths of those that it is made from, and that of it.

    Only files that this process has opened count: no others can be read together.

    Parameters
    ----------
    path : Path

    Raises
    ------
    ValueError
        If not; it names the other file.
    """
    noted = _NOTED.get(path)
    if noted is None:
        return
    for other in (*noted.inputs, *_MADE_FROM[path]):
        found = _NOTED.get(other)
        if found is None or found.image_ids != noted.image_ids:
            continue
        for key in noted.lengths.keys() & found.lengths.keys():
            if noted.lengths[key] != found.lengths[key] and found.signature == _sign(other):
                group, name = key
                raise ValueError(
                    f"{group} has the length {name} = {noted.lengths[key]}, and "
                    f"{found.lengths[key]} in {other}"
                )


def _sign(path: Path) -> tuple[int, ...] | None:
    """What changes when a file is written."""
    try:
        about = os.stat(path)
    except OSError:
        return None
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns
