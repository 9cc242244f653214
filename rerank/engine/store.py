"""The work folder: an HDF5 file and a manifest per stage and fold, written whole, and checked.

A file is written under a temporary name, flushed to disk and renamed into place, and its manifest
follows the same way: an artefact without one does not exist. A file is used only if its bytes have
the digest of the manifest, which is checked when a process first opens it. The name of the folder
that holds a file is a digest of everything that the file depends on, so that a changed setting
makes a new artefact and an old one is never mistaken for it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import h5py

from rerank._version import __version__
from rerank.engine import artefact_file, locks
from rerank.engine.artefact_file import REMEDY
from rerank.engine.contents import Contents
from rerank.engine.hdf5 import new_file
from rerank.engine.image_sets import FOLDER as IMAGE_SETS
from rerank.engine.image_sets import other_sets, read_set, write_set, wrong_set
from rerank.engine.manifest import (
    FORMAT,
    MOST_BYTES,
    ArtefactRef,
    Header,
    Manifest,
    digest_of_file,
    dropped_path,
    from_bytes,
    manifest_path,
    sealed,
    set_name,
    to_bytes,
    unsealed,
)
from rerank.engine.system_errors import disk_errors, reading
from rerank.errors import (
    DamagedArtefactError,
    MissingArtefactError,
    StoreError,
    UnreadableArtefactError,
)
from rerank.files import is_abandoned, replace_file, write_text

#: What can be said of an artefact.
State = Literal["fresh", "missing", "damaged", "unreadable"]
#: Folder of a work folder where what was damaged is kept.
QUARANTINE = "quarantine"
_MARKER = "rerank-work.json"
#: Names of stages, parts and keys.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
#: What formats before this one had in it.
_OLD_MARKER = re.compile(rb'{"format": ([01])}\s*')


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
    any_marker : bool
        Whether the file that marks a work folder may be damaged.

    Raises
    ------
    StoreError
        If the folder is absent and `create` is False, holds something else, or was written in
        another format.
    """

    def __init__(
        self, root: str | os.PathLike[str], create: bool = True, any_marker: bool = False
    ) -> None:
        self.root = Path(root)
        marker = self.root / _MARKER
        if marker.is_file():
            if not any_marker:
                check_marker(self.root)
        elif not create and not any_marker:
            raise StoreError(
                f"{self.root}: not a work folder; `rerank run NAME --work {self.root}` makes one"
            )
        elif self.root.exists() and (not self.root.is_dir() or _holds_others(self.root)):
            raise StoreError(
                f"{self.root}: holds files that are not rerank's; choose an empty or "
                "new --work folder"
            )
        elif create:
            with disk_errors(marker):
                self.root.mkdir(parents=True, exist_ok=True)
            write_marker(self.root)

    def path(self, ref: ArtefactRef) -> Path:
        """Where the file of an artefact lies, whether it exists or not.

        Raises
        ------
        StoreError
            If a name is none of a stage, a part or a key: names come from files too.
        """
        if not all(_NAME.fullmatch(name) for name in ref):
            raise StoreError(f"{self.root}: no artefact is called {'/'.join(ref)!r:.100}")
        return self.root / ref.stage / ref.key / f"{ref.part}.h5"

    def has(self, ref: ArtefactRef) -> bool:
        """Whether an artefact is in place; a damaged one counts as absent.

        Raises
        ------
        UnreadableArtefactError
            If that cannot be told now.
        """
        try:
            self._sized(ref)
        except (MissingArtefactError, DamagedArtefactError):
            return False
        return True

    def state(self, ref: ArtefactRef) -> State:
        """What its manifest and the size of its file say of an artefact."""
        try:
            self._sized(ref)
        except MissingArtefactError:
            return "missing"
        except DamagedArtefactError:
            return "damaged"
        except UnreadableArtefactError:
            return "unreadable"
        return "fresh"

    def manifest(self, ref: ArtefactRef) -> Manifest:
        """The manifest of an artefact: see `read_manifest` for what it raises."""
        return artefact_file.read_manifest(self.path(ref), ref)

    def header(self, ref: ArtefactRef) -> Header:
        """The header of an artefact: see `read_manifest` for what it raises."""
        return self.manifest(ref).header

    def size(self, ref: ArtefactRef) -> int:
        """Bytes of an artefact's file; 0 where there is none."""
        path = self.path(ref)
        return path.stat().st_size if path.exists() else 0

    @contextmanager
    def open(
        self,
        ref: ArtefactRef,
        image_ids: Sequence[str] | None = None,
        contents: Contents | None = None,
    ) -> Iterator[h5py.File]:
        """Open an artefact for reading.

        Parameters
        ----------
        ref : ArtefactRef
        image_ids : sequence of str, optional
            The images that it must hold, in their order; any by default.
        contents : Contents, optional
            What it must hold; any arrays by default.

        Yields
        ------
        h5py.File

        Raises
        ------
        MissingArtefactError
            If it does not exist.
        DamagedArtefactError
            If its bytes are not those that were written, or it is not what is asked for.
        UnreadableArtefactError
            If it cannot be read now.
        """
        path, manifest = self.path(ref), self.check(ref)
        if image_ids is not None and manifest.header.image_ids != tuple(image_ids):
            raise DamagedArtefactError(f"{path}: holds other images than asked for; {REMEDY}")
        with artefact_file.opened(path, manifest, contents) as file:
            yield file

    def check(self, ref: ArtefactRef, anew: bool = False) -> Manifest:
        """Check the bytes of an artefact against its manifest, once in a process.

        Parameters
        ----------
        ref : ArtefactRef
        anew : bool
            Read every byte, whatever this process has checked before.

        Returns
        -------
        Manifest

        Raises
        ------
        MissingArtefactError, DamagedArtefactError, UnreadableArtefactError
            As `open` does.
        """
        manifest = self.manifest(ref)
        try:
            artefact_file.check_bytes(self.path(ref), manifest, anew)
        except DamagedArtefactError:
            # Where there are no locks, another run may have written it anew in between.
            again = self.manifest(ref)
            if again == manifest:
                raise
            artefact_file.check_bytes(self.path(ref), again, anew)
            return again
        return manifest

    def verify(self, ref: ArtefactRef, contents: Contents | None = None) -> None:
        """Read every byte of an artefact.

        Parameters
        ----------
        ref : ArtefactRef
        contents : Contents, optional
            What it must hold.

        Raises
        ------
        MissingArtefactError, DamagedArtefactError, UnreadableArtefactError
            As `open` does.
        """
        manifest, path = self.check(ref, anew=True), self.path(ref)
        with artefact_file.open_hdf5(path) as file:
            artefact_file.check_stored(file, path, manifest, contents)

    @contextmanager
    def create(
        self, ref: ArtefactRef, header: Header, contents: Contents | None = None
    ) -> Iterator[h5py.File]:
        """Write an artefact: it appears under its name when the block ends without an error.

        Parameters
        ----------
        ref : ArtefactRef
        header : Header
            Its description; costs, versions and digests of inputs are filled in here.
        contents : Contents, optional
            What the block must write.

        Yields
        ------
        h5py.File

        Raises
        ------
        StoreError
            If the disk is full, or the folder cannot be written.
        DamagedArtefactError
            If the block wrote something else than `contents`.
        """
        path, headers = self.path(ref), list[Header]()
        with disk_errors(path):
            self._make_folder(path.parent)
            with replace_file(path) as temporary:
                with artefact_file.measured(header, headers), new_file(temporary) as file:
                    yield file
                with temporary.open("rb", buffering=0) as written:
                    found = digest_of_file(written)
                manifest = self._complete(ref, headers[0], found, temporary.stat().st_size)
                with artefact_file.open_hdf5(temporary) as file:
                    layout = artefact_file.check_file(file, path, manifest, contents)
            write_set(self.root, header.trained_on)
            with replace_file(manifest_path(path)) as temporary:
                temporary.write_bytes(to_bytes(manifest))
            dropped_path(path).unlink(missing_ok=True)
            artefact_file.note_written(path, manifest, contents, layout)

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
        with ExitStack() as stack:
            with disk_errors(path):
                self._make_folder(path.parent)
                try:
                    stack.enter_context(locks.hold(path, timeout))
                except TimeoutError:
                    raise StoreError(
                        f"{path}: another run is computing {ref}; wait for it, or end it"
                    ) from None
            yield

    @contextmanager
    def lease(self, refs: Iterable[ArtefactRef]) -> Iterator[None]:
        """Hold artefacts for the length of the block, so that `gc` removes none of them."""
        with ExitStack() as stack:
            with disk_errors(self.root / locks.LEASES / "all.lock"):
                stack.enter_context(locks.lease(self.root, refs))
            yield

    def costs(self, ref: ArtefactRef) -> Header | None:
        """The header of an artefact, also of one that was dropped; None where there is none."""
        with suppress(StoreError):
            return self.header(ref)
        with suppress(OSError, ValueError):
            path = dropped_path(self.path(ref))
            if path.stat().st_size <= MOST_BYTES:
                return from_bytes(path.read_bytes(), partial(read_set, self.root)).header
        return None

    @contextmanager
    def held(self, but_own: bool = False) -> Iterator[set[ArtefactRef]]:
        """What living runs hold, while none can begin: see `locks.held_artefacts`."""
        with locks.held_artefacts(self.root, but_own) as found:
            yield found

    def write_sets(self, sets: Iterable[Sequence[str]]) -> None:
        """Write the sets of training images that are not there: manifests name them.

        Parameters
        ----------
        sets : iterable of sequences of str
            Ids of images.
        """
        with disk_errors(self.root / IMAGE_SETS):
            for image_ids in sets:
                write_set(self.root, image_ids)

    def wrong_sets(self, sets: Iterable[Sequence[str]]) -> list[Path]:
        """Files of those sets of training images that are missing, or hold something else.

        Parameters
        ----------
        sets : iterable of sequences of str
            Ids of images.

        Returns
        -------
        list of Path
        """
        return [path for ids in sets if (path := wrong_set(self.root, ids)) is not None]

    def spare_sets(self, known: Iterable[Sequence[str]]) -> list[Path]:
        """Files of sets of training images that no artefact and none of the known sets need.

        Parameters
        ----------
        known : iterable of sequences of str
            Ids of images.

        Returns
        -------
        list of Path
        """
        refs = (*self.artefacts(), *self.dropped())
        used = [header.trained_on for ref in refs if (header := self.costs(ref)) is not None]
        return other_sets(self.root, {set_name(ids) for ids in {*used, *map(tuple, known)}})

    def artefacts(self) -> Iterator[ArtefactRef]:
        """All artefacts whose manifest is whole, in the order of their names."""
        for place in sorted(self.root.glob("*/*/*.json")):
            ref = ArtefactRef(place.parts[-3], place.stem, place.parts[-2])
            with suppress(StoreError):
                self.manifest(ref)
                yield ref

    def leavings(self) -> list[Path]:
        """Files that killed runs on this machine left behind; other machines may still write.

        A file whose manifest was never renamed is among them.
        """
        found: list[Path] = []
        for folder in (self.root, self.root / locks.LEASES, *self._folders()):
            for path in sorted(folder.glob(".*.tmp")):
                if is_abandoned(path) and path.is_file() and not path.is_symlink():
                    orphan = self._orphan(path)
                    found += [path] if orphan is None else [orphan, path]
        return found

    def clear_leavings(self) -> None:
        """Remove what killed runs left behind."""
        for path in self.leavings():
            path.unlink(missing_ok=True)

    def remove(self, ref: ArtefactRef) -> int:
        """Remove an artefact, and its folder if that is empty then; returns the bytes freed."""
        path, size = self.path(ref), self.size(ref)
        # The manifest first: without it the artefact is not there.
        for file in (manifest_path(path), path, dropped_path(path), path.with_suffix(".lock")):
            file.unlink(missing_ok=True)
        with suppress(OSError):
            path.parent.rmdir()
        return size

    def drop(self, ref: ArtefactRef) -> int:
        """Remove the file of an artefact and keep what it cost; returns the bytes freed."""
        path, size = self.path(ref), self.size(ref)
        if manifest_path(path).exists():
            os.replace(manifest_path(path), dropped_path(path))
        path.unlink(missing_ok=True)
        return size

    def dropped(self) -> Iterator[ArtefactRef]:
        """What was dropped, in the order of the names."""
        for place in sorted(self.root.glob("*/*/*.dropped")):
            ref = ArtefactRef(place.parts[-3], place.stem, place.parts[-2])
            if all(_NAME.fullmatch(name) for name in ref):
                yield ref

    def set_aside(self, ref: ArtefactRef) -> Path:
        """Move what is left of a damaged artefact to the quarantine; returns where it is then."""
        path = self.path(ref)
        folder, tries = self.root / QUARANTINE / ref.stage / ref.key, 0
        while any((folder / f"{ref.part}.{tries}{end}").exists() for end in (".h5", ".json")):
            tries += 1
        with disk_errors(path):
            self._make_folder(folder)
            for file in (manifest_path(path), path):
                if file.exists() or file.is_symlink():
                    os.replace(file, folder / f"{ref.part}.{tries}{file.suffix}")
        return folder / f"{ref.part}.{tries}.h5"

    def discard_if_empty(self) -> None:
        """Remove the folder where it holds nothing that was computed, and no run works in it."""
        with locks.held_artefacts(self.root) as held:
            found = sorted(self.root.rglob("*"), reverse=True)
        files = [path for path in found if path.is_symlink() or not path.is_dir()]
        computed = [path for path in files if path.parent != self.root / IMAGE_SETS]
        if held or any(path.name != _MARKER and path.suffix != ".lock" for path in computed):
            return
        for path in files:
            path.unlink(missing_ok=True)
        with suppress(OSError):
            for folder in (*(path for path in found if path not in files), self.root):
                folder.rmdir()

    def _sized(self, ref: ArtefactRef) -> None:
        artefact_file.check_size(self.path(ref), self.manifest(ref))

    def _complete(self, ref: ArtefactRef, header: Header, found: str, size: int) -> Manifest:
        """The manifest of a file that was just written."""
        inputs = [ArtefactRef(*name.split("/")) for name in header.inputs]
        digests = tuple(self.manifest(other).digest for other in inputs)
        return Manifest(ref, found, size, replace(header, input_digests=digests))

    def _make_folder(self, folder: Path) -> None:
        for place in (folder, *folder.parents):
            if place == self.root:
                break
            if place.is_symlink():
                raise StoreError(f"{place}: a link; a work folder holds plain folders, remove it")
        folder.mkdir(parents=True, exist_ok=True)

    def _folders(self) -> list[Path]:
        return [path for path in sorted(self.root.glob("*/*")) if path.is_dir()]

    def _orphan(self, temporary: Path) -> Path | None:
        """The file whose manifest a killed run has written and not renamed."""
        with suppress(ValueError, OSError):
            manifest = from_bytes(temporary.read_bytes(), partial(read_set, self.root))
            path = self.path(manifest.ref)
            if path.parent == temporary.parent and not manifest_path(path).exists():
                return path if path.is_file() else None
        return None


def check_marker(root: Path) -> None:
    """Check the file that marks a work folder.

    Raises
    ------
    DamagedArtefactError
        If it is not what was written.
    UnreadableArtefactError
        If it cannot be read now.
    StoreError
        If the folder is of another format.
    """
    marker = root / _MARKER
    with reading(marker):
        content = marker.read_bytes()
    try:
        old = _OLD_MARKER.fullmatch(content)
        found = int(old[1]) if old is not None else unsealed(content)["format"]
    except (ValueError, KeyError):
        raise DamagedArtefactError(
            f"{marker}: damaged; `rerank verify --repair` mends it"
        ) from None
    if found != FORMAT:
        raise StoreError(
            f"{root}: a work folder of format {found}, this version of rerank "
            f"({__version__}) reads format {FORMAT}; run the recipe in another --work folder"
        )


def write_marker(root: Path) -> None:
    """Write the file that marks a work folder."""
    with disk_errors(root / _MARKER):
        write_text(root / _MARKER, sealed({"format": FORMAT}).decode())


def _holds_others(root: Path) -> bool:
    # Another run may be making this work folder, or was killed while it did.
    others = any(not item.name.startswith(f".{_MARKER}") for item in root.iterdir())
    return others and not (root / _MARKER).is_file()
