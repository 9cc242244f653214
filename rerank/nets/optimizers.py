"""The optimizers of `train`.

They stay our own: those of `torch.optim` import torch's compiler when the first is made, which
takes 2 CPU seconds of each process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

#: Of AdamW.
DECAY_SQUARE, EPSILON = 0.999, 1e-8


@dataclass(frozen=True, eq=False)
class ParameterGroup:
    """Parameters of one learning rate and decay.

    Attributes
    ----------
    parameters : tuple of tensors
    rate_factor : float
        On the learning rate.
    weight_decay : float
    """

    parameters: tuple[Tensor, ...]
    rate_factor: float
    weight_decay: float


class Descent:
    """Gradient descent with momentum, or AdamW.

    Parameters
    ----------
    groups : sequence of ParameterGroup
    kind : {"sgd", "adamw"}
        With "sgd" the decay is part of the gradient, and the running sum of gradients is the step;
        "adamw" is Algorithm 2 of Loshchilov & Hutter 2019.
    momentum : float
        Share of the running sum or mean of gradients that is kept, in [0, 1).
    """

    def __init__(
        self, groups: Sequence[ParameterGroup], kind: Literal["sgd", "adamw"], momentum: float
    ) -> None:
        self.groups, self.kind, self.momentum = tuple(groups), kind, momentum
        self.steps = 0
        self.means = [torch.zeros_like(p) for p in self.parameters]
        self.squares = [torch.zeros_like(p) for p in self.parameters if kind == "adamw"]

    @property
    def parameters(self) -> list[Tensor]:
        """All parameters, group by group."""
        return [p for group in self.groups for p in group.parameters]

    def clear(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Move the parameters that have a gradient.

        Parameters
        ----------
        rate : float
            Learning rate, before the factor of each group.
        """
        self.steps += 1
        place = 0
        for group in self.groups:
            for parameter in group.parameters:
                if parameter.grad is not None:
                    own, decay = rate * group.rate_factor, group.weight_decay
                    if self.kind == "sgd":
                        self._sgd(parameter, parameter.grad, place, own, decay)
                    else:
                        self._adamw(parameter, parameter.grad, place, own, decay)
                place += 1

    def _sgd(self, p: Tensor, gradient: Tensor, place: int, rate: float, decay: float) -> None:
        if decay > 0:
            gradient = gradient.add(p, alpha=decay)
        p.sub_(self.means[place].mul_(self.momentum).add_(gradient), alpha=rate)

    def _adamw(self, p: Tensor, gradient: Tensor, place: int, rate: float, decay: float) -> None:
        mean, square = self.means[place], self.squares[place]
        mean.lerp_(gradient, 1 - self.momentum)
        square.mul_(DECAY_SQUARE).addcmul_(gradient, gradient, value=1 - DECAY_SQUARE)
        root = square.sqrt().div_((1 - DECAY_SQUARE**self.steps) ** 0.5).add_(EPSILON)
        p.mul_(1 - rate * decay).addcdiv_(mean, root, value=-rate / (1 - self.momentum**self.steps))

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` goes on from."""
        return {"steps": self.steps, "means": self.means, "squares": self.squares}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave, of as many parameters of the same shapes."""
        self.steps = state["steps"]
        for own, saved in ((self.means, state["means"]), (self.squares, state["squares"])):
            for values, others in zip(own, saved, strict=True):
                values.copy_(others)
