"""The one place where an error becomes an exit status and lines for a person."""

from __future__ import annotations

import errno
import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from rerank.cli.options import FAILED, INTERRUPTED, UNUSABLE
from rerank.errors import ConfigError, ManyProblemsError, RerankError

#: What mends an error of the system.
_REMEDIES = {
    errno.ENOSPC: "free some space and run the same command again, what is finished is kept",
    errno.EDQUOT: "free some space and run the same command again, what is finished is kept",
    errno.EACCES: "mend its permissions, or choose another place",
    errno.EPERM: "mend its permissions, or choose another place",
    errno.EROFS: "choose a place that can be written",
    errno.EMFILE: "raise the limit of open files (`ulimit -n`), or use fewer --jobs",
    errno.ENFILE: "close other programs, or use fewer --jobs",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EEXIST: "a file stands where a folder is needed; move it, or choose another place",
    errno.ENOTDIR: "a file stands where a folder is needed; move it, or choose another place",
    errno.EISDIR: "a folder stands where a file is needed; move it, or choose another place",
    errno.ENOENT: "put the file there, or name another",
    errno.ENOMEM: "use fewer --jobs",
    errno.EIO: "look after the disk or its connection, and run the same command again",
    errno.ENOLCK: "choose a --work folder on a file system with locks",
}


def explained(error: BaseException) -> tuple[int, list[str]]:
    """The exit status for an error, and what is printed of it.

    Parameters
    ----------
    error : BaseException

    Returns
    -------
    status : int
        1 failed, 2 unusable arguments, 130 interrupted.
    lines : list of str
    """
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED, ["interrupted; the same command goes on where it stopped"]
    if isinstance(error, ManyProblemsError):
        return FAILED, str(error).splitlines()
    if isinstance(error, RerankError):
        return UNUSABLE if isinstance(error, ConfigError) else FAILED, [str(error)]
    if isinstance(error, MemoryError):
        return FAILED, [
            "out of memory; use fewer --jobs or fewer superpixels "
            "(--set superpixels.n_segments=300)"
        ]
    if isinstance(error, OSError):
        return FAILED, [_of_the_system(error)]
    about = str(error).splitlines()
    return FAILED, [
        f"unexpected {type(error).__name__}{f' ({about[0]:.200})' if about else ''}; --debug shows "
        "where. Please report it with the command"
    ]


def on_one_line(text: str) -> str:
    """A text without what moves a terminal's cursor or changes its colours.

    Names within files and of files are anybody's.

    Examples
    --------
    >>> print(on_one_line("a" + chr(10) + " b" + chr(27) + "[2J"))
    a b\\x1b[2J
    """
    words = " ".join(text.split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in words)


def _of_the_system(error: OSError) -> str:
    number = error.errno
    if number is None and (found := re.search(r"errno = (\d+)", str(error))):
        # HDF5 tells it in its text alone.
        number = int(found[1])
    why = os.strerror(number) if number is not None else str(error).partition("\n")[0]
    where = ""
    if isinstance(error.filename, (str, bytes)):
        where = f"{os.fsdecode(error.filename)}: "
    elif found := re.search(r"name = '([^']+)'", str(error)):
        where = f"{found[1]}: "
    return f"{where}{why}; {_REMEDIES.get(number or 0, '--debug shows where it happened')}"


@contextmanager
def ended_as_interrupted() -> Iterator[None]:
    """Let the signal that asks a process to end interrupt it, so that it cleans up."""

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
