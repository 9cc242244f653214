"""Binary cross-entropy and region mutual information of a batch, with their gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from rerank.errors import InputError
from rerank.losses.downsample import DOWNSAMPLERS, Downsampler
from rerank.losses.mutual_information import complete_regions, region_information
from rerank.losses.pixel_target import PixelTarget, check_choice

# Beyond this log(1 + exp(z)) is z in float64, and exp(z) no infinity in float32.
_SOFTPLUS_IS_LINEAR = 60.0


RIDGE_SCALES = ("mean", "sum")


@dataclass(frozen=True)
class RegionSettings:
    """How maps are downsampled and the information of their regions is computed.

    Attributes
    ----------
    pooling : str
        ``"average"``, ``"maximum"`` or ``"interpolation"`` (bilinear for probabilities,
        nearest for labels).
    xi : float
        Added to the diagonal of M; 1e-6 in the paper.
    prediction_ridge : float
        Added to the diagonal of S_P, of which Eq. 13 takes the inverse although it is singular
        where a channel is constant. The paper has no such term. Our default 1e-12 makes the
        inverse finite and changes little else, so that I_l does not see how large a class's
        probabilities are: it is the same for those at 0.8 and at 1e-4. A ridge near the variance
        of the maps, 1e-5 to 1e-3, does see it.
    ridge_scale : str
        What the ridge is added to: ``"mean"``, the covariance, which is a mean over the N points,
        or ``"sum"``, the sum over the points, which is the ridge / N on the covariance. The
        authors' code adds 5e-4 to the sums (to that of S_P and, in xi's place, to that of M).
    dtype : torch.dtype
        float64, as in the paper, or float32: the type in which regions are stored and the
        gradient is computed. Covariances, and the algebra of R^2 x R^2 matrices, are float64
        either way; full-size maps keep the type of the logits (at least float32).

    Raises
    ------
    InputError
        If `pooling`, `ridge_scale` or `dtype` is unknown.
    InputError
        If `xi` or `prediction_ridge` is not positive and finite.
    """

    pooling: str = "average"
    xi: float = 1e-6
    prediction_ridge: float = 1e-12
    ridge_scale: str = "mean"
    dtype: torch.dtype = torch.float64

    def __post_init__(self) -> None:
        check_choice(self.pooling, "pooling", tuple(DOWNSAMPLERS))
        check_choice(self.ridge_scale, "ridge_scale", RIDGE_SCALES)
        if self.dtype not in (torch.float64, torch.float32):
            raise InputError(f"dtype must be torch.float64 or torch.float32, got {self.dtype}")
        for size, name in ((self.xi, "xi"), (self.prediction_ridge, "prediction_ridge")):
            if not 0.0 < size < float("inf"):
                raise InputError(f"{name} must be positive and finite, got {size}")


@dataclass(frozen=True)
class Regions:
    """Regions of size x size cells, of factor x factor pixels each.

    Attributes
    ----------
    size, factor : int
        At least 1.
    settings : RegionSettings

    Raises
    ------
    InputError
        If `size` or `factor` is below 1 or no whole number.
    """

    size: int
    factor: int
    settings: RegionSettings

    def __post_init__(self) -> None:
        for value, name in ((self.size, "region_size"), (self.factor, "factor")):
            if value < 1 or int(value) != value:
                raise InputError(f"{name} must be a whole number of at least 1, got {value}")


class RegionLoss(torch.autograd.Function):
    """binary * (binary cross-entropy) - share * I_l of each image and class, as (B, C).

    Images are computed one at a time, so that full-size temporaries are those of one image. With
    `over_images`, `share` is divided by the number of images that have a region.
    """

    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        ready: PixelTarget,
        regions: Regions,
        binary: float,
        share: float,
        over_images: bool,
    ) -> Tensor:
        batch, n_classes, height, width = logits.shape
        parts = torch.empty(batch, n_classes, dtype=torch.float64, device=logits.device)
        gradient = torch.empty_like(logits) if ctx.needs_input_grad[0] else None
        plain = bool((ready.weights == 1).all())
        make = DOWNSAMPLERS[regions.settings.pooling]
        size, factor = int(regions.size), int(regions.factor)
        samplers = [
            make(factor, height, width, None if plain else ready.weights[b], logits)
            for b in range(batch)
        ]
        has_point = [bool(complete_regions(s.valid, size).any()) for s in samplers]
        if over_images:
            share /= max(sum(has_point), 1)
        mass = ready.weights.sum()
        per_pixel = binary / torch.where(mass > 0, mass, torch.ones_like(mass))
        zero_or_one = plain or bool(((ready.weights == 0) | (ready.weights == 1)).all())
        if not zero_or_one:
            ready = ready.with_distribution()
        for b in range(batch):
            into = None if gradient is None else gradient[b]
            parts[b] = _image_loss(
                ready.image(b), samplers[b], regions, share * has_point[b], per_pixel, into
            )
        if gradient is not None:
            ctx.save_for_backward(gradient)
        return parts

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_parts: Tensor) -> Any:
        (gradient,) = ctx.saved_tensors
        if not bool((by_parts == 1).all()):
            gradient = gradient * by_parts.to(gradient.dtype)[:, :, None, None]
        return gradient, None, None, None, None, None


def _image_loss(
    image: PixelTarget,
    sampler: Downsampler,
    regions: Regions,
    share: float,
    per_pixel: Tensor,
    into: Tensor | None,
) -> Tensor:
    """The (C,) parts of a batch of one; its (C, H, W) gradient is written to `into`."""
    logits, weights = image.logits[0], image.weights[0] * per_pixel
    settings = regions.settings
    probability = torch.sigmoid(logits)

    # The sum over pixels comes last: its two terms can be large and nearly equal.
    entropies = F.softplus(logits, threshold=_SOFTPLUS_IS_LINEAR)
    _subtract_at_truth(entropies, image, logits)
    parts = entropies.mul_(weights).sum(dim=(1, 2)).double()
    del entropies
    if share != 0.0:
        if image.distribution is not None:
            truth = sampler.down_target(image.distribution[0])
        else:
            assert image.labels is not None
            truth = sampler.down_labels(image.labels[0], len(logits))
        information = region_information(
            sampler.down(probability).to(settings.dtype),
            truth.to(settings.dtype),
            sampler.valid,
            int(regions.size),
            settings.xi,
            _ridge(settings, sampler.valid, int(regions.size)),
            with_gradient=into is not None,
        )
        parts -= share * information.values
    if into is None:
        return parts
    if share != 0.0:
        assert information.gradient is not None
        sampler.up(information.gradient.mul_(-share).to(into.dtype), into)
        into.addcmul_(into, probability, value=-1.0).add_(weights).mul_(probability)
    else:
        torch.mul(probability, weights, out=into)
    _subtract_at_truth(into, image, weights)
    return parts


def _ridge(settings: RegionSettings, valid: Tensor, size: int) -> float:
    """What is added to the diagonal of the covariance S_P."""
    if settings.ridge_scale == "mean":
        return settings.prediction_ridge
    return settings.prediction_ridge / max(int(complete_regions(valid, size).sum()), 1)


def _subtract_at_truth(maps: Tensor, image: PixelTarget, amounts: Tensor) -> None:
    """Take p `amounts`, p being the target distribution, from (C, H, W) maps in place.

    `amounts` are (C, H, W), or (H, W) where they are the same for all classes.
    """
    if image.distribution is not None:
        maps.addcmul_(image.distribution[0], amounts, value=-1.0)
        return
    assert image.labels is not None
    own = amounts.gather(0, image.labels) if amounts.ndim == 3 else amounts.unsqueeze(0)
    maps.scatter_add_(0, image.labels, -own)
