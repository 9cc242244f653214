"""What is wrong with one file, and what to do about it."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass

from rerank.errors import DataError, ManyProblemsError

#: Characters of a decoder's message that an error shows.
_LONGEST_REASON = 160


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
    doubtful : bool
        Whether it may be meant: the files can be used as they are.

    Examples
    --------
    >>> str(FileProblem("a.png", "the mask is missing", "put it there"))
    'a.png: the mask is missing; put it there'
    """

    path: str
    problem: str
    remedy: str
    doubtful: bool = False

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


#: Errors of the system that say nothing of what a file holds.
_PASSING = frozenset(
    {
        errno.EACCES,
        errno.EPERM,
        errno.EMFILE,
        errno.ENFILE,
        errno.EIO,
        errno.ENOMEM,
        errno.ENAMETOOLONG,
        errno.ELOOP,
        errno.ESTALE,
        errno.ETIMEDOUT,
    }
)


def unreadable_error(
    path: str | os.PathLike[str],
    kind: str,
    error: BaseException,
    remedy: str = "replace the file or take its id off the list",
    problem: str = "",
) -> DataError:
    """Make the error of a file that could not be read, whatever its decoder raised.

    An error of the system, such as no permission or too many open files, does not call the file
    damaged.

    Parameters
    ----------
    path : path
    kind : str
        What the file is, such as "image".
    error : exception
    remedy : str
        What to do where the file itself is wrong.
    problem : str
        What is wrong with it then; that it cannot be read by default.

    Returns
    -------
    DataError
    """
    code = error.errno if isinstance(error, OSError) else None
    if code in _PASSING:
        assert code is not None
        return file_error(
            path,
            f"the {kind} cannot be opened ({os.strerror(code)})",
            "see that you may read it and that its disk answers, and try again",
        )
    lines = str(error).replace(str(path), "file").split("\n")
    reason = (lines[0].strip() or type(error).__name__)[:_LONGEST_REASON]
    problem = problem or f"the {kind} cannot be read"
    return file_error(path, f"{problem} ({reason})", remedy)


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
