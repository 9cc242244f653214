"""Expected intersection over union, and union over intersection, as losses."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rerank.errors import InputError
from rerank.losses.corpus_counts import CorpusCounts
from rerank.losses.cross_entropy import REDUCTIONS
from rerank.losses.pixel_target import check_choice, full_precision, prepare_target

ABSENT = ("skip", "zero")


@dataclass(frozen=True, eq=False)
class ExpectedCounts:
    """Expected counts per class over a batch, in (weighted) pixels.

    Attributes
    ----------
    intersections : (C,) tensor
        Cogswell et al. 2014, Eq. 24.
    unions : (C,) tensor
        Eq. 28.
    masses : (C,) tensor
        Target mass, sum of p; 0 where a class is absent from the target.
    """

    intersections: Tensor
    unions: Tensor
    masses: Tensor


def expected_counts(
    logits: Tensor,
    target: Tensor,
    ignore_index: int = 255,
    weights: Tensor | None = None,
    leak: float = 0.0,
) -> ExpectedCounts:
    """Expected intersection and union of the softmax of the logits with the target.

    Cogswell et al. 2014, supplement, Eq. 20, 24 and 28: with p-hat the softmax and p the
    target, sums over pixels of p-hat p and of p-hat + p - p-hat p.

    Parameters
    ----------
    logits, target, ignore_index, weights
        As in `soft_cross_entropy`.
    leak : float in [0, 1)
        p-hat = (1 - leak) softmax + leak / C, so that no soft output is 0 (section 3.2 asks for
        that). 0 is the plain softmax.

    Returns
    -------
    ExpectedCounts

    Raises
    ------
    InputError
        Shapes, labels, distributions or weights that do not fit (see `prepare_target`).
        `leak` is out of range.
    """
    if not 0.0 <= leak < 1.0:
        raise InputError(f"leak must lie in [0, 1), got {leak}")
    ready = prepare_target(logits, target, ignore_index, weights)
    with full_precision(logits):
        predicted = torch.softmax(ready.logits, dim=1)
        if leak > 0.0:
            predicted = (1.0 - leak) * predicted + leak / logits.shape[1]
        weighted = ready.as_distribution() * ready.weights.unsqueeze(1)
        axes = (0, 2, 3)
        intersections = (predicted * weighted).sum(dim=axes)
        masses = weighted.sum(dim=axes)
        footprint = (predicted * ready.weights.unsqueeze(1)).sum(dim=axes)
        return ExpectedCounts(intersections, footprint + masses - intersections, masses)


def expected_iou_loss(
    logits: Tensor,
    target: Tensor,
    ignore_index: int = 255,
    weights: Tensor | None = None,
    absent: str = "skip",
    leak: float = 0.0,
    reduction: str = "mean",
    counts: CorpusCounts | None = None,
) -> Tensor:
    """One minus the mean over classes of expected intersection over expected union.

    Cogswell et al. 2014, Eq. 2 and supplement, Eq. 47. Eq. 47 is a gain, the sum over classes
    of E[I] / E[U]; the loss here is 1 minus its mean, so that ``reduction="sum"`` is the number
    of classes less Eq. 47, and its gradient by the logits is minus Eq. 59.

    Parameters
    ----------
    logits, target, ignore_index, weights
        As in `soft_cross_entropy`.
    absent : str
        What a class does that is absent from the target. ``"skip"``: it is left out. ``"zero"``:
        it counts as IoU 0, a constant (its E[I] is 0), so that the mean is over all C classes.
        Either way its probability is pushed down through the unions it takes pixels from.
    leak : float in [0, 1)
        See `expected_counts`.
    reduction : str
        ``"mean"`` or ``"sum"`` over the classes that count, or ``"none"``: (C,), with 0 for a
        class that does not count. Without any such class (all void) the loss is 0.
    counts : CorpusCounts, optional
        Adds the batch to running sums and takes the ratio of those; a class is then absent if
        it is absent from the sums.

    Returns
    -------
    scalar or (C,) tensor, float32 or float64

    Notes
    -----
    The closed forms Eq. 57 and 59 are right, and this gradient agrees with them. The printed
    steps that lead to them are not: in Eq. 49, and from 54 on, the chain rule pairs a derivative
    by p-hat of class k with the derivative of another class's p-hat. The sum must run over k' of
    d/d p-hat_{i,k'} (E[I_k'] / E[U_k']) times d p-hat_{i,k'} / d z_{i,k}. Read literally, with
    d p-hat_{i,k'} / d p-hat_{i,k} = [k = k'] in Eq. 52 to 55, only the term k' = k would be left,
    and the coupling of classes by the softmax lost. (Eq. 56 also prints z-hat for z.)

    Raises
    ------
    InputError
        Shapes, labels, distributions or weights that do not fit (see `prepare_target`).
        `absent` or `reduction` is unknown, or `leak` out of range.
        `counts` are for another number of classes.

    Examples
    --------
    >>> import torch
    >>> logits = torch.tensor([[[[20.0, -20.0]], [[-20.0, 20.0]]]])
    >>> round(expected_iou_loss(logits, torch.tensor([[[0, 1]]])).item(), 4)
    0.0
    """
    check_choice(absent, "absent", ABSENT)
    check_choice(reduction, "reduction", REDUCTIONS)
    batch = expected_counts(logits, target, ignore_index, weights, leak)
    with full_precision(logits):
        intersections, unions, masses = _over(batch, counts)
        nothing = masses.sum() == 0
        counted = masses > 0 if absent == "skip" else ~nothing.expand_as(masses)
        # A union underflows to 0 only where the class is absent.
        ratios = intersections / torch.where(unions > 0, unions, torch.ones_like(unions))
        losses = torch.where(counted, 1.0 - ratios, torch.zeros_like(ratios))
        return _reduce(losses, counted, reduction).to(batch.unions.dtype)


def expected_uoi_loss(
    logits: Tensor,
    target: Tensor,
    ignore_index: int = 255,
    weights: Tensor | None = None,
    leak: float = 0.0,
    reduction: str = "mean",
    counts: CorpusCounts | None = None,
) -> Tensor:
    """Mean over classes of expected union over expected intersection.

    Cogswell et al. 2014, Eq. 6 and supplement, Eq. 60, of which ``reduction="sum"`` is the sum
    as printed, with the gradient of Eq. 67. The smallest value of each class is 1.

    Parameters
    ----------
    logits, target, ignore_index, weights, leak
        As in `expected_iou_loss`.
    reduction : str
        ``"mean"`` or ``"sum"`` over the classes that are in the target, or ``"none"``: (C,),
        with 0 for the others. Without any such class (all void) the loss is 0. A class that is
        absent from the target has no intersection and is always left out; its probability is
        pushed down through the unions it takes pixels from.
    counts : CorpusCounts, optional
        As in `expected_iou_loss`.

    Returns
    -------
    scalar or (C,) tensor, float32 or float64

    Notes
    -----
    E[I] is taken to be at least the machine epsilon times the class's target mass: where the
    softmax underflows on every pixel of a class the loss is large and finite, and the class's
    own gradient has vanished, as it has in Eq. 67 with p-hat = 0. `leak`, or a share of
    cross-entropy, keeps it alive. The closed forms Eq. 65 and 67 are right; the printed steps 61
    to 64 have the flaw of Eq. 49 to 56 that `expected_iou_loss` describes.

    Raises
    ------
    InputError
        As in `expected_iou_loss`.

    Examples
    --------
    >>> import torch
    >>> uniform = torch.zeros(1, 2, 1, 2)
    >>> round(expected_uoi_loss(uniform, torch.tensor([[[0, 1]]])).item(), 4)
    3.0
    """
    check_choice(reduction, "reduction", REDUCTIONS)
    batch = expected_counts(logits, target, ignore_index, weights, leak)
    with full_precision(logits):
        intersections, unions, masses = _over(batch, counts)
        counted = masses > 0
        floor = torch.finfo(batch.unions.dtype).eps * masses
        divisors = torch.where(
            counted, torch.maximum(intersections, floor), torch.ones_like(masses)
        )
        losses = torch.where(counted, unions / divisors, torch.zeros_like(unions))
        return _reduce(losses, counted, reduction).to(batch.unions.dtype)


class ExpectedIoULoss(nn.Module):
    """`expected_iou_loss` as a module.

    Parameters
    ----------
    ignore_index, absent, leak, reduction, counts
        As in `expected_iou_loss`.
    """

    def __init__(
        self,
        ignore_index: int = 255,
        absent: str = "skip",
        leak: float = 0.0,
        reduction: str = "mean",
        counts: CorpusCounts | None = None,
    ) -> None:
        super().__init__()
        check_choice(absent, "absent", ABSENT)
        check_choice(reduction, "reduction", REDUCTIONS)
        self.ignore_index = ignore_index
        self.absent = absent
        self.leak = leak
        self.reduction = reduction
        self.counts = counts

    def forward(self, logits: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
        return expected_iou_loss(
            logits,
            target,
            self.ignore_index,
            weights,
            self.absent,
            self.leak,
            self.reduction,
            self.counts,
        )

    def extra_repr(self) -> str:
        return (
            f"ignore_index={self.ignore_index}, absent={self.absent!r}, leak={self.leak}, "
            f"reduction={self.reduction!r}"
        )


class ExpectedUoILoss(nn.Module):
    """`expected_uoi_loss` as a module.

    Parameters
    ----------
    ignore_index, leak, reduction, counts
        As in `expected_uoi_loss`.
    """

    def __init__(
        self,
        ignore_index: int = 255,
        leak: float = 0.0,
        reduction: str = "mean",
        counts: CorpusCounts | None = None,
    ) -> None:
        super().__init__()
        check_choice(reduction, "reduction", REDUCTIONS)
        self.ignore_index = ignore_index
        self.leak = leak
        self.reduction = reduction
        self.counts = counts

    def forward(self, logits: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
        return expected_uoi_loss(
            logits, target, self.ignore_index, weights, self.leak, self.reduction, self.counts
        )

    def extra_repr(self) -> str:
        return f"ignore_index={self.ignore_index}, leak={self.leak}, reduction={self.reduction!r}"


def _over(batch: ExpectedCounts, counts: CorpusCounts | None) -> tuple[Tensor, Tensor, Tensor]:
    if counts is None:
        return batch.intersections, batch.unions, batch.masses
    sums: tuple[Tensor, Tensor, Tensor] = counts(batch.intersections, batch.unions, batch.masses)
    return sums


def _reduce(losses: Tensor, counted: Tensor, reduction: str) -> Tensor:
    if reduction == "none":
        return losses
    total = losses.sum()
    return total if reduction == "sum" else total / counted.sum().clamp(min=1)
