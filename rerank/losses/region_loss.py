"""Binary cross-entropy and region mutual information of a batch, with their gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from rerank.losses.downsample import DOWNSAMPLERS, Downsampler
from rerank.losses.pixel_target import PixelTarget
from rerank.losses.mutual_information import complete_regions, region_information

# Beyond this log(1 + exp(z)) is z in float64, and exp(z) no infinity in float32.
_SOFTPLUS_IS_LINEAR = 60.0


@dataclass(frozen=True)
class RegionSettings:
    """What `region_information` and the downsampling before it are to do; see `rmi_loss`."""

    region_size: int
    factor: int
    pooling: str
    xi: float
    prediction_ridge: float
    dtype: torch.dtype


class RegionLoss(torch.autograd.Function):
    """binary * (binary cross-entropy) - share * I_l of each image and class, as (B, C).

    Images are worked through one at a time, so that full-size temporaries are those of one.
    """

    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        ready: PixelTarget,
        settings: RegionSettings,
        binary: float,
        share: float,
        over_images: bool,
    ) -> Tensor:
        batch, n_classes, height, width = logits.shape
        parts = torch.empty(batch, n_classes, dtype=torch.float64, device=logits.device)
        gradient = torch.empty_like(logits) if ctx.needs_input_grad[0] else None
        plain = bool((ready.weights == 1).all())
        make = DOWNSAMPLERS[settings.pooling]
        samplers = [
            make(settings.factor, height, width, None if plain else ready.weights[b], logits)
            for b in range(batch)
        ]
        has_point = [bool(complete_regions(s.valid, settings.region_size).any()) for s in samplers]
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
                ready.image(b), samplers[b], settings, share * has_point[b], per_pixel, into
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
    settings: RegionSettings,
    share: float,
    per_pixel: Tensor,
    into: Tensor | None,
) -> Tensor:
    """The (C,) parts of a batch of one; its (C, H, W) gradient is written to `into`."""
    logits, weights = image.logits[0], image.weights[0] * per_pixel
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
            settings.region_size,
            settings.xi,
            settings.prediction_ridge,
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
