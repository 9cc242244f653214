"""Dropout with its own generator of random numbers."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rerank.errors import InputError


class SeededDropout(nn.Module):
    """Dropout (Hinton et al. 2012) whose masks come from a generator of its own.

    `torch.nn.Dropout` takes no generator.

    Two networks that train in threads of one process would share the global random state,
    and their masks would depend on the order of the threads. `reseed` fixes the masks of the
    next passes; before the first `reseed` the global state is used, as `torch.nn.Dropout` does.

    Parameters
    ----------
    p : float
        Share of values set to 0 in training mode, in [0, 1); the others are scaled by
        `1 / (1 - p)`. On a CPU the share is rounded to a multiple of 2 ** -16, unless it is one of
        2 ** -8.

    Raises
    ------
    InputError
        If `p` is out of range.
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0.0 <= p < 1.0:
            raise InputError(f"dropout must lie in [0, 1), got {p}")
        self.p = p
        self._seed: int | None = None
        self._generator: torch.Generator | None = None
        self._rng: np.random.Generator | None = None

    def reseed(self, seed: int) -> None:
        """Draw the masks of the next passes from this seed."""
        self._seed = seed
        self._generator = None
        self._rng = None

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0.0:
            return x
        if self._seed is None:
            return F.dropout(x, self.p)
        if x.device.type == "cpu":
            return x * self._cpu_mask(x, self._seed)
        if self._generator is None:
            self._generator = torch.Generator(x.device).manual_seed(self._seed)
        mask = torch.empty_like(x).bernoulli_(1.0 - self.p, generator=self._generator)
        return x * mask.div_(1.0 - self.p)

    def _cpu_mask(self, x: Tensor, seed: int) -> Tensor:
        # Eight or sixteen bits a value from numpy take a tenth of the time of torch's bernoulli_,
        # which would otherwise be the largest share of a step.
        if self._rng is None:
            self._rng = np.random.Generator(np.random.SFC64(seed))
        kind = np.dtype(np.uint8 if (self.p * 2**8).is_integer() else np.uint16)
        bits = np.frombuffer(self._rng.bytes(kind.itemsize * x.numel()), kind)
        limit = round(self.p * 2 ** (8 * kind.itemsize))
        keep = np.multiply(bits >= limit, 1.0 / (1.0 - self.p), dtype=np.float32)
        mask = torch.from_numpy(keep).to(x.dtype)
        if x.ndim == 4 and not x.is_contiguous():
            batch, depth, height, width = x.shape
            return mask.view(batch, height, width, depth).permute(0, 3, 1, 2)
        return mask.view(x.shape)

    def extra_repr(self) -> str:
        return f"p={self.p}"


def reseed_dropout(model: nn.Module, seed: int) -> None:
    """Give each `SeededDropout` of a model its own seed derived from `seed`.

    Parameters
    ----------
    model : nn.Module
    seed : int
        0 or greater.
    """
    index = 0
    for module in model.modules():
        if isinstance(module, SeededDropout):
            module.reseed((seed + 0x9E3779B97F4A7C15 * index) % 2**63)
            index += 1
