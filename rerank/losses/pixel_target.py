"""Checks of logits and targets, and the one form in which the losses take them."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor

from rerank.errors import InputError


@dataclass(frozen=True, eq=False)
class PixelTarget:
    """Checked logits and target of one batch.

    Attributes
    ----------
    logits : (B, C, H, W) float32 or float64 tensor
        Half precision is widened to float32; the gradient flows back through the widening. Where
        a pixel that does not count holds NaN or infinity, 0 stands in its place.
    labels : (B, H, W) int64 tensor or None
        Labels, 0 where void; None where the target is a distribution.
    distribution : (B, C, H, W) tensor of the logits' dtype, or None
        The target where it is a distribution.
    weights : (B, H, W) tensor of the logits' dtype
        Weight of each pixel; 0 where it is void.
    """

    logits: Tensor
    labels: Tensor | None
    distribution: Tensor | None
    weights: Tensor

    def image(self, index: int) -> PixelTarget:
        """One image, as a batch of its own."""
        one = slice(index, index + 1)
        return PixelTarget(
            self.logits[one],
            None if self.labels is None else self.labels[one],
            None if self.distribution is None else self.distribution[one],
            self.weights[one],
        )

    def with_distribution(self) -> PixelTarget:
        """The same with the target as a distribution."""
        return PixelTarget(self.logits, None, self.as_distribution(), self.weights)

    def as_distribution(self) -> Tensor:
        """The target as (B, C, H, W) probabilities, of which those at void pixels mean nothing."""
        if self.distribution is not None:
            return self.distribution
        assert self.labels is not None
        one_hot = torch.zeros_like(self.logits, requires_grad=False)
        return one_hot.scatter_(1, self.labels.unsqueeze(1), 1.0)


def prepare_target(
    logits: Tensor, target: Tensor, ignore_index: int = 255, weights: Tensor | None = None
) -> PixelTarget:
    """Check logits, target and weights against each other and bring them into one form.

    Parameters
    ----------
    logits : (B, C, H, W) floating tensor
    target : (B, H, W) integer tensor or (B, C, H, W) floating tensor
        Labels, or a distribution over classes per pixel that sums to 1, or to 0 where void.
    ignore_index : int
        The label of void.
    weights : (B, H, W) tensor, optional
        At least 0.

    Returns
    -------
    PixelTarget

    Notes
    -----
    The logits of void pixels and of pixels of weight 0 may be anything, NaN and infinity too: they
    take part in no loss, and their gradient is 0.

    Raises
    ------
    InputError
        `logits` are not a (B, C, H, W) floating tensor.
        `target` is neither integer (B, H, W) nor floating (B, C, H, W).
        A label is neither in 0..C-1 nor `ignore_index`.
        A distribution is negative or not finite, or sums over classes to neither 1 nor 0.
        `weights` are not (B, H, W), or one is negative or not finite.
    """
    if logits.ndim != 4 or not logits.is_floating_point() or logits.shape[1] == 0:
        raise InputError(
            "logits must be a floating (B, C, H, W) tensor, got shape "
            f"{tuple(logits.shape)} of {logits.dtype}"
        )
    batch, n_classes, height, width = logits.shape
    pixels = (batch, height, width)
    wide = logits if logits.dtype == torch.float64 else logits.float()
    labels = distribution = None
    if not target.is_floating_point() and not target.is_complex():
        if target.shape != pixels:
            raise InputError(_shapes(logits, target))
        labels = target.long()
        seen = labels != ignore_index
        labels = labels * seen
        if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < n_classes:
            outside = (labels < 0) | (labels >= n_classes)
            found = ", ".join(str(int(v)) for v in labels[outside].unique()[:5])  # type: ignore[no-untyped-call]
            raise InputError(
                f"target labels must be 0..{n_classes - 1} for logits of {n_classes} classes, or "
                f"{ignore_index} (void); found {found}"
            )
        pixel_weights = seen.to(wide.dtype)
    else:
        if target.shape != logits.shape or target.is_complex():
            raise InputError(_shapes(logits, target))
        distribution = target.detach().to(wide.dtype)
        sums = distribution.sum(dim=1)
        tolerance = 2e-2 if target.dtype in (torch.float16, torch.bfloat16) else 1e-4
        # A NaN fails the comparison too.
        fits = ((sums - 1.0).abs() <= tolerance) | (sums == 0.0)
        if not bool(fits.all()) or bool((distribution < 0).any()):
            worst = sums[~fits][0].item() if not bool(fits.all()) else distribution.min().item()
            raise InputError(
                "a target distribution must be at least 0 and sum over its classes to 1, or to 0 "
                f"where a pixel is void; found {'a sum' if not bool(fits.all()) else 'a value'} "
                f"of {worst:.6g}"
            )
        pixel_weights = (sums > 0).to(wide.dtype)
    if weights is not None:
        if weights.shape != pixels:
            raise InputError(
                f"weights have shape {tuple(weights.shape)} and logits have shape "
                f"{tuple(logits.shape)}; weights must be {pixels}"
            )
        if not bool(((weights >= 0) & torch.isfinite(weights)).all()):
            raise InputError("weights must be finite and at least 0")
        pixel_weights = pixel_weights * weights.detach().to(wide.dtype)
    return PixelTarget(_without_void(wide, pixel_weights), labels, distribution, pixel_weights)


def _without_void(logits: Tensor, weights: Tensor) -> Tensor:
    """The logits, with 0 at the pixels that do not count where one of them is not finite."""
    # A weight of 0 is not enough: 0 * NaN is NaN. A sum is the cheapest look at all values.
    if bool(torch.isfinite(logits.detach().sum())):
        return logits
    return logits.masked_fill((weights == 0).unsqueeze(1), 0.0)


def full_precision(tensor: Tensor) -> AbstractContextManager[object]:
    """A context in which autocast does not narrow what is computed on the tensor's device."""
    return torch.autocast(tensor.device.type, enabled=False)


def check_choice(value: str, name: str, choices: tuple[str, ...]) -> None:
    """Refuse a setting that is not among its choices.

    Parameters
    ----------
    value : str
    name : str
        What the message calls it.
    choices : tuple of str

    Raises
    ------
    InputError
        If it is not, naming them.
    """
    if value not in choices:
        raise InputError(f"{name} must be one of {', '.join(choices)}; got {value!r}")


def _shapes(logits: Tensor, target: Tensor) -> str:
    batch, n_classes, height, width = logits.shape
    return (
        f"logits have shape {tuple(logits.shape)} and target has shape {tuple(target.shape)} of "
        f"{target.dtype}; expected integer labels {(batch, height, width)} or a floating "
        f"distribution {(batch, n_classes, height, width)}"
    )
