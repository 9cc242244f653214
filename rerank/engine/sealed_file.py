"""One HDF5 file that holds its own digest: models that are handed from one person to another.

The digest stands in the 512 bytes that HDF5 leaves to others at the head of a file, so that HDF5's
own tools open it too.
"""

from __future__ import annotations

import io
import re
import stat
from pathlib import Path
from typing import Any

import h5py

from rerank.engine.contents import Contents, check_contents
from rerank.engine.hdf5 import check_structure
from rerank.engine.manifest import digest_of_bytes
from rerank.engine.stored_values import check_values
from rerank.errors import DataError
from rerank.files import replace_file

_HEAD_BYTES = 512
_HEAD = re.compile(rb"rerank ([a-z_]+) (\d+) ([0-9a-f]{64})\n\0*")
_MOST_BYTES = 8 << 30


def write_sealed(path: Path, kind: str, version: int, content: bytes) -> None:
    """Write the bytes of an HDF5 file, with their digest before them.

    Parameters
    ----------
    path : Path
        In a folder that exists; what is there is replaced.
    kind : str
        What the file is, in small letters.
    version : int
        Of the layout of that kind.
    content : bytes

    Raises
    ------
    DataError
        If it cannot be written.
    """
    head = f"rerank {kind} {version} {digest_of_bytes(content)}\n".encode()
    try:
        with replace_file(path) as temporary:
            temporary.write_bytes(head.ljust(_HEAD_BYTES, b"\0") + content)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror or error})") from error


def read_sealed(path: Path, kind: str, version: int) -> bytes:
    """The bytes of an HDF5 file that `write_sealed` wrote.

    Parameters
    ----------
    path : Path
    kind : str
    version : int

    Returns
    -------
    bytes

    Raises
    ------
    DataError
        If it cannot be read, is of another kind or version, or a bit of it is another.
    """
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise DataError(f"{path}: not a plain file; name the file that was saved")
        if about.st_size > _MOST_BYTES:
            raise DataError(f"{path}: of {about.st_size} bytes, too large for a saved {kind}")
        found = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    head, content = _HEAD.fullmatch(found[:_HEAD_BYTES]), found[_HEAD_BYTES:]
    if head is None and found[:4] == b"\x89HDF":
        raise DataError(f"{path}: made by an earlier version of rerank; make it again")
    if head is None:
        raise DataError(f"{path}: not a saved {kind}, or damaged; make it again")
    if head[1].decode() != kind or int(head[2]) != version:
        raise DataError(
            f"{path}: a saved {head[1].decode()} of version {int(head[2])}, expected {kind} of "
            f"version {version}; make it again"
        )
    if head[3].decode() != digest_of_bytes(content):
        raise DataError(f"{path}: damaged, its digest is another; copy it anew, or make it again")
    return content


def open_content(content: bytes) -> Any:
    """The HDF5 file of these bytes, after checking that it holds arrays alone.

    Raises
    ------
    ValueError, OSError
        If it does not, or is no HDF5 file.
    """
    file = h5py.File(io.BytesIO(content), "r")
    try:
        check_structure(file, len(content))
    except BaseException:
        file.close()
        raise
    return file


def check_content(file: h5py.File, contents: Contents) -> None:
    """Check that a file of `open_content` holds what it must, and no value out of range.

    Parameters
    ----------
    file : HDF5 file
    contents : Contents

    Raises
    ------
    ValueError, OSError
        If not.
    """
    found = check_structure(file, file.id.get_filesize())
    check_values(file, check_contents(found, contents, 0))
