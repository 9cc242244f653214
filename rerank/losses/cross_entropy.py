"""Cross-entropy against labels or soft targets."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rerank.losses.pixel_target import check_choice, full_precision, prepare_target

REDUCTIONS = ("mean", "sum", "none")


def soft_cross_entropy(
    logits: Tensor,
    target: Tensor,
    ignore_index: int = 255,
    weights: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Cross-entropy between a target distribution per pixel and the softmax of the logits.

    Cogswell et al. 2014, section 3.1 (the baseline loss of SegNet); for labels it is the usual
    softmax cross-entropy (Zhao et al. 2019, Eq. 1).

    Parameters
    ----------
    logits : (B, C, H, W) floating tensor
    target : (B, H, W) integer tensor or (B, C, H, W) floating tensor
        Labels, with `ignore_index` for void; or a distribution over classes per pixel that sums
        to 1, or to 0 where the pixel is void.
    ignore_index : int
    weights : (B, H, W) tensor, optional
        Weight of each pixel, at least 0; for a soft target, say, the share of its cell that is
        labelled.
    reduction : str
        ``"mean"``: the weighted mean over pixels that are not void, 0 where all are void.
        ``"sum"``: the weighted sum. ``"none"``: the weighted loss of each pixel, (B, H, W).

    Returns
    -------
    scalar or (B, H, W) tensor, float32 or float64
        In nats. A class that is absent from the target takes part through the softmax alone.

    Raises
    ------
    InputError
        Shapes, labels, distributions or weights that do not fit (see `prepare_target`).
        `reduction` is unknown.

    Examples
    --------
    >>> import torch
    >>> logits = torch.zeros(1, 4, 2, 3)
    >>> target = torch.tensor([[[0, 1, 255], [2, 3, 3]]])
    >>> round(soft_cross_entropy(logits, target).exp().item(), 4)
    4.0
    """
    check_choice(reduction, "reduction", REDUCTIONS)
    ready = prepare_target(logits, target, ignore_index, weights)
    with full_precision(logits):
        if ready.labels is not None:
            losses = F.cross_entropy(ready.logits, ready.labels, reduction="none")
        else:
            assert ready.distribution is not None
            losses = -(ready.distribution * torch.log_softmax(ready.logits, dim=1)).sum(dim=1)
        losses = losses * ready.weights
        if reduction == "none":
            return losses
        total = losses.sum()
        if reduction == "sum":
            return total
        mass = ready.weights.sum()
        return total / torch.where(mass > 0, mass, torch.ones_like(mass))


class SoftCrossEntropyLoss(nn.Module):
    """`soft_cross_entropy` as a module.

    Parameters
    ----------
    ignore_index, reduction
        As in `soft_cross_entropy`.
    """

    def __init__(self, ignore_index: int = 255, reduction: str = "mean") -> None:
        super().__init__()
        check_choice(reduction, "reduction", REDUCTIONS)
        self.ignore_index = ignore_index
        self.reduction = reduction

    def forward(self, logits: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
        return soft_cross_entropy(logits, target, self.ignore_index, weights, self.reduction)

    def extra_repr(self) -> str:
        return f"ignore_index={self.ignore_index}, reduction={self.reduction!r}"
