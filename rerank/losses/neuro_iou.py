"""IoU learned by a network from counts, and its gradient as a loss (Nagendar et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from rerank.errors import InputError
from rerank.losses.pixel_target import check_choice, full_precision
from rerank.losses.surrogate import SurrogateNetwork, learn
from rerank.losses.surrogate_counts import (
    COUNTS,
    SCALES,
    SurrogateCounts,
    draw_examples,
    surrogate_counts,
)

_SCORE_DECAY = 0.98


def neuro_iou_loss(
    logits: Tensor,
    target: Tensor,
    surrogate: SurrogateNetwork,
    ignore_index: int = 255,
    weights: Tensor | None = None,
    counts: str = "probability",
    scale: str = "union",
) -> Tensor:
    """Mean of the IoU losses that a surrogate network computes from the counts.

    Nagendar et al. 2018, Eq. 4 and 5, and steps 1 to 4 of Algorithm 1 (`backward` is the last).

    Parameters
    ----------
    logits, target
        As in `surrogate_counts`.
    surrogate : SurrogateNetwork
        Of 3 inputs (the counts) or 6 (and their means, section 3.1), fitted on
        `SurrogateCounts.examples` of the same `counts` and `scale`. Its weights get no gradient.
    ignore_index, weights, counts, scale
        As in `surrogate_counts`.

    Returns
    -------
    scalar tensor, float32 or float64
        The mean over pairs of image and class; a class that is in neither truth nor prediction
        of an image is left out. 0 where there is no pair (all void).

    Notes
    -----
    As Eq. 5 has it, the gradient goes through the three counts alone. Were it to go through the
    means as well, an exact fit on 6 inputs would have no gradient at all: count and mean give
    the number of pixels, and IoU is a constant in the probabilities.

    Raises
    ------
    InputError
        As in `surrogate_counts`, or the surrogate has neither 3 nor 6 inputs.
    """
    _check_n_inputs(surrogate.n_inputs)
    found = surrogate_counts(logits, target, ignore_index, weights, counts, scale)
    return _loss_of(found, surrogate, logits)


@dataclass(frozen=True)
class SurrogateSettings:
    """How the surrogate of `NeuroIoULoss` learns.

    Attributes
    ----------
    first_steps, steps : int
        Steps before the first loss, and before each further one.
    batch_size, memory : int
        Examples of a step, and examples remembered.
    learning_rate : float
        Of Adam.

    Raises
    ------
    InputError
        If a size is below 1.
    """

    first_steps: int = 500
    steps: int = 4
    batch_size: int = 256
    memory: int = 4096
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        for name in ("first_steps", "steps", "batch_size", "memory"):
            size = getattr(self, name)
            if size < 1:
                raise InputError(f"{name} must be at least 1, got {size}")


class NeuroIoULoss(nn.Module):
    """`neuro_iou_loss` with a surrogate that keeps learning beside the network.

    In training mode each call scores the surrogate on the batch's examples, which it has not
    seen, takes them into a memory of recent ones, makes some steps of least squares (Nagendar et
    al. 2018, Eq. 3) on draws from the memory, and then returns the loss. The memory starts with
    drawn counts of known IoU, so that the first gradients are of use, whether the network was
    trained with cross-entropy or not at all. In `eval` mode, and where gradients are off, nothing
    is learned.

    Parameters
    ----------
    n_inputs : int
        3 or 6.
    counts, scale : str
        As in `surrogate_counts`.
    ignore_index : int
    settings : SurrogateSettings
    random_state : int
        Seed of the surrogate's first weights and of all draws.

    Attributes
    ----------
    surrogate : SurrogateNetwork
        Its weights are trained here; an optimiser that is given them leaves them alone, as they
        get no gradient from the loss.
    held_out_error, held_out_share : float
        The surrogate's mean squared error on examples it had not seen, and the share of their
        variance that it explains, running means over about the last 50 batches; NaN before any.

    Notes
    -----
    Surrogate, memory, the optimiser's moments and the generator are all in the `state_dict`:
    training that is resumed from it continues exactly.

    Raises
    ------
    InputError
        `n_inputs` is neither 3 nor 6, or `counts` or `scale` unknown.
    """

    remembered: Tensor
    remembered_losses: Tensor
    position: Tensor
    scored: Tensor

    def __init__(
        self,
        n_inputs: int = 6,
        counts: str = "probability",
        scale: str = "union",
        ignore_index: int = 255,
        settings: SurrogateSettings = SurrogateSettings(),
        random_state: int = 0,
    ) -> None:
        super().__init__()
        _check_n_inputs(n_inputs)
        check_choice(counts, "counts", COUNTS)
        check_choice(scale, "scale", SCALES)
        self.counts = counts
        self.scale = scale
        self.ignore_index = ignore_index
        self.settings = settings
        self.surrogate = SurrogateNetwork(n_inputs, random_state=random_state)
        self._generator = torch.Generator().manual_seed(random_state)
        self._optimiser: torch.optim.Adam | None = None
        self._moments: dict[str, Any] | None = None
        inputs, losses = draw_examples(settings.memory, n_inputs, counts, scale, self._generator)
        self.register_buffer("remembered", inputs)
        self.register_buffer("remembered_losses", losses)
        self.register_buffer("position", torch.zeros((), dtype=torch.long))
        # Running weight, squared error, loss and squared loss of batches scored before learning.
        self.register_buffer("scored", torch.zeros(4, dtype=torch.float64))

    @property
    def held_out_error(self) -> float:
        """See the class."""
        return (self.scored[1] / self.scored[0]).item()

    @property
    def held_out_share(self) -> float:
        """See the class."""
        weight, error, mean, square = self.scored.tolist()
        if weight == 0.0:
            return float("nan")
        variance = square / weight - (mean / weight) ** 2
        return 1.0 - error / weight / variance if variance > 0.0 else float("nan")

    def forward(self, logits: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
        found = surrogate_counts(
            logits, target, self.ignore_index, weights, self.counts, self.scale
        )
        if self.training and torch.is_grad_enabled():
            inputs, losses = found.examples(self.surrogate.n_inputs)
            self._learn(inputs.detach(), losses.detach())
        return _loss_of(found, self.surrogate, logits)

    def _learn(self, inputs: Tensor, losses: Tensor) -> None:
        optimiser = self._start()
        inputs = inputs.to(self.remembered.dtype)
        losses = losses.to(self.remembered.dtype)
        if len(inputs):
            with torch.no_grad():
                error = (self.surrogate(inputs) - losses).square().mean().double()
                found = (
                    torch.ones_like(error),
                    error,
                    losses.double().mean(),
                    losses.double().square().mean(),
                )
                self.scored.mul_(_SCORE_DECAY).add_(torch.stack(found))
            size = len(self.remembered)
            inputs, losses = inputs[-size:], losses[-size:]
            places = (self.position + torch.arange(len(inputs), device=inputs.device)) % size
            self.remembered[places] = inputs
            self.remembered_losses[places] = losses
            self.position.copy_((self.position + len(inputs)) % size)
        self._step(optimiser, self.settings.steps)

    def _start(self) -> torch.optim.Adam:
        """The surrogate's optimiser; on the very first call, after steps on the drawn counts."""
        if self._optimiser is None:
            # On the first use and not before, when the weights have come to their device.
            self._optimiser = torch.optim.Adam(
                self.surrogate.parameters(), self.settings.learning_rate
            )
            if self._moments is None:
                self._step(self._optimiser, self.settings.first_steps)
            else:
                self._optimiser.load_state_dict(self._moments)
        return self._optimiser

    def _step(self, optimiser: torch.optim.Adam, n_steps: int) -> None:
        for _ in range(n_steps):
            drawn = torch.randint(
                len(self.remembered), (self.settings.batch_size,), generator=self._generator
            ).to(self.remembered.device)
            learn(self.surrogate, optimiser, self.remembered[drawn], self.remembered_losses[drawn])
        self.surrogate.zero_grad(set_to_none=True)

    def get_extra_state(self) -> dict[str, Any]:
        moments = self._moments if self._optimiser is None else self._optimiser.state_dict()
        return {"optimiser": moments, "generator": self._generator.get_state()}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self._moments = state["optimiser"]
        self._optimiser = None
        self._generator.set_state(state["generator"].cpu())

    def extra_repr(self) -> str:
        return f"counts={self.counts!r}, scale={self.scale!r}, ignore_index={self.ignore_index}"


def _loss_of(found: SurrogateCounts, surrogate: SurrogateNetwork, logits: Tensor) -> Tensor:
    with full_precision(logits):
        inputs, _ = found.examples(surrogate.n_inputs)
        dtype = next(surrogate.parameters()).dtype
        values = surrogate.frozen(inputs.to(dtype)).to(found.soft.dtype)
        if len(values):
            return values.mean()
        return found.soft.sum() * 0.0


def _check_n_inputs(n_inputs: int) -> None:
    if n_inputs not in (3, 6):
        raise InputError(f"the surrogate must have 3 or 6 inputs, got {n_inputs}")
