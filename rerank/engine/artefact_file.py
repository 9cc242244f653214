"""One artefact's file and manifest: written whole, read only if the bytes are those written."""

from __future__ import annotations

import errno
import json
import os
import platform
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import h5py

from rerank.engine.agreement import check_agreement, note_lengths
from rerank.engine.contents import Contents, Layout, check_contents
from rerank.engine.hdf5 import check_structure, error_number
from rerank.engine.image_sets import read_set
from rerank.engine.manifest import (
    MOST_BYTES,
    ArtefactRef,
    Header,
    Manifest,
    digest_of_file,
    from_bytes,
    manifest_path,
    software_versions,
)
from rerank.engine.stored_values import check_values
from rerank.engine.system_errors import first_line, reading, unreadable
from rerank.errors import DamagedArtefactError, MissingArtefactError

REMEDY = "`rerank verify --repair` recomputes it"
_ABSENT = (errno.ENOENT, errno.ENOTDIR)


class Signature(NamedTuple):
    """What changes when a file is written; equal signatures mean that nobody wrote to it."""

    device: int
    inode: int
    size: int
    changed: int
    modified: int


class _Checked(NamedTuple):
    signature: Signature
    digest: str
    #: Whether it holds arrays alone, and what it was checked to hold.
    plain: bool = False
    contents: Contents | None = None


#: Files whose bytes and contents this process has checked.
_CHECKED: dict[str, _Checked] = {}
#: Manifests that this process has read last.
_MOST_MANIFESTS = 1024
_MANIFESTS: dict[str, tuple[Signature, Manifest]] = {}


def read_manifest(path: Path, ref: ArtefactRef) -> Manifest:
    """The manifest of an artefact.

    Parameters
    ----------
    path : Path
        The artefact's file.
    ref : ArtefactRef
        What it must be.

    Returns
    -------
    Manifest

    Raises
    ------
    MissingArtefactError
        If there is none.
    DamagedArtefactError
        If it is not what was written, or is of another artefact.
    UnreadableArtefactError
        If it cannot be read now.
    """
    place = manifest_path(path)
    try:
        signature = _sign(place)
    except MissingArtefactError:
        raise MissingArtefactError(f"{path}: missing; `rerank run` computes it") from None
    known = _MANIFESTS.get(str(place))
    if known is not None and known[0] == signature:
        return known[1]
    if signature.size > MOST_BYTES:
        raise DamagedArtefactError(f"{place}: too long; {REMEDY}")
    with reading(place):
        content = place.read_bytes()
    try:
        found = from_bytes(content, partial(read_set, path.parents[2]))
    except ValueError as error:
        raise DamagedArtefactError(f"{place}: damaged ({first_line(error)}); {REMEDY}") from None
    if found.ref != ref:
        raise DamagedArtefactError(f"{place}: of another artefact, {found.ref}; {REMEDY}")
    if len(_MANIFESTS) >= _MOST_MANIFESTS:
        _MANIFESTS.pop(next(iter(_MANIFESTS)))
    _MANIFESTS[str(place)] = (signature, found)
    return found


def check_size(path: Path, manifest: Manifest) -> Signature:
    """Check that a file is there in the size that its manifest says.

    Parameters
    ----------
    path : Path
    manifest : Manifest

    Returns
    -------
    Signature

    Raises
    ------
    DamagedArtefactError
        If it is gone, or of another size.
    UnreadableArtefactError
        If that cannot be told now.
    """
    try:
        signature = _sign(path)
    except MissingArtefactError:
        raise DamagedArtefactError(f"{path}: gone, its manifest is there; {REMEDY}") from None
    if signature.size != manifest.size:
        raise DamagedArtefactError(
            f"{path}: damaged, {signature.size} bytes of {manifest.size}; {REMEDY}"
        )
    return signature


def note_written(
    path: Path, manifest: Manifest, contents: Contents | None, layout: Layout | None
) -> None:
    """Note that this process wrote a file, and checked it then.

    Parameters
    ----------
    path : Path
    manifest : Manifest
    contents : Contents or None
        What it was checked to hold.
    layout : Layout or None
        Of that check.
    """
    if layout is not None:
        note_lengths(path, manifest, layout.lengths)
    _CHECKED[str(path)] = _Checked(check_size(path, manifest), manifest.digest, True, contents)


def check_bytes(path: Path, manifest: Manifest, anew: bool = False) -> None:
    """Check that a file has the digest of its manifest, once in a process.

    Parameters
    ----------
    path : Path
    manifest : Manifest
    anew : bool
        Read every byte, whatever this process has checked before.

    Raises
    ------
    DamagedArtefactError
        If it is gone, or its bytes are others.
    UnreadableArtefactError
        If it cannot be read now.
    """
    signature = check_size(path, manifest)
    known = _CHECKED.get(str(path))
    if not anew and known is not None and known[:2] == (signature, manifest.digest):
        return
    _CHECKED.pop(str(path), None)
    with reading(path), path.open("rb", buffering=0) as file:
        found = digest_of_file(file)
    if found != manifest.digest:
        raise DamagedArtefactError(f"{path}: damaged, its digest is another; {REMEDY}")
    _CHECKED[str(path)] = _Checked(signature, found)


