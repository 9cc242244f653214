"""Files that are made from one another must agree: as many superpixels of an image in each."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from rerank.engine.contents import Lengths
from rerank.engine.manifest import Manifest

_IMAGES = "images/"
#: Files that are remembered: a process may open thousands.
_MOST_FILES = 64


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
    _NOTED.pop(path, None)
    _NOTED[path] = _Noted(_sign(path), manifest.header.image_ids, inputs, of_images)
    while len(_NOTED) > _MOST_FILES:
        _forget(next(iter(_NOTED)))


def _forget(path: Path) -> None:
    """What was noted longest ago: files of the same images are opened together."""
    for other in _NOTED.pop(path).inputs:
        _MADE_FROM[other].discard(path)
        if not _MADE_FROM[other]:
            del _MADE_FROM[other]


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
    for other in (*noted.inputs, *_MADE_FROM.get(path, ())):
        found = _NOTED.get(other)
        shift = None if found is None else _shift(noted.image_ids, found.image_ids)
        if found is None or shift is None:
            continue
        for (group, name), length in noted.lengths.items():
            theirs = found.lengths.get((_moved(group, shift), name), length)
            if length != theirs and found.signature == _sign(other):
                raise ValueError(
                    f"{group} has the length {name} = {length}, and {theirs} in {other}"
                )


def _shift(own: tuple[str, ...], others: tuple[str, ...]) -> int | None:
    """Places by which the images of a file stand later in another; None if they are not there.

    One of both may be of a shard of the other's fold.
    """
    if own == others:
        return 0
    if len(own) > len(others):
        shift = _shift(others, own)
        return None if shift is None else -shift
    if not own or own[0] not in others:
        return None
    first = others.index(own[0])
    return first if others[first : first + len(own)] == own else None


def _moved(group: str, shift: int) -> str:
    """The group of the same image in another file: ``images/000002/...``."""
    end = len(_IMAGES) + 6
    return f"{_IMAGES}{int(group[len(_IMAGES) : end]) + shift:06d}{group[end:]}"


def _sign(path: Path) -> tuple[int, ...] | None:
    """What changes when a file is written."""
    try:
        about = os.stat(path)
    except OSError:
        return None
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns
