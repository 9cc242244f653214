"""The work folder: one HDF5 file per stage and fold, written atomically and checked when read.

A file is written under a temporary name, flushed to disk and renamed into place, so that a
reader sees either nothing or a complete artefact. Every data set carries a fletcher32
checksum. The name of the folder that holds a file is a digest of everything that the file
depends on, so that a changed setting makes a new artefact and an old one is never mistaken
for it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import filelock
import h5py

from rerank._version import __version__
from rerank.engine.hdf5 import is_full, read_strings, write_strings
from rerank.errors import DamagedArtefactError, StoreError
from rerank.files import is_abandoned, replace_file, write_text

#: Version of the layout of a work folder.
FORMAT = 1
_MARKER = "rerank-work.json"
_REMEDY = "`rerank verify --repair` recomputes it"


@dataclass(frozen=True)
class ArtefactRef:
    """An artefact: its stage, its part (a fold, `final` or `all`), the digest of its inputs."""

    stage: str
    part: str
    key: str

    def __str__(self) -> str:
        return f"{self.stage}/{self.part}"


@dataclass(frozen=True)
class Header:
    """The description of an artefact, kept in the attributes of its file.

    Attributes
    ----------
    version : int
        Version of the stage that wrote it.
    settings : mapping
        The resolved settings that it depends on.
    image_ids : tuple of str
        Images that it holds results for.
    trained_on : tuple of str
        Images that any model behind these results was fitted on.
    inputs : tuple of str
        `stage/part/key` of each artefact that it was made from.
    random_state : int
        Seed of the stage.
    seconds, cpu_seconds, peak_mib : float
        Wall time, processor time and peak resident memory of the process that wrote it.
    """

    version: int
    settings: Mapping[str, Any]
    image_ids: tuple[str, ...] = ()
    trained_on: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    random_state: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_mib: float = 0.0
    versions: Mapping[str, str] = field(default_factory=dict)


def digest(value: Any) -> str:
    """Digest of a JSON-serialisable value, 32 hexadecimal digits, the same on every machine."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def software_versions() -> dict[str, str]:
    """Versions of Python and of the packages that numbers can depend on; imports none of them."""
    packages = ("numpy", "torch", "scikit-learn", "scikit-image", "opencv-python-headless", "h5py")
    found = {"rerank": __version__, "python": platform.python_version()}
    for name in packages:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def is_work_folder(folder: Path) -> bool:
    """Whether a folder is one that a `Store` made."""
    return (folder / _MARKER).is_file()


