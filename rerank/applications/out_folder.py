"""Folders for results: whether they can be written is known before anything is computed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from rerank.datasets.problems import file_error
from rerank.errors import DataError
from rerank.files import replace_file
from rerank.types import Array

#: Bytes of the longest name of a file, on all usual disks.
_LONGEST_NAME = 255


def open_out(out: Path, names: Iterable[str] = (), ending: str = "") -> None:
    """Make a folder for results, and see that they can be written there.

    Parameters
    ----------
    out : Path
    names : iterable of str
        Of the images whose results it will hold.
    ending : str
        The longest that follows such a name.

    Raises
    ------
    DataError
        If the folder cannot be made or written to, or a name would become too long.
    """
    for name in names:
        length = len(os.fsencode(name + ending))
        if length > _LONGEST_NAME:
            raise DataError(
                f"{name}: the name is too long for its results, NAME{ending} of {length} bytes; "
                f"rename the image to at most {_LONGEST_NAME - len(ending)} bytes"
            )
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(out, error) from error
    check_writable(out)


def check_writable(folder: Path) -> None:
    """See that files can be written in a folder that is there.

    Raises
    ------
    DataError
        If they cannot.
    """
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _unwritable(folder, error) from error


def write_map(path: Path, values: Array) -> None:
    """Write a network map as `.npy`, whole or not at all.

    Parameters
    ----------
    path : Path
    values : (H, W, C) array
    """
    with replace_file(path) as temporary, open(temporary, "wb") as stream:
        np.save(stream, values)


def _unwritable(out: Path, error: OSError) -> DataError:
    reason = "a file is there" if isinstance(error, FileExistsError) else error.strerror or error
    return file_error(out, f"results cannot be written there ({reason})", "give another --out")