@contextmanager
def opened(path: Path, manifest: Manifest, contents: Contents | None) -> Iterator[h5py.File]:
    """Open a file whose bytes were checked.

    Parameters
    ----------
    path : Path
    manifest : Manifest
    contents : Contents or None
        What it must hold; anything, as long as it is arrays, if None.

    Yields
    ------
    HDF5 file

    Raises
    ------
    DamagedArtefactError
        If it is no HDF5 file, holds what no stage writes, or does not fit another open file.
    UnreadableArtefactError
        If it cannot be read now.
    """
    known = _CHECKED.get(str(path))
    with open_hdf5(path) as file:
        if known is None or not known.plain or contents not in (None, known.contents):
            check_stored(file, path, manifest, contents)
            if known is not None:
                _CHECKED[str(path)] = known._replace(plain=True, contents=contents)
        yield file


def open_hdf5(path: Path) -> h5py.File:
    """Open a file for reading; see `opened` for what it raises."""
    try:
        return h5py.File(path, "r", locking=False)
    except OSError as error:
        if error_number(error) is not None:
            raise unreadable(path, error) from error
        raise DamagedArtefactError(f"{path}: damaged ({first_line(error)}); {REMEDY}") from error


def check_file(
    file: h5py.File, path: Path, manifest: Manifest, contents: Contents | None
) -> Layout | None:
    """Check that an open file holds arrays alone, and those that are expected.

    Parameters
    ----------
    file : HDF5 file
    path : Path
        Names it in errors.
    manifest : Manifest
    contents : Contents or None

    Returns
    -------
    Layout or None
        None without `contents`.

    Raises
    ------
    DamagedArtefactError
        If not.
    """
    with _explained(path):
        found = check_structure(file, manifest.size)
        if contents is None:
            return None
        return check_contents(found, contents, len(manifest.header.image_ids))


def check_stored(
    file: h5py.File, path: Path, manifest: Manifest, contents: Contents | None
) -> None:
    """Check a file that another process may have written: what `check_file` does, and values.

    Parameters
    ----------
    file : HDF5 file
    path : Path
    manifest : Manifest
    contents : Contents or None

    Raises
    ------
    DamagedArtefactError
        If it is not what its stage writes, a value is out of range, or the file does not fit
        another that it is made from.
    """
    layout = check_file(file, path, manifest, contents)
    if layout is not None:
        with _explained(path):
            check_values(file, layout)
            note_lengths(path, manifest, layout.lengths)
            check_agreement(path)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what a file can raise that no stage wrote into `DamagedArtefactError`."""
    try:
        yield
    except (ValueError, KeyError, RuntimeError, TypeError, OSError) as error:
        if isinstance(error, OSError) and error_number(error) is not None:
            raise unreadable(path, error) from error
        raise DamagedArtefactError(
            f"{path}: not what its stage writes ({first_line(error)}); {REMEDY}"
        ) from error


@contextmanager
def measured(header: Header, results: list[Header]) -> Iterator[None]:
    """Append to `results` the header with the costs of the block that fills the file.

    Parameters
    ----------
    header : Header
        Its `seconds`, `cpu_seconds`, `peak_mib` and `versions` are measured here instead.
    results : list of Header
    """
    start, cpu_start = time.perf_counter(), time.process_time()
    yield
    results.append(
        replace(
            header,
            seconds=time.perf_counter() - start,
            cpu_seconds=time.process_time() - cpu_start,
            peak_mib=peak_memory_mib(),
            versions=software_versions(),
            settings=as_json_has_it(header.settings),
        )
    )


def peak_memory_mib() -> float:
    """Peak resident memory of this process in MiB (0 where the system does not tell)."""
    try:
        import resource
    except ImportError:
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20) if platform.system() == "Darwin" else peak / 1024


def _sign(path: Path) -> Signature:
    try:
        found = os.lstat(path)
    except OSError as error:
        if error.errno in _ABSENT:
            raise MissingArtefactError(f"{path}: missing") from None
        raise unreadable(path, error) from error
    if not stat.S_ISREG(found.st_mode):
        raise DamagedArtefactError(f"{path}: not a plain file; {REMEDY}")
    return Signature(
        found.st_dev, found.st_ino, found.st_size, found.st_ctime_ns, found.st_mtime_ns
    )


def as_json_has_it(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as they are after they were written and read."""
    found: dict[str, Any] = json.loads(json.dumps(settings, sort_keys=True))
    return found
