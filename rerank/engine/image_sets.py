"""The images that models were fitted on: written once in a work folder, and named by a digest.

All manifests below a fit have the same images. Those of each fold stand in a file of their own, so
that a manifest is as short for a million training images as for ten.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from rerank.engine.manifest import digest, set_name
from rerank.files import replace_file

#: Folder of a work folder that holds them.
FOLDER = "image_sets"
#: A longer file is not read: one of a million images is shorter.
_MOST_BYTES = 256 << 20
#: Sets that this process has read or written, by their names: a name is of one set alone.
_KNOWN: dict[str, tuple[str, ...]] = {}


def write_set(root: Path, image_ids: Sequence[str]) -> None:
    """Write a set, unless it is there and whole.

    Parameters
    ----------
    root : Path
        The work folder.
    image_ids : sequence of str
    """
    path = wrong_set(root, image_ids)
    if path is not None:
        path.parent.mkdir(exist_ok=True)
        with replace_file(path) as temporary:
            temporary.write_bytes(_content(image_ids))
    _KNOWN[set_name(image_ids)] = tuple(image_ids)


def wrong_set(root: Path, image_ids: Sequence[str]) -> Path | None:
    """The file of a set that is missing or holds something else; None where all is well.

    Parameters
    ----------
    root : Path
        The work folder.
    image_ids : sequence of str

    Returns
    -------
    Path or None
    """
    if not image_ids:
        return None
    path = _path(root, set_name(image_ids))
    whole = not path.is_symlink() and path.is_file() and path.read_bytes() == _content(image_ids)
    return None if whole else path


def read_set(root: Path, name: str) -> tuple[str, ...]:
    """The images of a set.

    Parameters
    ----------
    root : Path
        The work folder.
    name : str
        Of `set_name`.

    Returns
    -------
    tuple of str

    Raises
    ------
    ValueError
        If it is not there, or not what was written.
    """
    if not name:
        return ()
    if name not in _KNOWN:
        path = _path(root, name)
        try:
            if path.is_symlink() or path.stat().st_size > _MOST_BYTES:
                raise ValueError(f"{path} is no set of images")
            found = json.loads(path.read_bytes())
        except FileNotFoundError:
            raise ValueError(f"{path}, which names its training images, is gone") from None
        except (UnicodeError, RecursionError) as error:
            raise ValueError(f"{path} is damaged: {error}") from None
        if not isinstance(found, list) or digest(found) != name:
            raise ValueError(f"{path}, which names its training images, is damaged")
        _KNOWN[name] = tuple(map(str, found))
    return _KNOWN[name]


def other_sets(root: Path, kept: Iterable[str]) -> list[Path]:
    """The files of all sets but those of some names.

    Parameters
    ----------
    root : Path
        The work folder.
    kept : iterable of str

    Returns
    -------
    list of Path
        They are still there.
    """
    names = set(kept)
    return [path for path in sorted((root / FOLDER).glob("*.json")) if path.stem not in names]


def _path(root: Path, name: str) -> Path:
    if not name.isalnum():
        raise ValueError(f"{name!r:.40} names no set of images")
    return root / FOLDER / f"{name}.json"


def _content(image_ids: Sequence[str]) -> bytes:
    return (json.dumps(list(image_ids)) + "\n").encode()
