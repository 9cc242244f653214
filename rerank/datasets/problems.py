"""What is wrong with one file, and what to do about it."""

from __future__ import annotations

import os
from dataclasses import dataclass

from rerank.errors import DataError


@dataclass(frozen=True, order=True)
class FileProblem:
    """One thing that is wrong with a data set.

    Attributes
    ----------
    path : str
        The file or folder.
    problem : str
        What was expected and what is there.
    remedy : str
        What to do about it.

    Examples
    --------
    >>> str(FileProblem("a.png", "the mask is missing", "put it there"))
    'a.png: the mask is missing; put it there'
    """

    path: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}; {self.remedy}"


def missing_file(path: str | os.PathLike[str], kind: str, detail: str = "") -> FileProblem:
    """Say that an image or a mask of a list is not there.

    Parameters
    ----------
    path : path
        Where the file should be.
    kind : str
        "image" or "mask".
    detail : str
        More about what was looked for, put behind the problem.

    Returns
    -------
    FileProblem
    """
    remedy = "put it there or take its id off the list"
    return FileProblem(os.fspath(path), f"the {kind} is missing{detail}", remedy)


def file_error(path: str | os.PathLike[str], problem: str, remedy: str) -> DataError:
    """Make the error of one file. It carries a `FileProblem`, which is also its message.

    Parameters
    ----------
    path : path
        The file or folder.
    problem, remedy : str
        As in `FileProblem`.

    Returns
    -------
    DataError
    """
    return DataError(FileProblem(os.fspath(path), problem, remedy))


def problem_of(error: DataError) -> FileProblem:
    """Return the problem that an error carries, or one that holds its message."""
    if error.args and isinstance(error.args[0], FileProblem):
        return error.args[0]
    return FileProblem("data set", str(error), "see the message")
