"""Files that appear under their name whole or not at all."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Write a file so that a reader finds the old one or the new one, and nothing between.

    The block writes to the path that it is given. When the block ends, that file is flushed to
    disk and renamed to `path`; after an error it is removed.

    Parameters
    ----------
    path : Path
        In a folder that exists.

    Yields
    ------
    Path
        The temporary file's, in the same folder, with the machine and the process in its name.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    owner = f"{platform.node()}.{os.getpid()}.tmp"
    temporary = path.with_name(f".{path.name}.{owner}")
    if len(os.fsencode(temporary.name)) > 255:
        short = hashlib.blake2b(os.fsencode(path.name), digest_size=8).hexdigest()
        temporary = path.with_name(f".{short}.{owner}")
    try:
        # A link of that name would lead elsewhere.
        temporary.unlink(missing_ok=True)
        yield temporary
        _flush(temporary)
        os.replace(temporary, path)
        _flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a small UTF-8 text by `replace_file`.

    Parameters
    ----------
    path : Path
        In a folder that exists.
    text : str
        Written as it is, without a change of line ends.
    """
    with replace_file(path) as temporary:
        temporary.write_bytes(text.encode())


def is_abandoned(path: Path) -> bool:
    """Whether a file is a temporary one of `replace_file` whose process ended on this machine.

    Files of other machines are never called abandoned: their processes cannot be seen from here.
    """
    name, _, pid = path.name.removesuffix(".tmp").rpartition(".")
    ours = path.name.startswith(".") and path.name.endswith(".tmp") and pid.isdecimal()
    return ours and name.endswith(f".{platform.node()}") and not is_alive(int(pid))


def is_alive(pid: int) -> bool:
    """Whether a process of this machine is there."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
