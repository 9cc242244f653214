"""The fully connected CRF of Krähenbühl and Koltun 2011, by mean field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch

from rerank.errors import InputError
from rerank.layers.image_lattice import (
    Deviations,
    LatticeCache,
    bilateral_lattice,
    position_lattice,
)
from rerank.layers.lattice import PermutohedralLattice
from rerank.types import Array, BoolArray

Maps = TypeVar("Maps", torch.Tensor, Array)
Compatibility = float | Sequence[float] | Array | torch.Tensor

_NORMALIZATIONS = ("symmetric", "before", "after", "none")


def _check_normalization(normalization: str) -> None:
    if normalization not in _NORMALIZATIONS:
        raise InputError(
            f"normalization must be one of {', '.join(_NORMALIZATIONS)}, got {normalization!r}"
        )


@dataclass(frozen=True)
class GaussianKernel:
    """A Gaussian of the distance of two pixels, times what their labels cost.

    The names that pydensecrf has are given in brackets.

    Attributes
    ----------
    position_std : float or (x, y)
        Standard deviations of the positions, in pixels (``sxy``).
    compatibility : float, (L,) or (L, L)
        (``compat``) A number w smooths by the Potts model: equal labels gain w. A vector or
        matrix is the cost that two labels incur: the vector for equal labels only, so that
        negative numbers smooth; a matrix is made symmetric by its mean with its transpose. 0
        leaves the term out.
    normalization : "symmetric", "before", "after" or "none"
        How the kernel is divided by its row sums: D^(-1/2) K D^(-1/2), K D^(-1), D^(-1) K, or
        not at all.

    Raises
    ------
    InputError
        If `normalization` is unknown.
    """

    position_std: Deviations = 3.0
    compatibility: Compatibility = 3.0
    normalization: str = "symmetric"

    def __post_init__(self) -> None:
        _check_normalization(self.normalization)


@dataclass(frozen=True)
class BilateralKernel:
    """A Gaussian of the distance and colours of two pixels, times what their labels cost.

    Attributes
    ----------
    position_std : float or (x, y)
        Standard deviations of the positions, in pixels (``sxy``).
    colour_std : float or (C,)
        Standard deviations of the colours, in units of the image (``srgb``).
    compatibility, normalization
        As in `GaussianKernel`.

    Raises
    ------
    InputError
        If `normalization` is unknown.
    """

    position_std: Deviations = 80.0
    colour_std: Deviations = 13.0
    compatibility: Compatibility = 10.0
    normalization: str = "symmetric"

    def __post_init__(self) -> None:
        _check_normalization(self.normalization)


@dataclass(frozen=True)
class UnaryFromSoftmax:
    """How probabilities become unary costs, as pydensecrf's ``unary_from_softmax``.

    Attributes
    ----------
    scale : float
        Certainty of the probabilities, in (0, 1]: they are mixed with ``1 - scale`` of the
        uniform distribution.
    clip : float
        Smallest probability before the logarithm, in (0, 1).

    Raises
    ------
    InputError
        If a number is out of its range.
    """

    scale: float = 1.0
    clip: float = 1e-5

    def __post_init__(self) -> None:
        if not 0 < self.scale <= 1:
            raise InputError(f"scale must be in (0, 1], got {self.scale}")
        if not 0 < self.clip < 1:
            raise InputError(f"clip must be in (0, 1), got {self.clip}")

    def log_probabilities(self, rows: torch.Tensor) -> torch.Tensor:
        """Minus the unary costs of probabilities (N, L)."""
        if self.scale < 1:
            rows = self.scale * rows + (1 - self.scale) / rows.shape[1]
        return rows.clamp(self.clip, 1.0).log()


def dense_crf(
    probabilities: Maps,
    image: torch.Tensor | Array,
    *,
    n_iterations: int = 5,
    gaussian: GaussianKernel = GaussianKernel(),
    bilateral: BilateralKernel = BilateralKernel(),
    unary: UnaryFromSoftmax = UnaryFromSoftmax(),
    valid: torch.Tensor | Array | None = None,
    cache: LatticeCache | None = None,
) -> Maps:
    """Refine per-pixel class probabilities by a fully connected CRF.

    The energy couples every two pixels by a Gaussian of their distance and by one of their
    distance and colours (Krähenbühl and Koltun 2011, Eq. 3); mean field (their Algorithm 1) runs
    on permutohedral lattices. The settings, their defaults and the meaning of the
    compatibilities are those of pydensecrf: ``unary_from_softmax``, ``addPairwiseGaussian``,
    ``addPairwiseBilateral`` and ``inference(n_iterations)``, with the diagonal kernel. As there,
    a pixel's own value is part of the sum that reaches it.

    Gradients flow to `probabilities`. Images of a batch are independent.

    Parameters
    ----------
    probabilities : tensor or array (B, L, H, W) or (L, H, W)
        Class probabilities, not negative; only their ratios within a pixel matter. Half
        precision is computed in float32.
    image : tensor (B, C, H, W) or (C, H, W), or array (B, H, W, C) or (H, W, C)
        Channels first for a tensor, last for an array, as is usual for either; values from 0
        to 255 for the default `BilateralKernel.colour_std`, of any type. Give it as a tensor if
        and only if `probabilities` is one.
    n_iterations : int
        Steps of mean field; 0 returns the clipped probabilities, normalised.
    gaussian : GaussianKernel
    bilateral : BilateralKernel
    unary : UnaryFromSoftmax
    valid : tensor or array (B, H, W) or (H, W), bool, optional
        Pixels that take part. The others (void, padding) influence nothing, whatever they hold,
        and keep their probabilities. None is all pixels.
    cache : LatticeCache, optional
        Keeps the lattices between calls.

    Returns
    -------
    tensor or array
        Probabilities after the last step: shape, type and device of `probabilities`. A class
        that is nowhere likely stays so; none is added or dropped.

    Raises
    ------
    InputError
        If shapes do not fit, naming both.
    InputError
        If a valid probability is negative or not finite, or a valid colour is not finite.
    InputError
        If `n_iterations` is negative, a standard deviation not positive, or a compatibility not
        finite.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.zeros((4, 6, 3), np.uint8)
    >>> image[:, 3:] = 255
    >>> foreground = np.where(image[..., 0] > 0, 0.7, 0.3)
    >>> foreground[1, 4] = 0.4
    >>> refined = dense_crf(np.stack([1 - foreground, foreground]), image)
    >>> refined.argmax(axis=0)
    array([[0, 0, 0, 1, 1, 1],
           [0, 0, 0, 1, 1, 1],
           [0, 0, 0, 1, 1, 1],
           [0, 0, 0, 1, 1, 1]])
    """
    if n_iterations < 0:
        raise InputError(f"n_iterations must be at least 0, got {n_iterations}")
    batch = _batch(probabilities, image, valid)
    n_labels = batch.probabilities.shape[1]
    costs = [
        _cost(gaussian.compatibility, n_labels, "gaussian"),
        _cost(bilateral.compatibility, n_labels, "bilateral"),
    ]
    computed = batch.probabilities
    if computed.dtype != torch.float64:
        computed = computed.float()
    refined = []
    for maps, picture, mask in zip(computed, batch.images, batch.valid):
        if not mask.any():
            refined.append(maps)
            continue
        pixels = None if mask.all() else torch.from_numpy(np.flatnonzero(mask)).to(maps.device)
        flat = maps.flatten(1).T
        rows = (flat if pixels is None else flat[pixels]).contiguous()
        _check_probabilities(rows)
        kernels = []
        if costs[0] is not None:
            lattice = position_lattice(mask, gaussian.position_std, cache=cache)
            kernels.append(_LabelKernel(lattice, costs[0].to(rows), gaussian.normalization))
        if costs[1] is not None:
            lattice = bilateral_lattice(
                picture, mask, bilateral.position_std, bilateral.colour_std, cache=cache
            )
            kernels.append(_LabelKernel(lattice, costs[1].to(rows), bilateral.normalization))
        rows = _mean_field(unary.log_probabilities(rows), kernels, n_iterations)
        flat = rows if pixels is None else flat.index_copy(0, pixels, rows)
        refined.append(flat.T.reshape(maps.shape))
    result = torch.stack(refined).to(batch.probabilities.dtype)
    result = result if batch.has_batch else result[0]
    if isinstance(probabilities, torch.Tensor):
        return result
    return result.numpy()


def _mean_field(
    log_unary: torch.Tensor, kernels: list[_LabelKernel], n_iterations: int
) -> torch.Tensor:
    """Krähenbühl and Koltun 2011, Algorithm 1, on rows (N, L)."""
    rows = _softmax(log_unary)
    for _ in range(n_iterations):
        scores = log_unary
        for kernel in kernels:
            scores = kernel.onto(scores, rows)
        rows = _softmax(scores)
    return rows


def _softmax(rows: torch.Tensor) -> torch.Tensor:
    # On the CPU torch takes a slow path where the last dimension has fewer than 16 entries:
    # 32 ms for 172800 x 11, against 9 ms by way of the transpose.
    if rows.device.type == "cpu" and rows.shape[1] < 16:
        return rows.T.contiguous().softmax(dim=0).T.contiguous()
    return rows.softmax(dim=1)


class _LabelKernel:
    """One pairwise term: a Gaussian on a lattice times a label compatibility (cost)."""

    def __init__(
        self, lattice: PermutohedralLattice, cost: torch.Tensor, normalization: str
    ) -> None:
        self._into = self._out = lattice
        if normalization == "symmetric":
            self._into = self._out = lattice.normalized()
        elif normalization == "before":
            self._into = lattice.scaled(1 / lattice.row_sums())
        elif normalization == "after":
            self._out = lattice.scaled(1 / lattice.row_sums())
        self._gain = -cost

    def onto(self, scores: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Add to the scores (N, L) what each label gains each pixel from the rows (N, L).

        Labels mix on the lattice, which has fewer points than the image.
        """
        blurred = self._into.blur(self._into.splat(rows))
        mixed = blurred @ self._gain if self._gain.dim() == 2 else blurred * self._gain
        return self._out.slice(mixed, base=scores)