class Store:
    """A work folder.

    Parameters
    ----------
    root : path
        The folder; made if `create` and absent.
    create : bool
        Whether a missing or empty folder may be made a work folder.

    Raises
    ------
    StoreError
        If the folder is absent and `create` is False, holds something else, or was written in
        another format.
    """

    def __init__(self, root: str | os.PathLike[str], create: bool = True) -> None:
        self.root = Path(root)
        marker = self.root / _MARKER
        if marker.is_file():
            try:
                found = json.loads(marker.read_text())["format"]
            except (ValueError, KeyError, TypeError):
                raise StoreError(
                    f"{marker}: not readable; restore it or choose another --work folder"
                ) from None
            if found != FORMAT:
                raise StoreError(
                    f"{self.root}: a work folder of format {found}, this version of rerank "
                    f"({__version__}) reads format {FORMAT}; choose another --work folder"
                )
        elif not create:
            raise StoreError(
                f"{self.root}: not a work folder; `rerank run NAME --work {self.root}` makes one"
            )
        elif self.root.exists() and (not self.root.is_dir() or _holds_others(self.root)):
            raise StoreError(
                f"{self.root}: holds files that are not rerank's; choose an empty or "
                "new --work folder"
            )
        else:
            with disk_errors(self.root):
                self.root.mkdir(parents=True, exist_ok=True)
                write_text(marker, json.dumps({"format": FORMAT}) + "\n")

    def path(self, ref: ArtefactRef) -> Path:
        """Where the file of an artefact lies, whether it exists or not."""
        return self.root / ref.stage / ref.key / f"{ref.part}.h5"

    def has(self, ref: ArtefactRef) -> bool:
        """Whether a complete artefact is in place; a damaged one counts as absent."""
        return self.state(ref) == "fresh"

    def state(self, ref: ArtefactRef) -> Literal["fresh", "missing", "damaged"]:
        """`fresh`, `missing` or `damaged`, from the header alone."""
        if not self.path(ref).exists():
            return "missing"
        try:
            self.header(ref)
        except DamagedArtefactError:
            return "damaged"
        return "fresh"

    def header(self, ref: ArtefactRef) -> Header:
        """The header of an artefact; raises `DamagedArtefactError` if it is not complete."""
        with self.open(ref) as file:
            return read_header(file)

    def size(self, ref: ArtefactRef) -> int:
        """Bytes of an artefact's file; 0 where there is none."""
        path = self.path(ref)
        return path.stat().st_size if path.exists() else 0

    @contextmanager
    def open(self, ref: ArtefactRef, image_ids: Sequence[str] | None = None) -> Iterator[h5py.File]:
        """Open an artefact for reading.

        Parameters
        ----------
        ref : ArtefactRef
        image_ids : sequence of str, optional
            The images that it must hold, in their order; any by default.

        Yields
        ------
        h5py.File

        Raises
        ------
        StoreError
            If it does not exist.
        DamagedArtefactError
            If it is truncated, incomplete, fails a checksum while it is read, is of another
            stage, or holds other images than `image_ids`.
        """
        path = self.path(ref)
        if not path.exists():
            raise StoreError(f"{path}: missing; `rerank run` computes it")
        try:
            file = h5py.File(path, "r", locking=False)
        except OSError as error:
            raise DamagedArtefactError(
                f"{path}: cannot be read ({_first_line(error)}); {_REMEDY}"
            ) from error
        with file:
            check_artefact(file, path, ref, image_ids)
            try:
                yield file
            except OSError as error:
                if is_full(error):
                    # What is written from this artefact has no room; the artefact itself is whole.
                    raise
                raise DamagedArtefactError(
                    f"{path}: damaged ({_first_line(error)}); {_REMEDY}"
                ) from error

    @contextmanager
    def create(self, ref: ArtefactRef, header: Header) -> Iterator[h5py.File]:
        """Write an artefact: it appears under its name when the block ends without an error.

        Parameters
        ----------
        ref : ArtefactRef
        header : Header
            Its description; times, memory and versions are filled in here.

        Yields
        ------
        h5py.File

        Raises
        ------
        StoreError
            If the disk is full, or the folder cannot be written.
        """
        path = self.path(ref)
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with replace_file(path) as temporary, h5py.File(temporary, "w") as file:
                with completed(file, ref, header):
                    yield file

    @contextmanager
    def lock(self, ref: ArtefactRef, timeout: float = -1) -> Iterator[None]:
        """Hold the artefact's lock for the length of the block; wait while another process has it.

        Parameters
        ----------
        ref : ArtefactRef
        timeout : float
            Seconds to wait at most; no limit if negative.

        Raises
        ------
        StoreError
            If another process still holds it after `timeout` seconds.
        """
        path = self.path(ref).with_suffix(".lock")
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with filelock.FileLock(path, timeout=timeout):
                yield
        except filelock.Timeout:
            raise StoreError(
                f"{path}: another run is computing {ref}; wait for it, or end it"
            ) from None

    def artefacts(self) -> Iterator[ArtefactRef]:
        """All artefacts on disk, complete or not, in the order of their names."""
        for path in sorted(self.root.glob("*/*/*.h5")):
            if not path.name.startswith("."):
                yield ArtefactRef(path.parts[-3], path.stem, path.parts[-2])

    def temporaries(self) -> list[Path]:
        """Files that killed runs on this machine left behind; other machines may still write."""
        return [path for path in sorted(self.root.glob("*/*/.*.tmp")) if is_abandoned(path)]

    def remove(self, ref: ArtefactRef) -> int:
        """Remove an artefact and its folder if that is empty then; returns the bytes freed."""
        path, size = self.path(ref), self.size(ref)
        path.unlink(missing_ok=True)
        if not any(path.parent.glob("*.h5")):
            shutil.rmtree(path.parent, ignore_errors=True)
        return size

    def verify(self, ref: ArtefactRef) -> str | None:
        """Read every byte of an artefact; returns what is wrong with it, or None."""
        try:
            with self.open(ref) as file:
                file.visititems(_read_all)
        except (DamagedArtefactError, StoreError) as error:
            return str(error)
        return None


