"""Lattices over the pixels of an image, and a cache of them."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from threading import Lock
from typing import Any, Callable, Optional, Sequence, Union

import numpy as np

from rerank.errors import InputError
from rerank.layers.lattice import PermutohedralLattice
from rerank.types import Array, BoolArray, FloatArray
from rerank.validation import check_finite

Deviations = Union[float, Sequence[float]]


class LatticeCache:
    """Keeps the lattices that were used last, known by the content of their images.

    Building a lattice takes longer than filtering on it, and the same image meets the same
    layer again in every epoch or with every model. A lattice of 480x360 pixels takes about
    30 MB.

    Parameters
    ----------
    max_lattices : int
        How many to keep; 0 keeps none.

    Attributes
    ----------
    hits, misses : int
        How often a lattice was found, and had to be built.

    Raises
    ------
    InputError
        If `max_lattices` is negative.
    """

    def __init__(self, max_lattices: int) -> None:
        if max_lattices < 0:
            raise InputError(f"max_lattices must be at least 0, got {max_lattices}")
        self.max_lattices = max_lattices
        self.hits = 0
        self.misses = 0
        self._lattices: OrderedDict[bytes, PermutohedralLattice] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._lattices)

    def __reduce__(self) -> tuple[type, tuple[int]]:
        # A copied or unpickled layer starts with an empty cache of the same size.
        return LatticeCache, (self.max_lattices,)

    def get(self, key: bytes,
            build: Callable[[], PermutohedralLattice]) -> PermutohedralLattice:
        """The lattice kept under `key`, or else the one that `build` makes."""
        with self._lock:
            if key in self._lattices:
                self._lattices.move_to_end(key)
                self.hits += 1
                return self._lattices[key]
        lattice = build()
        with self._lock:
            self.misses += 1
            if self.max_lattices:
                self._lattices[key] = lattice
                self._lattices.move_to_end(key)
                while len(self._lattices) > self.max_lattices:
                    self._lattices.popitem(last=False)
        return lattice


def position_lattice(valid: BoolArray, position_std: Deviations, radius: Optional[int] = None,
                     cache: Optional[LatticeCache] = None) -> PermutohedralLattice:
    """The lattice of a kernel on pixel positions, Gaussian if its weights are.

    Parameters
    ----------
    valid : (H, W) bool
        Which pixels take part; the lattice's points are these, row by row.
    position_std : float or (x, y)
        Standard deviations in pixels.
    radius : int, optional
        See `PermutohedralLattice`.
    cache : LatticeCache, optional

    Raises
    ------
    InputError
        If no pixel is valid, or a deviation is not a positive number.
    """
    return _cached(cache, lambda: _positions(valid, position_std), radius,
                   valid, _deviations(position_std, 2, "position_std"))


def bilateral_lattice(image: Array, valid: BoolArray, position_std: Deviations,
                      colour_std: Deviations, radius: Optional[int] = None,
                      cache: Optional[LatticeCache] = None) -> PermutohedralLattice:
    """The lattice of a kernel on pixel positions and colours.

    Parameters
    ----------
    image : (H, W, C)
        Finite where valid.
    valid : (H, W) bool
        Which pixels take part; the lattice's points are these, row by row.
    position_std : float or (x, y)
        Standard deviations in pixels.
    colour_std : float or (C,)
        Standard deviations in units of the image's values.
    radius : int, optional
        See `PermutohedralLattice`.
    cache : LatticeCache, optional

    Raises
    ------
    InputError
        If `image` and `valid` differ in height or width, no pixel is valid, a valid colour is
        not finite, or a deviation is not a positive number.
    """
    if image.ndim != 3 or image.shape[:2] != valid.shape:
        raise InputError(f"image must be (H, W, C) with H and W those of valid {valid.shape}, "
                         f"got {image.shape}")
    deviations = _deviations(colour_std, image.shape[2], "colour_std")

    def features() -> FloatArray:
        rows = np.empty((int(valid.sum()), 2 + image.shape[2]))
        rows[:, :2] = _positions(valid, position_std)
        rows[:, 2:] = image.reshape(-1, image.shape[2]) if valid.all() else image[valid]
        rows[:, 2:] /= deviations
        check_finite(rows, "image", "colours of valid pixels")
        return rows

    return _cached(cache, features, radius, image, valid,
                   _deviations(position_std, 2, "position_std"), deviations)


def _positions(valid: BoolArray, position_std: Deviations) -> FloatArray:
    deviations = _deviations(position_std, 2, "position_std")
    rows = np.empty((*valid.shape, 2))
    rows[..., 0] = np.arange(valid.shape[1]) / deviations[0]
    rows[..., 1] = np.arange(valid.shape[0])[:, None] / deviations[1]
    return rows.reshape(-1, 2) if valid.all() else rows[valid]


def _deviations(given: Deviations, size: int, name: str) -> FloatArray:
    values = np.asarray(given, dtype=np.float64)
    if values.ndim == 0:
        values = np.full(size, float(values))
    if values.shape != (size,) or not (np.isfinite(values) & (values > 0)).all():
        raise InputError(f"{name} must be a positive number or {size} of them, got {given!r}")
    return values


def _cached(cache: Optional[LatticeCache], features: Callable[[], FloatArray],
            radius: Optional[int], *contents: Array) -> PermutohedralLattice:
    def build() -> PermutohedralLattice:
        rows = features()
        if len(rows) == 0:
            raise InputError("at least one pixel must be valid")
        return PermutohedralLattice(rows, radius)

    if cache is None:
        return build()
    digest = hashlib.blake2b(repr(radius).encode())
    for content in contents:
        values: Any = np.ascontiguousarray(content)
        digest.update(f"{values.dtype.str}{values.shape}".encode())
        digest.update(values)
    return cache.get(digest.digest(), build)
