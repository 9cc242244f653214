"""What is wrong with one file, and what to do about it."""

from __future__ import annotations

import os
from dataclasses import dataclass

from rerank.errors import DataError


@dataclass(frozen=True, order=True)
class Finding:
    """One thing wrong with a data set.

    Attributes
    ----------
    path : str
        File or folder that is meant.
    problem : str
        What was expected and what is there.
    remedy : str
        What to do about it.

    Examples
    --------
    >>> str(Finding("a.png", "the mask is missing", "put it there"))
    'a.png: the mask is missing; put it there'
    """

    path: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}; {self.remedy}"


def file_error(path: str | os.PathLike[str], problem: str, remedy: str) -> DataError:
    """Make the error of one file. It carries the `Finding`, which is also its message."""
    return DataError(Finding(os.fspath(path), problem, remedy))


def finding_of(error: DataError) -> Finding:
    """Return the finding that an error carries, or one that holds its message."""
    if error.args and isinstance(error.args[0], Finding):
        return error.args[0]
    return Finding("data set", str(error), "see the message")
