"""Class probabilities of superpixels from network maps, and unary costs from probabilities."""

from __future__ import annotations

import numpy as np

from rerank.errors import InputError
from rerank.superpixels import count_superpixels, region_mean
from rerank.types import Array, FloatArray, IntArray
from rerank.validation import check_finite


def unary_from_probabilities(
    probabilities: Array,
    areas: Array | None = None,
    *,
    floor: float = 1e-4,
    class_bias: Array | None = None,
) -> FloatArray:
    """Turn class probabilities into costs, the negative logarithms.

    ``unary[i, c] = a_i * (-log((1 - C * floor) * p[i, c] + floor) - class_bias[c])``, where ``a_i``
    is the superpixel's area divided by the mean area (1 without `areas`). With areas a labeling's
    cost is its negative log-likelihood per pixel, up to a constant factor, so that merging or
    cutting superpixels does not change what a region costs.

    Parameters
    ----------
    probabilities : (n, C) array
        Class probabilities of each superpixel; rows sum to 1 up to 0.01 and are made to.
    areas : (n,) array, optional
        Area of each superpixel in pixels, greater than 0.
    floor : float
        Share of the uniform distribution mixed in, per class, in 0..1/C; it bounds the costs and
        must be above 0 if a probability is 0.
    class_bias : (C,) array, optional
        Added to the log-probability of each class, so that a positive bias makes it likelier.

    Returns
    -------
    (n, C) float64
        Finite costs.

    Raises
    ------
    InputError
        If the probabilities are not (n, C), not finite, negative, or do not sum to 1.
    InputError
        If the areas are not (n,) and greater than 0, or the bias not (C,) and finite.
    InputError
        If `floor` is out of range, or 0 while a probability is 0.

    Examples
    --------
    >>> unary_from_probabilities(np.array([[0.5, 0.5]]), floor=0.0).round(3)
    array([[0.693, 0.693]])
    """
    p = _check_probabilities(np.asarray(probabilities, dtype=np.float64))
    n, n_classes = p.shape
    if not 0 <= floor <= 1 / n_classes:
        raise InputError(f"floor must be in 0..1/{n_classes}, got {floor}")
    p = (1 - n_classes * floor) * p + floor
    if (p <= 0).any():
        raise InputError("a probability of 0 has no finite cost; set floor above 0")
    log_p = np.log(p)
    if class_bias is not None:
        class_bias = np.asarray(class_bias, dtype=np.float64)
        if class_bias.shape != (n_classes,):
            raise InputError(f"class_bias must be ({n_classes},), got shape {class_bias.shape}")
        check_finite(class_bias, "class_bias")
        log_p = log_p + class_bias
    costs: FloatArray = -log_p
    if areas is None:
        return costs
    areas = np.asarray(areas, dtype=np.float64)
    if areas.shape != (n,) or not (areas > 0).all() or not np.isfinite(areas).all():
        raise InputError(f"areas must be ({n},) numbers greater than 0, got shape {areas.shape}")
    costs = costs * (areas / areas.mean())[:, None]
    return costs


def region_probabilities(
    probabilities: Array, superpixels: IntArray, n_classes: int | None = None, where: str = ""
) -> FloatArray:
    """Average a network map, the class probabilities of pixels, over superpixels.

    Parameters
    ----------
    probabilities : (H, W, C) or (C, H, W) float array
        Class probabilities, each pixel's summing to 1 up to 0.01 (float16 and 8-bit maps pass).
        Which of the axes is the classes' is read from the superpixel map's size; if both fit,
        the last one.
    superpixels : (H, W) integer array
        Superpixel of each pixel, 0..n-1, every one used.
    n_classes : int, optional
        Number of classes that the map must have.
    where : str
        File or image that messages name.

    Returns
    -------
    (n, C) float64
        Rows sum to 1.

    Raises
    ------
    InputError
        If the map's size is not that of the superpixels, or its classes are not `n_classes`.
    InputError
        If a value is not finite or negative, or a pixel's values do not sum to 1.

    Examples
    --------
    >>> maps = np.array([[[0.75, 0.25], [0.25, 0.75]]])
    >>> region_probabilities(maps, np.array([[0, 0]]))
    array([[0.5, 0.5]])
    """
    superpixels = np.asarray(superpixels)
    count_superpixels(superpixels)
    prefix = f"{where}: " if where else ""
    size = superpixels.shape
    values = classes_last(np.asarray(probabilities), size, n_classes, where)
    if not np.issubdtype(values.dtype, np.floating):
        raise InputError(
            f"{prefix}a probability map must be of floats in 0..1, got {values.dtype}; divide "
            "8-bit maps by 255"
        )
    values = values.astype(np.float64)
    check_finite(values, "probability map", where)
    if (values < 0).any():
        raise InputError(
            f"{prefix}probabilities must be 0 or greater, found {values.min():.4g}; if these are "
            "scores (logits), apply a softmax over the classes first"
        )
    totals = values.sum(axis=2)
    worst = np.unravel_index(np.abs(totals - 1).argmax(), size)
    if abs(totals[worst] - 1) > _SUM_TOLERANCE:
        raise InputError(
            f"{prefix}each pixel's probabilities must sum to 1, those at row {worst[0]}, column "
            f"{worst[1]} sum to {totals[worst]:.4g}; divide by the sum, or apply a softmax to "
            "scores"
        )
    means = region_mean(values / totals[..., None], superpixels)
    rows: FloatArray = means / means.sum(axis=1, keepdims=True)
    return rows


def classes_last(
    probabilities: Array, size: tuple[int, int], n_classes: int | None = None, where: str = ""
) -> Array:
    """A network map with its classes as the last axis.

    Parameters
    ----------
    probabilities : (H, W, C) or (C, H, W) array
    size : (int, int)
        (H, W) of the image; if both axes fit, the classes are the last one.
    n_classes : int, optional
        What C must be; any by default.
    where : str
        File or image that messages name.

    Returns
    -------
    (H, W, C) array
        A view.

    Raises
    ------
    InputError
        If the map's size is not that of the image, or its classes are not `n_classes`.
    """
    prefix = f"{where}: " if where else ""
    wanted = "C" if n_classes is None else str(n_classes)
    expected = f"({size[0]}, {size[1]}, {wanted}) or ({wanted}, {size[0]}, {size[1]})"
    shape = probabilities.shape
    if probabilities.ndim != 3:
        raise InputError(f"{prefix}a probability map must be {expected}, got shape {shape}")
    if shape[:2] == size and n_classes in (None, shape[2]):
        return probabilities
    if shape[1:] == size and n_classes in (None, shape[0]):
        return np.moveaxis(probabilities, 0, -1)
    raise InputError(
        f"{prefix}a probability map must be {expected}, got shape {shape}; resize the "
        "map to its image and keep the classes in the order of the data set"
    )


# half-precision softmax of some 20 classes is off by less than 0.005
_SUM_TOLERANCE = 0.01


def _check_probabilities(p: FloatArray) -> FloatArray:
    if p.ndim != 2 or p.shape[1] == 0:
        raise InputError(f"probabilities must be (n, C), got shape {p.shape}")
    check_finite(p, "probabilities")
    if (p < 0).any():
        raise InputError(f"probabilities must be 0 or greater, found {p.min():.4g}")
    totals = p.sum(axis=1)
    if p.shape[0] and np.abs(totals - 1).max() > _SUM_TOLERANCE:
        worst = int(np.abs(totals - 1).argmax())
        raise InputError(
            f"rows of probabilities must sum to 1, row {worst} sums to {totals[worst]:.4g}"
        )
    rows: FloatArray = p / totals[:, None]
    return rows
