"""Features of superpixels from the activations of a convolutional network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numba
import numpy as np
from scipy.sparse import csr_matrix

from rerank.errors import InputError
from rerank.superpixels import count_superpixels, superpixel_positions
from rerank.types import Array, FloatArray, IntArray
from rerank.validation import check_finite


def deep_features(
    activation_maps: Sequence[Array],
    superpixels: IntArray,
    *,
    strides: Sequence[tuple[float, float]] | None = None,
    first_centres: Sequence[tuple[float, float]] | None = None,
    position: bool = True,
    image_mean: bool = True,
    square_root: bool = False,
) -> FloatArray:
    """Pool the activations of one or more layers over superpixels.

    The result is that of interpolating each map bilinearly at every pixel and averaging over each
    superpixel, a "hypercolumn" (Hariharan et al. 2015) per superpixel. It is computed as a sparse
    product of the weight of each cell in each superpixel with the map, without a full-size map.

    Parameters
    ----------
    activation_maps : sequence of (D_l, h_l, w_l) float arrays
        Maps of one image, of any depths and sizes.
    superpixels : (H, W) integer array
        Superpixel of each pixel, 0..n-1, every one used.
    strides : sequence of (down, across), optional
        Distance of neighbouring cells of each map in pixels of the superpixel map. By default the
        cells tile the image evenly: (H / h_l, W / w_l).
    first_centres : sequence of (down, across), optional
        Where the centre of each map's first cell lies, in pixels, pixel j covering [j, j + 1). By
        default half a stride from the border. Given together with `strides`.
    position : bool
        Append the 8 columns of `superpixel_positions`.
    image_mean : bool
        Append the mean of each channel over the whole image to every row, as global context.
    square_root : bool
        Average the roots of the activations' sizes, with their signs; it evens out their heavy
        tails.

    Returns
    -------
    (n, D) float32
        D is the sum of the depths (twice that with `image_mean`), and 8 more with `position`.

    Raises
    ------
    InputError
        If the map is not a gapless superpixel map.
    InputError
        If there is no activation map, or one is not a non-empty finite (D, h, w) array.
    InputError
        If `strides` and `first_centres` are not given together, one pair per map, strides above 0.

    Examples
    --------
    >>> superpixels = np.array([[0, 0, 1, 1], [0, 0, 1, 1]])
    >>> maps = [np.array([[[1.0, 3.0]]])]
    >>> deep_features(maps, superpixels, position=False, image_mean=False)
    array([[1.25],
           [2.75]], dtype=float32)
    """
    superpixels = np.asarray(superpixels)
    n = count_superpixels(superpixels)
    maps = [_check_map(values, place) for place, values in enumerate(activation_maps)]
    if not maps:
        raise InputError("deep_features needs at least one activation map")
    geometry = _geometry(maps, superpixels.shape, strides, first_centres)
    order, starts = _pixels_by_superpixel(superpixels, n)
    columns: list[FloatArray] = []
    means: list[FloatArray] = []
    for values, (stride, first_centre) in zip(maps, geometry):
        if square_root:
            values = signed_root(values)
        depth, rows, across = values.shape
        cells = np.ascontiguousarray(values.reshape(depth, -1).T)
        weights = _cell_weights(
            order,
            starts,
            _interpolation(superpixels.shape[0], rows, stride[0], first_centre[0]),
            _interpolation(superpixels.shape[1], across, stride[1], first_centre[1]),
        )
        sharing = csr_matrix(weights, shape=(n, rows * across))
        columns.append(sharing @ cells)
        if image_mean:
            means.append(np.broadcast_to(cells.mean(axis=0), (n, depth)))
    if position:
        columns.append(superpixel_positions(superpixels))
    return np.concatenate(columns + means, axis=1, dtype=np.float32)


def signed_root(values: FloatArray) -> FloatArray:
    """The square root of a number's size, with its sign."""
    found: FloatArray = np.sign(values) * np.sqrt(np.abs(values))
    return found


def _check_map(values: Array, place: int) -> FloatArray:
    values = np.asarray(values, dtype=np.float32)
    if values.ndim != 3 or values.size == 0:
        raise InputError(
            f"activation map {place} must be a non-empty (D, h, w) array, got shape {values.shape}"
        )
    check_finite(values, f"activation map {place}")
    return values


