"""Network maps of any layout, type and size as class probabilities of their image's pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rerank.datasets.map_layout import QUANTISED, check_dtype, map_layout
from rerank.errors import InputError
from rerank.types import Array, BoolArray, FloatArray

#: How far from 1 the sum of a pixel's probabilities may be: 8 bits a class are off by that much.
SUM_TOLERANCE = 0.1
#: At a time: OpenCV's limit is 128 channels, and 512 before version 5.
_CHANNELS = 128


@dataclass(frozen=True, eq=False)
class NetworkMap:
    """Class probabilities of the pixels of one image.

    Attributes
    ----------
    values : (H, W, C) float32 array
        Each pixel's sum to 1. Void pixels have 1 / C everywhere.
    void : (H, W) bool array or None
        The pixels about which the network says nothing; None where there are none.
    scores : bool
        Whether a softmax was applied.
    resized : bool
        Whether the map had another size.
    """

    values: FloatArray
    void: BoolArray | None = None
    scores: bool = False
    resized: bool = False


def fit_map(
    values: Array, size: tuple[int, int], n_classes: int | None = None, where: str = ""
) -> NetworkMap:
    """Turn what a network gave for an image into class probabilities of the image's pixels.

    Everything that reads network maps calls it, so that all take the same. Integers are
    probabilities of full scale, n / 255 or n / 65535. Values whose sums are within 0.1 of 1 are
    probabilities, and each pixel is divided by its sum. Others are scores (logits), and a softmax
    over the classes follows. A pixel whose values are all NaN, all 0 or all -inf is void.

    A map of another size is resized first, scores before the softmax: bilinear, with the centres
    of corner pixels half a pixel from the border (``align_corners=False``), and antialiased where
    the map is larger than the image.

    Parameters
    ----------
    values : (H, W, C) or (C, H, W) array of floats, uint8 or uint16
        Of any size with the image's aspect; see `rerank.datasets.map_layout.map_layout`.
    size : (int, int)
        Height and width of the image.
    n_classes : int, optional
        What C must be; any by default.
    where : str
        Names the map in errors.

    Returns
    -------
    NetworkMap

    Raises
    ------
    InputError
        If the map does not fit the image or the classes, is of another type, holds NaN or
        infinity at a pixel that is not void, or values in 0..1 that do not sum to 1.

    Examples
    --------
    >>> fit_map(np.array([[[-2.0, np.log(3) - 2.0]]]), (1, 1)).values.round(2).tolist()
    [[[0.25, 0.75]]]
    """
    given = np.asarray(values)
    check_dtype(given.dtype, where)
    layout = map_layout(given.shape, size, n_classes, where)
    if given.ndim == 4:
        given = given[0]
    return fit_values(np.moveaxis(given, 0, 2) if layout.classes_first else given, size, where)


def fit_values(values: Array, size: tuple[int, int], where: str = "") -> NetworkMap:
    """`fit_map` for a map whose classes are last, without a look at its aspect.

    Parameters
    ----------
    values : (h, w, C) array of floats, uint8 or uint16
        Covers the whole image.
    size : (int, int)
        Height and width of the image.
    where : str
        Names the map in errors.

    Returns
    -------
    NetworkMap

    Raises
    ------
    InputError
        As `fit_map`.
    """
    prefix = f"{where}: " if where else ""
    full = QUANTISED.get(values.dtype.name)
    with np.errstate(over="ignore"):
        maps: FloatArray = np.ascontiguousarray(values, dtype=np.float32)
    if full is not None:
        maps = maps / np.float32(full)
    elif np.shares_memory(maps, values):
        maps = maps.copy()
    void = _void(maps, prefix)
    low = float(maps.min())
    scores = _are_scores(maps, low, void, full, prefix)
    resized = maps.shape[:2] != size
    if low < 0 and not (scores and np.isfinite(low)):
        np.maximum(maps, _floor(maps) if scores else 0, out=maps)
    if resized:
        maps, void = _resize_with_void(maps, void, size)
    maps = _softmax(maps) if scores else maps
    totals = _totals(maps)
    if void is not None:
        maps[void], totals[void] = 1 / maps.shape[2], 1
    maps /= totals[..., None]
    return NetworkMap(maps, void, scores, resized)


def resize_map(values: FloatArray, size: tuple[int, int]) -> FloatArray:
    """Resize a map: bilinear with half-pixel centres, antialiased where it becomes smaller.

    Parameters
    ----------
    values : (h, w, C) float32 array
    size : (int, int)
        Height and width that it gets.

    Returns
    -------
    (H, W, C) float32 array
    """
    if values.shape[:2] == size:
        return values
    if size[0] < values.shape[0] or size[1] < values.shape[1]:
        return _resize_antialiased(values, size)
    import cv2

    parts: list[Array] = [
        cv2.resize(
            np.ascontiguousarray(values[..., start : start + _CHANNELS]),
            (size[1], size[0]),
            interpolation=cv2.INTER_LINEAR,
        ).reshape(*size, -1)
        for start in range(0, values.shape[2], _CHANNELS)
    ]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)


def _resize_antialiased(values: FloatArray, size: tuple[int, int]) -> FloatArray:
    import torch
    from torch.nn.functional import interpolate

    planes = torch.from_numpy(np.ascontiguousarray(np.moveaxis(values, 2, 0)))[None]
    found = interpolate(planes, size=size, mode="bilinear", antialias=True)[0]
    return np.ascontiguousarray(found.permute(1, 2, 0).numpy())


def _totals(maps: FloatArray) -> FloatArray:
    # Five times as fast as a sum over the last axis.
    with np.errstate(invalid="ignore", over="ignore"):
        totals: FloatArray = maps @ np.ones(maps.shape[2], np.float32)
    return totals


def _void(maps: FloatArray, prefix: str) -> BoolArray | None:
    """The void pixels; the map holds 0 there afterwards. NaN and infinity elsewhere are refused."""
    totals = _totals(maps)
    suspects = ~np.isfinite(totals) | (totals == 0)
    if not suspects.any():
        return None
    rows = maps[suspects]
    empty = np.isnan(rows).all(1) | (rows == 0).all(1) | np.isneginf(rows).all(1)
    wrong = (np.isnan(rows) | np.isposinf(rows)).any(1) & ~empty
    if wrong.any():
        row, column = np.argwhere(suspects)[wrong][0]
        raise InputError(
            f"{prefix}the value at row {row}, column {column} is NaN or infinite, not finite in "
            "every class; mark void pixels by NaN or 0 in every class"
        )
    if not empty.any():
        return None
    void = np.zeros(suspects.shape, np.bool_)
    void[suspects] = empty
    maps[void] = 0
    return void


def _are_scores(
    maps: FloatArray, low: float, void: BoolArray | None, full: float | None, prefix: str
) -> bool:
    totals = _totals(maps)
    live = totals if void is None else totals[~void]
    if not live.size:
        return False
    lowest, highest = float(live.min()), float(live.max())
    near = lowest >= 1 - SUM_TOLERANCE and highest <= 1 + SUM_TOLERANCE
    if near and low >= -SUM_TOLERANCE:
        return False
    if low < 0 and full is None:
        return True
    worst = lowest if 1 - lowest > highest - 1 else highest
    if full is not None:
        raise InputError(
            f"{prefix}integers are read as n / {full:.0f}, and then a pixel's classes sum to "
            f"{worst:.4g}, not 1; quantise probabilities, and leave scores in floats"
        )
    if maps.max() <= 1:
        raise InputError(
            f"{prefix}the values are in 0..1, and a pixel's classes sum to {worst:.4g}, not 1; "
            "divide them by their sum over the classes, or write the scores before the sigmoid"
        )
    if highest - lowest <= SUM_TOLERANCE * highest:
        raise InputError(
            f"{prefix}each pixel's classes sum to {highest:.4g}, not 1; divide the map by that"
        )
    return True


def _floor(maps: FloatArray) -> float:
    """What stands for minus infinity, the logarithm of 0, so that it can be interpolated."""
    return float(maps[np.isfinite(maps)].min()) - 20


def _resize_with_void(
    maps: FloatArray, void: BoolArray | None, size: tuple[int, int]
) -> tuple[FloatArray, BoolArray | None]:
    if void is None:
        return resize_map(maps, size), None
    # Void pixels are 0 in `maps`: dividing by the resized share of others leaves them out.
    share = resize_map((~void)[..., None].astype(np.float32), size)
    found = resize_map(maps, size) / np.maximum(share, 1e-3)
    return found, share[..., 0] < 0.5


def _softmax(maps: FloatArray) -> FloatArray:
    import cv2

    rows = maps.reshape(-1, maps.shape[2])
    highest = cv2.reduce(rows, 1, cv2.REDUCE_MAX).reshape(*maps.shape[:2], 1)
    maps = maps - highest
    return np.exp(maps, out=maps)
