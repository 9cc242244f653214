"""Running sums of expected counts, so that minibatches follow a measure of the whole corpus."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rerank.errors import InputError


class CorpusCounts(nn.Module):
    """Running sums of expected intersection, expected union and target mass per class.

    IoU is measured once over the corpus (Cogswell et al. 2014, section 3.2), while a minibatch
    holds few of its classes. A loss that is given these counts adds those of the batch to what
    earlier batches left, and differentiates through the batch alone.

    Parameters
    ----------
    n_classes : int
        At least 1.
    decay : float in (0, 1]
        Factor on the earlier sums at each batch. 1 adds up until `reset` (call it at the start
        of an epoch); below 1, about the last 1 / (1 - decay) batches count.
    rescale : bool
        The more has been added up, the smaller is a batch's part of the sums, and its gradient.
        True multiplies the gradient by the number of batches in the sums (decayed alike), so
        that the same learning rate fits with and without the sums; the value is the same.

    Notes
    -----
    The sums are float64 buffers and part of the `state_dict`. A batch is added to them only in
    training mode.

    Raises
    ------
    InputError
        If `n_classes` or `decay` is out of its range.
    """

    intersections: Tensor
    unions: Tensor
    masses: Tensor
    n_batches: Tensor

    def __init__(self, n_classes: int, decay: float = 1.0, rescale: bool = True) -> None:
        super().__init__()
        if n_classes < 1:
            raise InputError(f"n_classes must be at least 1, got {n_classes}")
        if not 0.0 < decay <= 1.0:
            raise InputError(f"decay must lie in (0, 1], got {decay}")
        self.decay = decay
        self.rescale = rescale
        for name in ("intersections", "unions", "masses"):
            self.register_buffer(name, torch.zeros(n_classes, dtype=torch.float64))
        self.register_buffer("n_batches", torch.zeros((), dtype=torch.float64))

    def reset(self) -> None:
        """Forget all batches."""
        for buffer in self.buffers():
            buffer.zero_()

    def forward(
        self, intersection: Tensor, union: Tensor, mass: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Add a batch's counts to the sums.

        Parameters
        ----------
        intersection, union, mass : (C,) tensors
            Those of `ExpectedCounts`.

        Returns
        -------
        intersections, unions, masses : (C,) float64 tensors
            The sums, differentiable by the batch's counts.

        Raises
        ------
        InputError
            If the batch has another number of classes.
        """
        if intersection.shape != self.intersections.shape:
            raise InputError(
                f"counts of {len(self.intersections)} classes cannot take a batch of "
                f"{len(intersection)} classes"
            )
        n_batches = self.n_batches * self.decay + 1.0
        extra = n_batches - 1.0 if self.rescale else torch.zeros_like(n_batches)
        sums = []
        with torch.no_grad():
            earlier = [b * self.decay for b in (self.intersections, self.unions, self.masses)]
        for past, batch in zip(earlier, (intersection, union, mass)):
            total = past + batch.double()
            # Adds 0 to the value, and to the gradient that of the batch `extra` times more.
            sums.append(total + extra * (batch - batch.detach()).double())
        if self.training:
            with torch.no_grad():
                self.intersections.copy_(sums[0])
                self.unions.copy_(sums[1])
                self.masses.copy_(sums[2])
                self.n_batches.copy_(n_batches)
        return sums[0], sums[1], sums[2]

    def extra_repr(self) -> str:
        return f"{len(self.masses)}, decay={self.decay}, rescale={self.rescale}"