def _geometry(
    maps: Sequence[FloatArray],
    size: tuple[int, ...],
    strides: Sequence[tuple[float, float]] | None,
    first_centres: Sequence[tuple[float, float]] | None,
) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    if (strides is None) != (first_centres is None):
        raise InputError("strides and first_centres must be given together")
    if strides is None or first_centres is None:
        strides = [(size[0] / m.shape[1], size[1] / m.shape[2]) for m in maps]
        first_centres = [(down / 2, across / 2) for down, across in strides]
    if len(strides) != len(maps) or len(first_centres) != len(maps):
        raise InputError(
            f"strides and first_centres must hold one pair for each of {len(maps)} maps, got "
            f"{len(strides)} and {len(first_centres)}"
        )
    if any(not step > 0 for pair in strides for step in pair):
        raise InputError(f"strides must be greater than 0, got {list(strides)}")
    return list(zip(strides, first_centres))


def _pixels_by_superpixel(superpixels: IntArray, n: int) -> tuple[IntArray, IntArray]:
    """Flat pixel indices sorted by superpixel, and where each superpixel's begin, (n + 1,)."""
    flat = superpixels.ravel()
    order = np.argsort(flat, kind="stable").astype(np.int32)
    starts = np.concatenate([[0], np.cumsum(np.bincount(flat, minlength=n))]).astype(np.int64)
    return order, starts


class _Interpolation(NamedTuple):
    """For each pixel on an axis the lower of the two cells around it, and the upper's weight."""

    lower: IntArray
    upper_weight: FloatArray
    n_cells: int


def _interpolation(
    n_pixels: int, n_cells: int, stride: float, first_centre: float
) -> _Interpolation:
    at = np.clip((np.arange(n_pixels) + 0.5 - first_centre) / stride, 0, n_cells - 1)
    lower = np.minimum(at.astype(np.int64), max(n_cells - 2, 0))
    return _Interpolation(lower, (at - lower).astype(np.float32), n_cells)


@numba.njit(cache=True)
def _cell_weights(
    order: IntArray, starts: IntArray, rows: _Interpolation, columns: _Interpolation
) -> tuple[FloatArray, IntArray, IntArray]:
    """Weight of each cell in each superpixel, as data, indices and indptr of a CSR matrix."""
    n = starts.size - 1
    y_lower, y_weight = rows.lower, rows.upper_weight
    x_lower, x_weight = columns.lower, columns.upper_weight
    width, across = x_lower.size, columns.n_cells
    scratch = np.zeros(rows.n_cells * across, dtype=np.float32)
    touched = np.empty(min(4 * order.size, rows.n_cells * across), dtype=np.int32)
    # each pixel touches at most four cells, and most share theirs with their neighbours
    capacity = 16 * n + 1024
    data = np.empty(capacity, dtype=np.float32)
    indices = np.empty(capacity, dtype=np.int32)
    indptr = np.zeros(n + 1, dtype=np.int64)
    used = 0
    for i in range(n):
        n_touched = 0
        share = np.float32(1.0 / (starts[i + 1] - starts[i]))
        for p in range(starts[i], starts[i + 1]):
            y = order[p] // width
            x = order[p] % width
            for down in range(2):
                weight_y = y_weight[y] if down == 1 else np.float32(1.0) - y_weight[y]
                if weight_y == 0:
                    continue
                for right in range(2):
                    weight_x = x_weight[x] if right == 1 else np.float32(1.0) - x_weight[x]
                    if weight_x == 0:
                        continue
                    cell = (y_lower[y] + down) * across + x_lower[x] + right
                    if scratch[cell] == 0:
                        touched[n_touched] = cell
                        n_touched += 1
                    scratch[cell] += weight_y * weight_x * share
        if used + n_touched > capacity:
            capacity = 2 * (used + n_touched)
            more_data = np.empty(capacity, dtype=np.float32)
            more_data[:used] = data[:used]
            data = more_data
            more_indices = np.empty(capacity, dtype=np.int32)
            more_indices[:used] = indices[:used]
            indices = more_indices
        for t in range(n_touched):
            cell = touched[t]
            data[used] = scratch[cell]
            indices[used] = cell
            scratch[cell] = 0
            used += 1
        indptr[i + 1] = used
    return data[:used], indices[:used], indptr
