"""Counts of hits and errors that have a gradient, from which a surrogate computes IoU."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rerank.losses.pixel_target import PixelTarget, check_choice, full_precision, prepare_target

COUNTS = ("probability", "hinge")
SCALES = ("union", "image")


@dataclass(frozen=True, eq=False)
class SurrogateCounts:
    """The inputs of the surrogate, and its right answers, for each image and class.

    Attributes
    ----------
    soft : (B, C, 3) tensor
        Scaled sums over the true positives, false positives and false negatives, through which
        the gradient flows.
    means : (B, C, 3) tensor
        Means over the same pixels, 0 where there are none, without gradient.
    iou_losses : (B, C) tensor
        1 - IoU, by Eq. 1 of the paper.
    present : (B, C) bool tensor
        Whether the class is in the image's truth or prediction; without it there is no IoU.
    """

    soft: Tensor
    means: Tensor
    iou_losses: Tensor
    present: Tensor

    def examples(self, n_inputs: int) -> tuple[Tensor, Tensor]:
        """Inputs (n, 3 or 6) and IoU losses (n,) of the n pairs that are present."""
        inputs = self.soft if n_inputs == 3 else torch.cat([self.soft, self.means], dim=2)
        return inputs[self.present], self.iou_losses[self.present]


def surrogate_counts(
    logits: Tensor,
    target: Tensor,
    ignore_index: int = 255,
    weights: Tensor | None = None,
    counts: str = "probability",
    scale: str = "union",
) -> SurrogateCounts:
    """Counts TP, FP and FN of each image and class, in a form that has a gradient.

    Nagendar et al. 2018, Eq. 2 (``"probability"``) and section 3.3 (``"hinge"``).

    Parameters
    ----------
    logits, target, ignore_index, weights
        As in `soft_cross_entropy`. Under a distribution, a pixel belongs to the true positives
        or false negatives of a class by its share, and to the false positives by the rest.
    counts : str
        ``"probability"``: sums of the softmax probability of the side that was predicted: that
        of the class over its true and false positives, one minus that over its false negatives.
        ``"hinge"``: sums of the multi-class hinge loss h = max(0, 1 + max_{j != y} z_j - z_y)
        over false positives and false negatives, and of 1 - h over true positives; then
        log(1 + sum), since h has no bound.
    scale : str
        What sums are divided by, so that the size of an image does not matter. ``"union"``: the
        pixels in the class's TP, FP and FN, which keeps small classes in the network's range.
        ``"image"``: the labelled pixels of the image.

    Returns
    -------
    SurrogateCounts

    Notes
    -----
    The paper does not say which probability is summed over false negatives. With that of the
    class itself, the sum grows with their number, the surrogate learns that more of it is
    worse, and descent pushes most false negatives away from their class; with the predicted
    side's, it has the effect that section 3.2 states. The same holds for 1 - h, the part of the
    margin up to 1, over true positives.

    Raises
    ------
    InputError
        Shapes, labels, distributions or weights that do not fit (see `prepare_target`).
        `counts` or `scale` is unknown.
    """
    check_choice(counts, "counts", COUNTS)
    check_choice(scale, "scale", SCALES)
    ready = prepare_target(logits, target, ignore_index, weights)
    with full_precision(logits):
        per_pixel = ready.weights.unsqueeze(1)
        truth = ready.as_distribution()
        winner = ready.logits.argmax(dim=1, keepdim=True)
        chosen = torch.zeros_like(truth).scatter_(1, winner, 1.0)
        masks = (
            truth * chosen * per_pixel,
            (1.0 - truth) * chosen * per_pixel,
            truth * (1.0 - chosen) * per_pixel,
        )
        sizes = torch.stack([mask.sum(dim=(2, 3)) for mask in masks], dim=2)
        measure = _probabilities if counts == "probability" else _hinges
        sums = torch.stack(
            [(mask * part).sum(dim=(2, 3)) for mask, part in zip(masks, measure(ready, winner))],
            dim=2,
        )
        unions = sizes.sum(dim=2)
        present = unions > 0
        safe_unions = torch.where(present, unions, torch.ones_like(unions))
        divisors = safe_unions
        if scale == "image":
            divisors = ready.weights.sum(dim=(1, 2))[:, None].expand_as(unions)
            divisors = torch.where(present, divisors, torch.ones_like(unions))
        soft = sums / divisors.unsqueeze(2)
        means = sums.detach() / torch.where(sizes > 0, sizes, torch.ones_like(sizes))
        if counts == "hinge":
            soft, means = torch.log1p(soft), torch.log1p(means)
        return SurrogateCounts(soft, means, 1.0 - sizes[..., 0] / safe_unions, present)


def draw_examples(
    n: int, n_inputs: int, counts: str, scale: str, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw counts at random, with their exact IoU losses.

    Shares of TP, FP and FN are uniform on their simplex, one in ten of each set to 0; means are
    drawn from the ranges that probabilities and hinge losses of such pixels take.

    Parameters
    ----------
    n : int
    n_inputs : int
        3 or 6.
    counts, scale : str
        As in `surrogate_counts`.
    generator : torch.Generator

    Returns
    -------
    inputs : (n, n_inputs) float32 tensor
    losses : (n,) float32 tensor
    """
    sizes = -torch.log(1.0 - torch.rand(n, 3, generator=generator))
    sizes = sizes * (torch.rand(n, 3, generator=generator) > 0.1)
    sizes[sizes.sum(dim=1) == 0, 0] = 1.0
    sizes = sizes / sizes.sum(dim=1, keepdim=True)
    uniform = torch.rand(n, 3, generator=generator)
    if counts == "probability":
        means = 0.3 + 0.7 * uniform
    else:
        means = torch.cat([uniform[:, :1], 1.0 - 3.0 * torch.log(1.0 - uniform[:, 1:])], dim=1)
    losses = 1.0 - sizes[:, 0]
    soft = sizes * means
    if scale == "image":
        soft = soft * torch.exp(-7.0 * torch.rand(n, 1, generator=generator))
    means = means * (sizes > 0)
    inputs = soft if n_inputs == 3 else torch.cat([soft, means], dim=1)
    return (torch.log1p(inputs) if counts == "hinge" else inputs), losses


def _probabilities(ready: PixelTarget, winner: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    probability = torch.softmax(ready.logits, dim=1)
    return probability, probability, 1.0 - probability


def _hinges(ready: PixelTarget, winner: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Per pixel and class: 1 - h if it is a true positive, h if it is a false one or missed."""
    logits = ready.logits
    best = logits.gather(1, winner)
    runner_up = (
        logits.scatter(1, winner, -torch.inf).amax(dim=1, keepdim=True)
        if logits.shape[1] > 1
        else best - 1.0
    )
    truth = ready.as_distribution()
    hit = (best - runner_up).clamp(max=1.0).expand_as(logits)
    # Of the true classes other than k, by their shares; for labels it is 1 + z_k - z_y.
    others = (truth * logits).sum(dim=1, keepdim=True) - truth * logits
    false_hit = 1.0 + logits - others / torch.where(truth < 1.0, 1.0 - truth, 1.0)
    missed = 1.0 + best - logits
    return hit, false_hit, missed
