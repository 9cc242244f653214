"""Lattices over the pixels of an image, and a cache of them."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any

import numpy as np

from rerank.errors import InputError
from rerank.layers.lattice import PermutohedralLattice
from rerank.types import Array, BoolArray, FloatArray
from rerank.validation import check_finite

Deviations = float | Sequence[float]


class LatticeCache:
    """A cache of the lattices that were used last, found by the content of their images.

    Building a lattice takes longer than filtering on it, and a layer gets the same image again
    in every epoch, or from every model. A lattice of 480x360 pixels takes about 30 MB.

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

    def get(self, key: bytes, build: Callable[[], PermutohedralLattice]) -> PermutohedralLattice:
        """The lattice kept under `key`, or else the one that `build` makes.

        Parameters
        ----------
        key : bytes
            The same for equal lattices.
        build : callable
            Without arguments; its lattice is then kept.

        Returns
        -------
        PermutohedralLattice
        """
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


def position_lattice(
    valid: BoolArray,
    position_std: Deviations,
    radius: int | None = None,
    cache: LatticeCache | None = None,
) -> PermutohedralLattice:
    """The lattice of a kernel on pixel positions.

    Parameters
    ----------
    valid : (H, W) bool
        Which pixels take part; the lattice's points are these, row by row.
    position_std : float or (x, y)
        Standard deviations in pixels.
    radius : int, optional
        See `PermutohedralLattice`.
    cache : LatticeCache, optional

    Returns
    -------
    PermutohedralLattice

    Raises
    ------
    InputError
        If no pixel is valid, or a deviation is not a positive number.
    """

    def features() -> FloatArray:
        columns = np.empty((2, *valid.shape))
        _fill_positions(columns, position_std)
        return _rows(columns, valid)

    return _cached(cache, features, radius, valid, _deviations(position_std, 2, "position_std"))


def bilateral_lattice(
    image: Array,
    valid: BoolArray,
    position_std: Deviations,
    colour_std: Deviations,
    radius: int | None = None,
    cache: LatticeCache | None = None,
) -> PermutohedralLattice:
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

    Returns
    -------
    PermutohedralLattice

    Raises
    ------
    InputError
        If `image` and `valid` differ in height or width, no pixel is valid, a valid colour is
        not finite, or a deviation is not a positive number.
    """
    if image.ndim != 3 or image.shape[:2] != valid.shape:
        raise InputError(
            f"image must be (H, W, C) with H and W those of valid {valid.shape}, got {image.shape}"
        )
    deviations = _deviations(colour_std, image.shape[2], "colour_std")

    def features() -> FloatArray:
        columns = np.empty((2 + image.shape[2], *valid.shape))
        _fill_positions(columns[:2], position_std)
        for channel, deviation in enumerate(deviations):
            np.divide(image[..., channel], deviation, out=columns[2 + channel])
        rows = _rows(columns, valid)
        check_finite(rows, "image", "features of valid pixels")
        return rows

    return _cached(
        cache,
        features,
        radius,
        image,
        valid,
        _deviations(position_std, 2, "position_std"),
        deviations,
    )


def _fill_positions(columns: FloatArray, position_std: Deviations) -> None:
    """Positions (x, y) in standard deviations, into (2, H, W)."""
    deviations = _deviations(position_std, 2, "position_std")
    columns[0] = np.arange(columns.shape[2]) / deviations[0]
    columns[1] = np.arange(columns.shape[1])[:, None] / deviations[1]


def _rows(columns: FloatArray, valid: BoolArray) -> FloatArray:
    """(d, H, W) to one row (d,) for each valid pixel."""
    return (columns.reshape(len(columns), -1) if valid.all() else columns[:, valid]).T


def _deviations(given: Deviations, size: int, name: str) -> FloatArray:
    values = np.asarray(given, dtype=np.float64)
    if values.ndim == 0:
        values = np.full(size, float(values))
    if values.shape != (size,) or not (np.isfinite(values) & (values > 0)).all():
        raise InputError(f"{name} must be a positive number or {size} of them, got {given!r}")
    return values


def _cached(
    cache: LatticeCache | None,
    features: Callable[[], FloatArray],
    radius: int | None,
    *contents: Array,
) -> PermutohedralLattice:
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
