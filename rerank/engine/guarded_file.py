"""A file that HDF5 writes to and that never refuses: HDF5 crashes where the system does.

The first error of the system is kept, and raised when the next array is written or the file is
closed. What could not be written is lost, and with it the file.
"""

from __future__ import annotations

import io
import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: The open files by their names in HDF5.
_OPEN: weakref.WeakValueDictionary[str, GuardedFile] = weakref.WeakValueDictionary()


class GuardedFile(io.RawIOBase):
    """An empty file for HDF5.

    Parameters
    ----------
    path : Path
        What is there is replaced.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.error: OSError | None = None
        self._place = self._end = 0
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
        _OPEN[repr(self)] = self

    def __repr__(self) -> str:
        # HDF5 calls the file so.
        return f"guarded-{id(self)}"

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place; the file need not reach to it.

        Parameters
        ----------
        offset : int
            In bytes.
        whence : int
            As of `io.IOBase.seek`.

        Returns
        -------
        int
            The place from the beginning.
        """
        self._place = offset + {os.SEEK_CUR: self._place, os.SEEK_END: self._end}.get(whence, 0)
        return self._place

    def tell(self) -> int:
        """The place."""
        return self._place

    def write(self, content: Any) -> int:
        """Write all of the content."""
        view = memoryview(content).cast("B")
        size, done = len(view), 0
        with self._kept():
            while done < size:
                done += os.pwrite(self._descriptor, view[done:], self._place + done)
        self._place += size
        self._end = max(self._end, self._place)
        return size

    def readinto(self, buffer: Any) -> int:
        """Read as much as the buffer holds; zeros beyond the end."""
        view = memoryview(buffer).cast("B")
        found = b""
        with self._kept():
            found = os.pread(self._descriptor, len(view), self._place)
        view[:] = found.ljust(len(view), b"\0")
        self._place += len(view)
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        """Cut or lengthen the file."""
        self._end = self._place if size is None else size
        with self._kept():
            os.ftruncate(self._descriptor, self._end)
        return self._end

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Close it; the error is raised by `guarded`."""
        if not self.closed:
            with self._kept():
                os.close(self._descriptor)
        super().close()

    @contextmanager
    def _kept(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.error = self.error or error


@contextmanager
def guarded(path: Path) -> Iterator[GuardedFile]:
    """A `GuardedFile` for the length of the block.

    Parameters
    ----------
    path : Path

    Raises
    ------
    OSError
        If anything could not be written.
    """
    with GuardedFile(path) as file:
        yield file
    if file.error is not None:
        raise file.error


def guard_of(name: str) -> GuardedFile | None:
    """The open file that HDF5 calls so; None for others."""
    return _OPEN.get(name)
