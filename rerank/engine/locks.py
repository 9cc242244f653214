"""Locks between processes, and the leases by which a run holds what it uses.

A lock is one of the file system's, so that the system ends it with the process that holds it. Where
the file system has none, artefacts may be computed twice, to the same bytes, and nothing is lost.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import filelock

from rerank.engine.manifest import ArtefactRef
from rerank.errors import StoreError
from rerank.files import is_alive, write_text

#: Folder of the leases in a work folder.
LEASES = "leases"
#: A lease of another machine counts as long as it was renewed within these seconds.
LEASE_SECONDS = 3600.0
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP)
_MOST_BYTES = 64 << 20


@contextmanager
def hold(path: Path, timeout: float = -1) -> Iterator[bool]:
    """Hold a lock for the length of the block; wait while another process has it.

    Parameters
    ----------
    path : Path
        The lock's file, in a folder that exists.
    timeout : float
        Seconds to wait at most; no limit if negative.

    Yields
    ------
    bool
        False where the file system has no locks.

    Raises
    ------
    TimeoutError
        If another process still holds it after `timeout` seconds.
    """
    if path.is_symlink():
        raise StoreError(f"{path}: a link; a lock is a plain file, remove it")
    lock = filelock.FileLock(path, timeout=timeout)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise TimeoutError(f"{path}: held by another process") from None
    except (OSError, NotImplementedError) as error:
        if isinstance(error, OSError) and error.errno not in _NO_LOCKS:
            raise
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


@contextmanager
def lease(root: Path, refs: Iterable[ArtefactRef]) -> Iterator[None]:
    """Hold artefacts of a work folder for the length of the block, so that none is removed.

    Parameters
    ----------
    root : Path
        The work folder.
    refs : iterable of ArtefactRef
    """
    folder = _folder(root)
    path = folder / f"{uuid.uuid4().hex}.json"
    content = {
        "host": platform.node(),
        "pid": os.getpid(),
        "artefacts": sorted({"/".join(ref) for ref in refs}),
    }
    done = threading.Event()
    with hold(path.with_suffix(".lock")):
        try:
            with hold(folder / "all.lock"):
                write_text(path, json.dumps(content))
            renewing = threading.Thread(target=_renew, args=(path, done), daemon=True)
            renewing.start()
            yield
        finally:
            done.set()
            for file in (path, path.with_suffix(".lock")):
                with suppress(OSError):
                    file.unlink()


@contextmanager
def held_artefacts(root: Path, but_own: bool = False) -> Iterator[set[ArtefactRef]]:
    """The artefacts that living runs hold; for the length of the block no run can begin.

    Parameters
    ----------
    root : Path
        The work folder.
    but_own : bool
        Leave out what runs of this process hold.

    Yields
    ------
    set of ArtefactRef
    """
    folder = _folder(root)
    with hold(folder / "all.lock"):
        found: set[ArtefactRef] = set()
        for path in sorted(folder.glob("*.json")):
            if _is_void(path):
                for file in (path, path.with_suffix(".lock")):
                    file.unlink(missing_ok=True)
            elif not (but_own and _is_own(path)):
                with suppress(FileNotFoundError):  # the run ended meanwhile
                    found |= _read(path)
        yield found


def _folder(root: Path) -> Path:
    folder = root / LEASES
    if folder.is_symlink():
        raise StoreError(f"{folder}: a link; a work folder holds plain folders, remove it")
    folder.mkdir(exist_ok=True)
    return folder


def _renew(path: Path, done: threading.Event) -> None:
    while not done.wait(LEASE_SECONDS / 10):
        with suppress(OSError):
            os.utime(path)


def _is_void(path: Path) -> bool:
    """Whether the run of a lease has ended."""
    try:
        with hold(path.with_suffix(".lock"), timeout=0) as locked:
            host, pid = _owner(path)
            here = host == platform.node()
            if here and not locked:
                return not is_alive(pid)
            # Other machines may not see each other's locks.
            return here or time.time() - path.stat().st_mtime > LEASE_SECONDS
    except TimeoutError:
        return False
    except OSError:
        return not path.exists()


def _is_own(path: Path) -> bool:
    with suppress(OSError):
        return _owner(path) == (platform.node(), os.getpid())
    return False


def _owner(path: Path) -> tuple[str, int]:
    try:
        tree = _tree(path)
        return str(tree["host"]), int(tree["pid"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return "", 0


def _read(path: Path) -> set[ArtefactRef]:
    try:
        names = [str(name).split("/") for name in _tree(path)["artefacts"]]
        return {ArtefactRef(*name) for name in names}
    except (ValueError, KeyError, TypeError, RecursionError):
        raise StoreError(
            f"{path}: not readable, so that it cannot be told what a run holds; remove it where no "
            "run works in this folder"
        ) from None


def _tree(path: Path) -> Any:
    if path.stat().st_size > _MOST_BYTES:
        raise ValueError("too long")
    return json.loads(path.read_bytes())
