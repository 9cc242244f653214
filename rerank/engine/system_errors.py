"""What the system refuses while files are read or written, as errors that name the remedy."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rerank.engine.hdf5 import error_number, is_full
from rerank.errors import StoreError, UnreadableArtefactError


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn errors of a full or write-protected disk into `StoreError`, which names `path`."""
    try:
        yield
    except OSError as error:
        if is_full(error):
            raise StoreError(
                f"{path}: the disk is full; free some space and run the same command "
                "again, what is finished is kept"
            ) from error
        if error.errno == errno.EFBIG:
            raise StoreError(
                f"{path}: too large for this user or file system; choose another --work folder, "
                "or raise the limit (`ulimit -f`)"
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS) and _is_about(error, path):
            raise StoreError(
                f"{path}: cannot be written ({error.strerror}); choose another --work "
                "folder or mend its permissions"
            ) from error
        raise


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn errors of the system into `UnreadableArtefactError`: they say nothing of the bytes."""
    try:
        yield
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError) -> UnreadableArtefactError:
    """The error that says why a file cannot be read now.

    Parameters
    ----------
    path : Path
    error : OSError

    Returns
    -------
    UnreadableArtefactError
    """
    number = error_number(error)
    why = os.strerror(number) if number is not None else first_line(error)
    return UnreadableArtefactError(
        f"{path}: cannot be read now ({why}); nothing is known of its bytes, so it is left as it "
        f"is: mend {_CAUSES.get(number or 0, 'the cause')} and run the same command again"
    )


_CAUSES = {
    errno.EMFILE: "the limit of open files (`ulimit -n`)",
    errno.ENFILE: "the system's limit of open files",
    errno.EACCES: "its permissions",
    errno.EPERM: "its permissions",
    errno.EIO: "the disk or its connection",
    errno.ESTALE: "the connection to the disk",
    errno.ENOMEM: "the lack of memory",
    errno.ENOLCK: "the locks of the file system",
}


def _is_about(error: OSError, path: Path) -> bool:
    if not isinstance(error.filename, (str, bytes)):
        return True
    named = Path(os.fsdecode(error.filename))
    return named.parent == path.parent or named in path.parents


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or its kind."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__
