"""Artefacts in memory, for runs without a work folder."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import h5py

from rerank.engine.artefact_file import check_file, measured
from rerank.engine.contents import Contents
from rerank.engine.hdf5 import new_file
from rerank.engine.manifest import ArtefactRef, Header, Manifest, digest_of_bytes
from rerank.engine.store import Store
from rerank.errors import DamagedArtefactError, MissingArtefactError


class MemoryStore(Store):
    """A `Store` whose HDF5 files lie in the memory of one process."""

    def __init__(self) -> None:
        self.root = Path("memory")
        self._files: dict[ArtefactRef, tuple[bytes, Manifest]] = {}

    def manifest(self, ref: ArtefactRef) -> Manifest:
        """The manifest of an artefact: see `Store.manifest`."""
        if ref not in self._files:
            raise MissingArtefactError(f"{self.path(ref)}: missing")
        return self._files[ref][1]

    def size(self, ref: ArtefactRef) -> int:
        """Bytes of an artefact; 0 where there is none."""
        return len(self._files[ref][0]) if ref in self._files else 0

    def check(self, ref: ArtefactRef, anew: bool = False) -> Manifest:
        """The manifest: no other process writes to this store.

        Parameters
        ----------
        ref : ArtefactRef
        anew : bool
            Without meaning here.

        Returns
        -------
        Manifest
        """
        return self.manifest(ref)

    @contextmanager
    def open(
        self,
        ref: ArtefactRef,
        image_ids: Sequence[str] | None = None,
        contents: Contents | None = None,
    ) -> Iterator[h5py.File]:
        """Open an artefact for reading: see `Store.open`."""
        ids = self.manifest(ref).header.image_ids
        if image_ids is not None and ids != tuple(image_ids):
            raise DamagedArtefactError(f"{self.path(ref)}: holds other images than asked for")
        # A view of its own, so that an artefact may be open twice.
        with h5py.File(io.BytesIO(self._files[ref][0]), "r") as file:
            yield file

    @contextmanager
    def create(
        self, ref: ArtefactRef, header: Header, contents: Contents | None = None
    ) -> Iterator[h5py.File]:
        """Write an artefact: see `Store.create`."""
        buffer, headers = io.BytesIO(), list[Header]()
        with measured(header, headers), new_file(buffer) as file:
            yield file
        content = buffer.getvalue()
        found = digest_of_bytes(content)
        manifest = self._complete(ref, headers[0], found, len(content))
        with h5py.File(io.BytesIO(content), "r") as file:
            check_file(file, self.path(ref), manifest, contents)
        self._files[ref] = (content, manifest)

    @contextmanager
    def lock(self, ref: ArtefactRef, timeout: float = -1) -> Iterator[None]:
        """Nothing to wait for: no other process sees this store."""
        yield

    @contextmanager
    def lease(self, refs: Iterable[ArtefactRef]) -> Iterator[None]:
        """Nothing to hold."""
        yield

    @contextmanager
    def held(self, but_own: bool = False) -> Iterator[set[ArtefactRef]]:
        """Nothing is held."""
        yield set()

    def artefacts(self) -> Iterator[ArtefactRef]:
        """All artefacts, in the order of their names."""
        yield from sorted(self._files, key=str)

    def leavings(self) -> list[Path]:
        """None."""
        return []

    def write_sets(self, sets: Iterable[Sequence[str]]) -> None:
        """Nothing: headers hold the sets themselves."""

    def spare_sets(self, known: Iterable[Sequence[str]]) -> list[Path]:
        """None."""
        return []

    def costs(self, ref: ArtefactRef) -> Header | None:
        """The header of an artefact; None where there is none."""
        return self._files[ref][1].header if ref in self._files else None

    def drop(self, ref: ArtefactRef) -> int:
        """Forget an artefact; returns its bytes."""
        return self.remove(ref)

    def dropped(self) -> Iterator[ArtefactRef]:
        """Nothing is noted."""
        yield from ()

    def remove(self, ref: ArtefactRef) -> int:
        """Forget an artefact; returns its bytes."""
        size = self.size(ref)
        self._files.pop(ref, None)
        return size

    def _sized(self, ref: ArtefactRef) -> None:
        self.manifest(ref)
