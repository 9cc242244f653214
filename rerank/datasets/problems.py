"""What is wrong with one file, and what to do about it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from rerank.errors import DataError, ManyProblemsError


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


def problems_error(problems: Sequence[object], most: int = 20) -> ManyProblemsError:
    """Make the error of several problems: a line for each of the first, and how many follow.

    Parameters
    ----------
    problems : sequence of FileProblem or str
        At least one.
    most : int
        Lines that are shown.

    Returns
    -------
    ManyProblemsError

    Examples
    --------
    >>> print(problems_error(["a.png: damaged", "b.png: damaged", "c.png: damaged"], most=2))
    a.png: damaged
    b.png: damaged
    and 1 more problem
    """
    lines = [" ".join(str(problem).split()) for problem in problems]
    left = len(lines) - most
    if left > 0:
        lines = [*lines[:most], f"and {left} more problem{'s' if left > 1 else ''}"]
    return ManyProblemsError("\n".join(lines))


def some_names(names: Sequence[str], most: int = 5) -> str:
    """The first names of a list and how many follow, for a message.

    Parameters
    ----------
    names : sequence of str
    most : int
        Names that are shown.

    Returns
    -------
    str

    Examples
    --------
    >>> some_names(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    left = len(names) - most
    shown = ", ".join(names[:most])
    return f"{shown} and {left} more" if left > 0 else shown
