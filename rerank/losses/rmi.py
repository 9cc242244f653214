"""Region mutual information as a loss (Zhao et al. 2019)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rerank.errors import InputError
from rerank.losses.cross_entropy import soft_cross_entropy
from rerank.losses.downsample import DOWNSAMPLERS
from rerank.losses.pixel_target import check_choice, full_precision, prepare_target
from rerank.losses.region_loss import RegionLoss, RegionSettings

CROSS_ENTROPIES = ("binary", "softmax")
CLASS_REDUCTIONS = ("sum", "mean")


def rmi_loss(
    logits: Tensor,
    target: Tensor,
    ignore_index: int = 255,
    weights: Tensor | None = None,
    region_size: int = 3,
    factor: int = 4,
    pooling: str = "average",
    cross_entropy_weight: float = 0.5,
    cross_entropy: str = "binary",
    xi: float = 1e-6,
    prediction_ridge: float = 1e-12,
    dtype: torch.dtype = torch.float64,
    reduction: str = "sum",
) -> Tensor:
    """Cross-entropy plus the negative mutual information of regions, Zhao et al. 2019, Eq. 16.

    With lambda the weight of the cross-entropy:
    lambda L_ce + (1 - lambda) 1/B sum_b sum_c -I_l^{b,c}, where I_l (Eq. 10 to 15) bounds the
    mutual information between R x R regions of a class's truth and of its sigmoid probability,
    both downsampled, within one image.

    Parameters
    ----------
    logits : (B, C, H, W) floating tensor
        Each class is a sigmoid channel of its own.
    target, ignore_index, weights
        As in `soft_cross_entropy`. Downsampling averages (or interpolates, or takes the
        maximum) over the pixels of a cell that are not void, by their weights; a region with a
        cell of nothing but void is no point.
    region_size : int
        R, the side of a region in downsampled cells; points have R^2 coordinates.
    factor : int
        DF; 1 is no downsampling. Rows and columns beyond the last whole cell are left out.
    pooling : str
        ``"average"``, ``"maximum"`` or ``"interpolation"`` (bilinear for probabilities,
        nearest for labels).
    cross_entropy_weight : float in [0, 1]
        lambda; 0 is the sum of mutual information alone.
    cross_entropy : str
        ``"binary"``: of the sigmoid channels, summed over classes and averaged over pixels.
        ``"softmax"``: `soft_cross_entropy`.
    xi : float
        Added to the diagonal of M; 1e-6 in the paper.
    prediction_ridge : float
        Added to the diagonal of S_P, of which Eq. 13 takes the inverse although it is singular
        where a channel is constant.
    dtype : torch.dtype
        float64, as in the paper, or float32: the type in which regions are held and the gradient
        is worked out. Covariances, and the algebra of R^2 x R^2 matrices, are float64 either
        way; full-size maps keep the type of the logits (at least float32).
    reduction : str
        ``"sum"`` over classes, as Eq. 16, or ``"mean"``.

    Returns
    -------
    scalar tensor, float32 or float64
        Down to (1 - lambda) C log(xi) / 2, which is negative. The mean over images is over those
        that have a point; without any, as for images smaller than a region, the
        cross-entropy's part alone is left. A class that is absent from an image's truth gives
        M = 0, the constant I_l = -log(xi) / 2, and no gradient but the cross-entropy's.

    Raises
    ------
    InputError
        Shapes, labels, distributions or weights that do not fit (see `prepare_target`).
        `region_size` or `factor` is below 1, `xi` or `prediction_ridge` not positive, or
        `cross_entropy_weight` outside [0, 1].
        `pooling`, `cross_entropy`, `dtype` or `reduction` is unknown.

    Notes
    -----
    Against float64 throughout, on rough and on smooth logits of scale 0.2, 1 and 8, float32
    logits give a relative error below 1e-5 in the value and below 1e-4 in the gradient, with
    either `dtype` (largest measured: 4e-6 and 9e-6).

    Where a gradient is wanted it is computed along with the value, image by image, and is all
    that is kept for the backward pass. It cannot be differentiated a second time.

    Examples
    --------
    >>> import torch
    >>> target = torch.zeros(1, 24, 32, dtype=torch.long)
    >>> target[:, 6:18, 8:25] = 1
    >>> right = torch.stack([1.0 - target, target], dim=1) * 20 - 10
    >>> bool(rmi_loss(right, target) < rmi_loss(-right.flip(3), target))
    True
    """
    settings = _check_settings(
        region_size,
        factor,
        pooling,
        xi,
        prediction_ridge,
        dtype,
        cross_entropy_weight,
        cross_entropy,
        reduction,
    )
    ready = prepare_target(logits, target, ignore_index, weights)
    with full_precision(logits):
        n_classes = ready.logits.shape[1]
        share = (1.0 - cross_entropy_weight) / (n_classes if reduction == "mean" else 1)
        binary = cross_entropy_weight if cross_entropy == "binary" else 0.0
        parts: Tensor = RegionLoss.apply(ready.logits, ready, settings, binary, share, True)
        loss = parts.sum()
        if cross_entropy == "softmax" and cross_entropy_weight > 0.0:
            plain = soft_cross_entropy(logits, target, ignore_index, weights)
            loss = loss + cross_entropy_weight * plain
        return loss.to(ready.logits.dtype)


def region_mutual_information(
    logits: Tensor,
    target: Tensor,
    ignore_index: int = 255,
    weights: Tensor | None = None,
    region_size: int = 3,
    factor: int = 4,
    pooling: str = "average",
    xi: float = 1e-6,
    prediction_ridge: float = 1e-12,
    dtype: torch.dtype = torch.float64,
) -> Tensor:
    """I_l of Zhao et al. 2019, Eq. 15, for each image and class.

    Parameters and Raises as in `rmi_loss`.

    Returns
    -------
    (B, C) float64 tensor
        At most -log(xi) / 2, which an absent class has; 0 for an image without a point.
    """
    settings = _check_settings(region_size, factor, pooling, xi, prediction_ridge, dtype)
    ready = prepare_target(logits, target, ignore_index, weights)
    with full_precision(logits):
        information: Tensor = RegionLoss.apply(ready.logits, ready, settings, 0.0, -1.0, False)
        return information


class RMILoss(nn.Module):
    """`rmi_loss` as a module; see there for the parameters."""

    def __init__(
        self,
        ignore_index: int = 255,
        region_size: int = 3,
        factor: int = 4,
        pooling: str = "average",
        cross_entropy_weight: float = 0.5,
        cross_entropy: str = "binary",
        xi: float = 1e-6,
        prediction_ridge: float = 1e-12,
        dtype: torch.dtype = torch.float64,
        reduction: str = "sum",
    ) -> None:
        super().__init__()
        _check_settings(
            region_size,
            factor,
            pooling,
            xi,
            prediction_ridge,
            dtype,
            cross_entropy_weight,
            cross_entropy,
            reduction,
        )
        self.ignore_index = ignore_index
        self.region_size = region_size
        self.factor = factor
        self.pooling = pooling
        self.cross_entropy_weight = cross_entropy_weight
        self.cross_entropy = cross_entropy
        self.xi = xi
        self.prediction_ridge = prediction_ridge
        self.dtype = dtype
        self.reduction = reduction

    def forward(self, logits: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
        return rmi_loss(
            logits,
            target,
            self.ignore_index,
            weights,
            self.region_size,
            self.factor,
            self.pooling,
            self.cross_entropy_weight,
            self.cross_entropy,
            self.xi,
            self.prediction_ridge,
            self.dtype,
            self.reduction,
        )

    def extra_repr(self) -> str:
        return (
            f"region_size={self.region_size}, factor={self.factor}, "
            f"pooling={self.pooling!r}, cross_entropy_weight={self.cross_entropy_weight}, "
            f"cross_entropy={self.cross_entropy!r}, xi={self.xi}, dtype={self.dtype}"
        )


def _check_settings(
    region_size: int,
    factor: int,
    pooling: str,
    xi: float,
    prediction_ridge: float,
    dtype: torch.dtype,
    cross_entropy_weight: float = 0.0,
    cross_entropy: str = "binary",
    reduction: str = "sum",
) -> RegionSettings:
    check_choice(pooling, "pooling", tuple(DOWNSAMPLERS))
    check_choice(cross_entropy, "cross_entropy", CROSS_ENTROPIES)
    check_choice(reduction, "reduction", CLASS_REDUCTIONS)
    for value, name in ((region_size, "region_size"), (factor, "factor")):
        if value < 1 or int(value) != value:
            raise InputError(f"{name} must be a whole number of at least 1, got {value}")
    if dtype not in (torch.float64, torch.float32):
        raise InputError(f"dtype must be torch.float64 or torch.float32, got {dtype}")
    for size, name in ((xi, "xi"), (prediction_ridge, "prediction_ridge")):
        if not 0.0 < size < float("inf"):
            raise InputError(f"{name} must be positive and finite, got {size}")
    if not 0.0 <= cross_entropy_weight <= 1.0:
        raise InputError(f"cross_entropy_weight must lie in [0, 1], got {cross_entropy_weight}")
    return RegionSettings(int(region_size), int(factor), pooling, xi, prediction_ridge, dtype)