def check_artefact(
    file: h5py.File, path: Path, ref: ArtefactRef, image_ids: Sequence[str] | None
) -> None:
    """Raise `DamagedArtefactError` unless an open file is that artefact, of those images.

    Parameters
    ----------
    file : HDF5 file
    path : Path
        Names it in errors.
    ref : ArtefactRef
    image_ids : sequence of str or None
        None for any.
    """
    attributes = file.attrs
    if (
        not attributes.get("complete", False)
        or attributes.get("stage") != ref.stage
        or attributes.get("key") != ref.key
    ):
        raise DamagedArtefactError(f"{path}: incomplete or of another stage; {_REMEDY}")
    if image_ids is not None and read_header(file).image_ids != tuple(image_ids):
        raise DamagedArtefactError(f"{path}: holds other images than asked for; {_REMEDY}")


@contextmanager
def completed(file: h5py.File, ref: ArtefactRef, header: Header) -> Iterator[None]:
    """Write the header when the block that fills the file has ended.

    Parameters
    ----------
    file : HDF5 file
        Open for writing.
    ref : ArtefactRef
    header : Header
        Its `seconds`, `cpu_seconds`, `peak_mib` and `versions` are measured here instead.
    """
    start, cpu_start = time.perf_counter(), time.process_time()
    yield
    attributes = file.attrs
    attributes["stage"], attributes["part"] = ref.stage, ref.part
    attributes["key"] = ref.key
    attributes["version"] = header.version
    attributes["settings"] = json.dumps(header.settings, sort_keys=True)
    attributes["random_state"] = header.random_state
    attributes["versions"] = json.dumps(software_versions(), sort_keys=True)
    attributes["seconds"] = time.perf_counter() - start
    attributes["cpu_seconds"] = time.process_time() - cpu_start
    attributes["peak_mib"] = peak_memory_mib()
    ids = file.create_group("header")
    write_strings(ids, "image_ids", header.image_ids)
    write_strings(ids, "trained_on", header.trained_on)
    write_strings(ids, "inputs", header.inputs)
    attributes["complete"] = True


def read_header(file: h5py.File) -> Header:
    """The header of an open artefact."""
    attributes = file.attrs
    return Header(
        version=int(attributes["version"]),
        settings=json.loads(attributes["settings"]),
        image_ids=read_strings(file["header/image_ids"]),
        trained_on=read_strings(file["header/trained_on"]),
        inputs=read_strings(file["header/inputs"]),
        random_state=int(attributes["random_state"]),
        seconds=float(attributes["seconds"]),
        cpu_seconds=float(attributes["cpu_seconds"]),
        peak_mib=float(attributes["peak_mib"]),
        versions=json.loads(attributes["versions"]),
    )


def peak_memory_mib() -> float:
    """Peak resident memory of this process in MiB (0 where the system does not tell)."""
    try:
        import resource
    except ImportError:
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20) if platform.system() == "Darwin" else peak / 1024


def _holds_others(root: Path) -> bool:
    # Another run may be making this work folder, or was killed while it did.
    others = any(not item.name.startswith(f".{_MARKER}") for item in root.iterdir())
    return others and not (root / _MARKER).is_file()


def _read_all(_: str, item: Any) -> None:
    if isinstance(item, h5py.Dataset):
        item[()]


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
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise StoreError(
                f"{path}: cannot be written ({error.strerror}); choose another --work "
                "folder or mend its permissions"
            ) from error
        raise


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
