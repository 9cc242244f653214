"""Artefacts in memory, for runs without a work folder."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import h5py

from rerank.engine.store import ArtefactRef, Header, Store, check_artefact, completed
from rerank.errors import StoreError


class MemoryStore(Store):
    """A `Store` whose HDF5 files lie in the memory of one process."""

    def __init__(self) -> None:
        self.root = Path("memory")
        self._files: dict[ArtefactRef, bytes] = {}

    def state(self, ref: ArtefactRef) -> Literal["fresh", "missing", "damaged"]:
        """`fresh` or `missing`."""
        return "fresh" if ref in self._files else "missing"

    def size(self, ref: ArtefactRef) -> int:
        """Bytes of an artefact; 0 where there is none."""
        return len(self._files[ref]) if ref in self._files else 0

    @contextmanager
    def open(self, ref: ArtefactRef, image_ids: Sequence[str] | None = None) -> Iterator[h5py.File]:
        """Open an artefact for reading: see `Store.open`."""
        if ref not in self._files:
            raise StoreError(f"{self.path(ref)}: missing")
        # A view of its own, so that an artefact may be open twice.
        with h5py.File(io.BytesIO(self._files[ref]), "r") as file:
            check_artefact(file, self.path(ref), ref, image_ids)
            yield file

    @contextmanager
    def create(self, ref: ArtefactRef, header: Header) -> Iterator[h5py.File]:
        """Write an artefact: see `Store.create`."""
        buffer = io.BytesIO()
        with h5py.File(buffer, "w") as file, completed(file, ref, header):
            yield file
        self._files[ref] = buffer.getvalue()

    @contextmanager
    def lock(self, ref: ArtefactRef, timeout: float = -1) -> Iterator[None]:
        """Nothing to wait for: no other process sees this store."""
        yield

    def artefacts(self) -> Iterator[ArtefactRef]:
        """All artefacts, in the order of their names."""
        yield from sorted(self._files, key=str)

    def temporaries(self) -> list[Path]:
        """None."""
        return []

    def remove(self, ref: ArtefactRef) -> int:
        """Forget an artefact; returns its bytes."""
        size = self.size(ref)
        self._files.pop(ref, None)
        return size
