"""The settings of a training: its phases and the schedule of its learning rate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from torch import nn

from rerank.errors import ConfigError

OPTIMIZERS = ("sgd", "adamw")


@dataclass(frozen=True)
class Phase:
    """A stretch of training with one loss and a learning-rate schedule of its own.

    Attributes
    ----------
    loss : str or nn.Module
        A name that `loss_from_name` knows, or a module called with logits, target and, where
        the data has them, `weights`.
    epochs : int
        Passes over the data, at least 1.
    learning_rate : float
        The highest of the phase, above 0.
    """

    loss: str | nn.Module
    epochs: int
    learning_rate: float

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ConfigError(f"epochs of a phase must be at least 1, got {self.epochs}")
        if not (self.learning_rate > 0 and math.isfinite(self.learning_rate)):
            raise ConfigError(f"learning_rate must be above 0, got {self.learning_rate}")


@dataclass(frozen=True)
class TrainConfig:
    """Settings of `train`: gradient descent phase by phase, each with a new optimizer.

    Attributes
    ----------
    phases : tuple of Phase
    batch_size : int
        At most; an epoch is split into batches of nearly equal size.
    momentum : float
        In [0, 1); of both optimizers.
    weight_decay : float
        On filters, not on biases and norms.
    power : float
        Of the poly schedule: the rate falls as `(1 - step / steps) ** power`.
    warmup : int
        Steps over which the rate rises to its highest at the start of each phase.
    clip_norm : float, optional
        Longest gradient, over all parameters; longer ones are scaled down.
    backbone_factor : float
        Factor on the learning rate of parameters under `model.backbone`, where they train.
    amp : bool
        bfloat16 autocast; only on a CUDA device.
    random_state : int
        Of the order of samples, of augmentation and of dropout.
    optimizer : {"sgd", "adamw"}
        Stochastic gradient descent with momentum, or AdamW (Loshchilov & Hutter 2019), which needs
        fewer steps and a learning rate of a tenth or less.
    """

    phases: tuple[Phase, ...]
    batch_size: int = 16
    momentum: float = 0.9
    weight_decay: float = 5e-4
    power: float = 0.9
    warmup: int = 10
    clip_norm: float | None = 5.0
    backbone_factor: float = 0.1
    amp: bool = False
    random_state: int = 0
    optimizer: Literal["sgd", "adamw"] = "sgd"

    def __post_init__(self) -> None:
        checks = (
            (len(self.phases) >= 1, "phases must hold at least one Phase"),
            (self.batch_size >= 1, f"batch_size must be at least 1, got {self.batch_size}"),
            (0 <= self.momentum < 1, f"momentum must lie in [0, 1), got {self.momentum}"),
            (self.weight_decay >= 0, f"weight_decay must be at least 0, got {self.weight_decay}"),
            (self.power >= 0, f"power must be at least 0, got {self.power}"),
            (self.warmup >= 0, f"warmup must be at least 0, got {self.warmup}"),
            (
                self.clip_norm is None or self.clip_norm > 0,
                f"clip_norm must be above 0 or None, got {self.clip_norm}",
            ),
            (
                self.backbone_factor >= 0,
                f"backbone_factor must be at least 0, got {self.backbone_factor}",
            ),
            (self.optimizer in OPTIMIZERS, f"optimizer must be one of {', '.join(OPTIMIZERS)}"),
            (self.random_state >= 0, f"random_state must be at least 0, got {self.random_state}"),
        )
        for holds, message in checks:
            if not holds:
                raise ConfigError(message)


def poly_factor(step: int, n_steps: int, power: float = 0.9, warmup: int = 0) -> float:
    """Return the factor on the learning rate at a step: linear warm-up, then poly decay.

    torch's schedulers count steps in a state of their own; this is a function of the step alone.

    Parameters
    ----------
    step : int
        0..n_steps-1.
    n_steps : int
    power : float
    warmup : int
        The factor is scaled by `(step + 1) / warmup` until that reaches 1.

    Returns
    -------
    float
        In (0, 1].

    Examples
    --------
    >>> [poly_factor(step, 4, power=1.0, warmup=2) for step in range(4)]
    [0.5, 0.75, 0.5, 0.25]
    """
    rise = min(1.0, (step + 1) / warmup) if warmup > 0 else 1.0
    return float(rise * (1.0 - step / n_steps) ** power)
