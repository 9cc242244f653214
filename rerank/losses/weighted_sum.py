"""A weighted sum of losses."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rerank.errors import InputError


class WeightedSumLoss(nn.Module):
    """Weighted sum of losses on the same logits and target.

    Parameters
    ----------
    terms : sequence of (float, nn.Module)
        Weight and loss of each term; a loss is called with logits, target and pixel weights.
        The 0.7 UOI + 0.3 CE of Cogswell et al. 2014 (section 5) is
        ``[(0.7, ExpectedUoILoss()), (0.3, SoftCrossEntropyLoss())]``.

    Raises
    ------
    InputError
        There is no term, a weight is not finite, or a loss is not a module.

    Examples
    --------
    >>> import torch
    >>> from rerank.losses import ExpectedUoILoss, SoftCrossEntropyLoss
    >>> loss = WeightedSumLoss([(0.7, ExpectedUoILoss()), (0.3, SoftCrossEntropyLoss())])
    >>> logits, target = torch.zeros(1, 2, 1, 2), torch.tensor([[[0, 1]]])
    >>> round(loss(logits, target).item(), 4)     # 0.7 * 3 + 0.3 * log(2)
    2.3079
    """

    def __init__(self, terms: Sequence[tuple[float, nn.Module]]) -> None:
        super().__init__()
        if not terms:
            raise InputError("a weighted sum needs at least one (weight, loss)")
        for weight, loss in terms:
            if not torch.isfinite(torch.tensor(float(weight))):
                raise InputError(f"the weight of a loss must be finite, got {weight}")
            if not isinstance(loss, nn.Module):
                raise InputError(f"a loss must be a torch.nn.Module, got {type(loss).__name__}")
        self.factors = tuple(float(weight) for weight, _ in terms)
        self.losses = nn.ModuleList([loss for _, loss in terms])

    def forward(self, logits: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
        terms = [
            factor * loss(logits, target, weights=weights)
            for factor, loss in zip(self.factors, self.losses)
        ]
        return torch.stack(terms).sum(dim=0)

    def extra_repr(self) -> str:
        return f"factors={self.factors}"
