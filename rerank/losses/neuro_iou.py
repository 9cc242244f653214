"""IoU learned by a network from counts, and its gradient as a loss (Nagendar et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional

import torch
from torch import Tensor, nn

from rerank.errors import InputError
from rerank.losses.inputs import PixelTarget, check_choice, full_precision, prepare_target
from rerank.losses.surrogate import SurrogateNetwork, learn

COUNTS = ("probability", "hinge")
SCALES = ("union", "image")
_SCORE_DECAY = 0.98


@dataclass(frozen=True, eq=False)
class SurrogateCounts:
    """What the surrogate sees and what it should say, for each image and class.

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
    weights: Optional[Tensor] = None,
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


def neuro_iou_loss(
    logits: Tensor,
    target: Tensor,
    surrogate: SurrogateNetwork,
    ignore_index: int = 255,
    weights: Optional[Tensor] = None,
    counts: str = "probability",
    scale: str = "union",
) -> Tensor:
    """Mean of the IoU losses that a surrogate network reads off the counts.

    Nagendar et al. 2018, Eq. 4 and 5, and steps 1 to 4 of Algorithm 1 (the last by `backward`).

    Parameters
    ----------
    logits, target, ignore_index, weights, counts, scale
        As in `surrogate_counts`.
    surrogate : SurrogateNetwork
        Of 3 inputs (the counts) or 6 (and their means, section 3.1), fitted on
        `SurrogateCounts.examples` of the same `counts` and `scale`. Its weights get no gradient.

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


class NeuroIoULoss(nn.Module):
    """`neuro_iou_loss` with a surrogate that keeps learning beside the network.

    In training mode each call scores the surrogate on the batch's examples, which it has not
    seen, takes them into a memory of recent ones, makes some steps of least squares (Nagendar et
    al. 2018, Eq. 3) on draws from the memory, and then returns the loss. The memory starts with
    drawn counts of known IoU, so that the first gradients mean something whether the network
    comes from training with cross-entropy or from nothing. In `eval` mode, and where gradients
    are off, nothing is learned.

    Parameters
    ----------
    n_inputs : int
        3 or 6.
    counts, scale : str
        As in `surrogate_counts`.
    ignore_index : int
    first_steps, steps : int
        Steps of the surrogate before the first loss, and before each further one.
    batch_size, memory : int
        Examples of a step, and examples remembered.
    learning_rate : float
        Of the surrogate's Adam.
    random_state : int

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
    training that goes on from it goes on exactly.

    Raises
    ------
    InputError
        `n_inputs` is neither 3 nor 6, `counts` or `scale` unknown, or a size below 1.
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
        first_steps: int = 500,
        steps: int = 4,
        batch_size: int = 256,
        memory: int = 4096,
        learning_rate: float = 1e-3,
        random_state: int = 0,
    ) -> None:
        super().__init__()
        _check_n_inputs(n_inputs)
        check_choice(counts, "counts", COUNTS)
        check_choice(scale, "scale", SCALES)
        for size, name in ((first_steps, "first_steps"), (steps, "steps"),
                           (batch_size, "batch_size"), (memory, "memory")):
            if size < 1:
                raise InputError(f"{name} must be at least 1, got {size}")
        self.counts = counts
        self.scale = scale
        self.ignore_index = ignore_index
        self.first_steps = first_steps
        self.steps = steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.surrogate = SurrogateNetwork(n_inputs, random_state=random_state)
        self._generator = torch.Generator().manual_seed(random_state)
        self._optimiser: Optional[torch.optim.Adam] = None
        self._moments: Optional[dict[str, Any]] = None
        inputs, losses = draw_examples(memory, n_inputs, counts, scale, self._generator)
        self.register_buffer("remembered", inputs)
        self.register_buffer("remembered_losses", losses)
        self.register_buffer("position", torch.zeros((), dtype=torch.long))
        # Running weight, squared error, loss and squared loss of batches scored before learning.
        self.register_buffer("scored", torch.zeros(4, dtype=torch.float64))

    @property
    def held_out_error(self) -> float:
        return (self.scored[1] / self.scored[0]).item()

    @property
    def held_out_share(self) -> float:
        weight, error, mean, square = self.scored.tolist()
        if weight == 0.0:
            return float("nan")
        variance = square / weight - (mean / weight) ** 2
        return 1.0 - error / weight / variance if variance > 0.0 else float("nan")

    def forward(self, logits: Tensor, target: Tensor, weights: Optional[Tensor] = None) -> Tensor:
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
                found = (torch.ones_like(error), error, losses.double().mean(),
                         losses.double().square().mean())
                self.scored.mul_(_SCORE_DECAY).add_(torch.stack(found))
            size = len(self.remembered)
            inputs, losses = inputs[-size:], losses[-size:]
            places = (self.position + torch.arange(len(inputs), device=inputs.device)) % size
            self.remembered[places] = inputs
            self.remembered_losses[places] = losses
            self.position.copy_((self.position + len(inputs)) % size)
        self._step(optimiser, self.steps)

    def _start(self) -> torch.optim.Adam:
        """The surrogate's optimiser; on the very first call, after steps on the drawn counts."""
        if self._optimiser is None:
            # On the first use and not before, when the weights have come to their device.
            self._optimiser = torch.optim.Adam(self.surrogate.parameters(), self.learning_rate)
            if self._moments is None:
                self._step(self._optimiser, self.first_steps)
            else:
                self._optimiser.load_state_dict(self._moments)
        return self._optimiser

    def _step(self, optimiser: torch.optim.Adam, n_steps: int) -> None:
        for _ in range(n_steps):
            drawn = torch.randint(
                len(self.remembered), (self.batch_size,), generator=self._generator
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


def draw_examples(
    n: int, n_inputs: int, counts: str, scale: str, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Counts of made-up images, (n, n_inputs), and their exact IoU losses, (n,).

    Shares of TP, FP and FN are uniform on their simplex, one in ten of each set to 0; means are
    drawn from the ranges that probabilities and hinge losses of such pixels take.
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
    runner_up = logits.scatter(1, winner, -torch.inf).amax(dim=1, keepdim=True) \
        if logits.shape[1] > 1 else best - 1.0
    truth = ready.as_distribution()
    hit = (best - runner_up).clamp(max=1.0).expand_as(logits)
    # Of the true classes other than k, by their shares; for labels it is 1 + z_k - z_y.
    others = (truth * logits).sum(dim=1, keepdim=True) - truth * logits
    false_hit = 1.0 + logits - others / torch.where(truth < 1.0, 1.0 - truth, 1.0)
    missed = 1.0 + best - logits
    return hit, false_hit, missed


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