@dataclass(frozen=True)
class _Batch:
    probabilities: torch.Tensor
    images: Array
    valid: BoolArray
    has_batch: bool


def _batch(probabilities: Any, image: Any, valid: Any) -> _Batch:
    """Bring tensors and arrays, one image or many, to one form: images (B, H, W, C) on the CPU."""
    is_tensor = isinstance(probabilities, torch.Tensor)
    if is_tensor != isinstance(image, torch.Tensor):
        raise InputError(
            "probabilities and image must both be tensors or both be arrays, got "
            f"{type(probabilities).__name__} and {type(image).__name__}"
        )
    maps = probabilities if is_tensor else torch.from_numpy(np.asarray(probabilities))
    if maps.dim() not in (3, 4) or not maps.is_floating_point():
        raise InputError(
            "probabilities must be (B, L, H, W) or (L, H, W) and floating point, "
            f"got {tuple(maps.shape)} of {maps.dtype}"
        )
    has_batch = maps.dim() == 4
    pixels = image.detach().cpu().numpy() if is_tensor else np.asarray(image)
    shape = tuple(pixels.shape)
    maps = maps if has_batch else maps[None]
    pixels = pixels if has_batch else pixels[None]
    if is_tensor and pixels.ndim == 4:
        pixels = pixels.transpose(0, 2, 3, 1)
    grid = (maps.shape[0], *maps.shape[2:])
    if pixels.ndim != 4 or pixels.shape[:3] != grid or 0 in maps.shape or 0 in pixels.shape:
        order = "(B, C, H, W) or (C, H, W)" if is_tensor else "(B, H, W, C) or (H, W, C)"
        raise InputError(
            f"image must be {order} and fit probabilities of shape "
            f"{tuple(probabilities.shape)}, got {shape}"
        )
    if valid is None:
        mask = np.ones(grid, dtype=bool)
    else:
        mask = valid.cpu().numpy() if isinstance(valid, torch.Tensor) else np.asarray(valid)
        mask = mask if has_batch else mask[None]
    if mask.dtype != np.bool_ or mask.shape != grid:
        raise InputError(
            f"valid must be bool and of shape {grid if has_batch else grid[1:]}, "
            f"got {mask.dtype} of {mask.shape if has_batch else mask.shape[1:]}"
        )
    return _Batch(maps, pixels, mask, has_batch)


def _cost(given: Compatibility, n_labels: int, name: str) -> torch.Tensor | None:
    """A compatibility as a cost: a number, (L,) or a symmetric (L, L); None for no term."""
    cost = torch.as_tensor(given, dtype=torch.float64)
    if tuple(cost.shape) not in ((), (n_labels,), (n_labels, n_labels)):
        raise InputError(
            f"{name} compatibility must be a number, ({n_labels},) or ({n_labels}, {n_labels}) "
            f"for {n_labels} labels, got {tuple(cost.shape)}"
        )
    if not torch.isfinite(cost).all():
        raise InputError(f"{name} compatibility must be finite, got {given!r}")
    if not cost.any():
        return None
    if cost.dim() == 0:
        return -cost
    return cost if cost.dim() == 1 else (cost + cost.T) / 2


def _check_probabilities(rows: torch.Tensor) -> None:
    least, most = torch.aminmax(rows)
    if not (least >= 0 and torch.isfinite(most)):
        bad = rows[~(torch.isfinite(rows) & (rows >= 0))]
        raise InputError(
            f"probabilities of valid pixels must be finite and not negative; "
            f"{len(bad)} are not, the first is {bad[0].item()}"
        )
