"""Downsampling of one image's maps by a whole factor, with void left out, and its adjoint."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Optional

import torch
from torch import Tensor
from torch.nn import functional as F


class Downsampler(ABC):
    """Takes maps (C, H, W) to (C, H // factor, W // factor); the rest at the edges is cut.

    Parameters
    ----------
    factor : int
    height, width : int
        Of the maps that come in.
    weights : (H, W) float tensor, optional
        0 where a pixel is void; None where all pixels weigh 1.
    like : Tensor
        Gives dtype and device of `valid` where there are no weights.

    Attributes
    ----------
    valid : (h, w) bool tensor
        Cells that hold something that is not void.
    """

    def __init__(
        self, factor: int, height: int, width: int, weights: Optional[Tensor], like: Tensor
    ) -> None:
        self.factor = factor
        self.height, self.width = height, width
        self.weights = weights
        if weights is None:
            self.valid = torch.ones(
                height // factor, width // factor, dtype=torch.bool, device=like.device
            )
        else:
            self._prepare(weights)

    @abstractmethod
    def _prepare(self, weights: Tensor) -> None:
        """Set `valid`, and what `down` divides by."""

    @abstractmethod
    def down(self, maps: Tensor) -> Tensor:
        """Downsample maps; cells that are not valid come out as 0."""

    @abstractmethod
    def up(self, gradient: Tensor) -> Tensor:
        """Carry a gradient by the last maps that went `down` back to them."""

    @abstractmethod
    def down_target(self, target: Tensor) -> Tensor:
        """Downsample target maps, of which no gradient is wanted."""


class _LinearDownsampler(Downsampler):
    """Weighted means: the linear map of all-valid pixels, over that of the weights."""

    def _prepare(self, weights: Tensor) -> None:
        totals = self._gather(weights.unsqueeze(0))[0]
        self.valid = totals > 0
        self._divisors = torch.where(self.valid, totals, torch.ones_like(totals))

    def down(self, maps: Tensor) -> Tensor:
        if self.weights is None:
            return self._gather(maps)
        return self._gather(maps * self.weights) / self._divisors

    def down_target(self, target: Tensor) -> Tensor:
        return self.down(target)

    def up(self, gradient: Tensor) -> Tensor:
        if self.weights is None:
            return self._scatter(gradient)
        return self._scatter(gradient / self._divisors) * self.weights

    @abstractmethod
    def _gather(self, maps: Tensor) -> Tensor:
        """The linear map from (C, H, W) to (C, h, w)."""

    @abstractmethod
    def _scatter(self, gradient: Tensor) -> Tensor:
        """Its transpose."""


class AverageDownsampler(_LinearDownsampler):
    """Means over factor x factor cells."""

    def _gather(self, maps: Tensor) -> Tensor:
        f = self.factor
        channels, h, w = len(maps), self.height // f, self.width // f
        rows = maps[:, : h * f, : w * f].reshape(channels, h, f, w * f).sum(dim=2)
        return rows.reshape(channels, h, w, f).sum(dim=3) / f**2

    def _scatter(self, gradient: Tensor) -> Tensor:
        f = self.factor
        channels, h, w = gradient.shape
        rows = (gradient / f**2).repeat_interleave(f, dim=2)
        whole = gradient.new_zeros(channels, self.height, self.width)
        for i in range(f):
            whole[:, i: h * f: f, : w * f] = rows
        return whole


class InterpolationDownsampler(_LinearDownsampler):
    """Bilinear interpolation at the centres of cells; the first pixel of a cell for targets.

    As `torch.nn.functional.interpolate` has it, bilinear without aligned corners and nearest: a
    centre lies on a pixel where the factor is odd, in the middle of four where it is even.
    """

    def _prepare(self, weights: Tensor) -> None:
        super()._prepare(weights)
        self.valid &= self.down_target(weights.unsqueeze(0))[0] > 0

    def _taps(self) -> list[tuple[slice, slice]]:
        f = self.factor
        starts = [f // 2] if f % 2 else [f // 2 - 1, f // 2]
        last_row, last_column = self.height // f * f, self.width // f * f
        return [
            (slice(i, last_row, f), slice(j, last_column, f)) for i in starts for j in starts
        ]

    def _gather(self, maps: Tensor) -> Tensor:
        return torch.stack([maps[:, i, j] for i, j in self._taps()]).mean(dim=0)

    def _scatter(self, gradient: Tensor) -> Tensor:
        taps = self._taps()
        whole = gradient.new_zeros(len(gradient), self.height, self.width)
        for i, j in taps:
            whole[:, i, j] = gradient / len(taps)
        return whole

    def down_target(self, target: Tensor) -> Tensor:
        f = self.factor
        return target[:, : self.height // f * f: f, : self.width // f * f: f]


class MaximumDownsampler(Downsampler):
    """Maxima over the pixels of factor x factor cells that are not void, of maps from 0 up.

    Where several are equal, the first in reading order has the gradient.
    """

    def _prepare(self, weights: Tensor) -> None:
        self.weights = (weights > 0).to(weights.dtype)
        self.valid = self.down_target(torch.ones_like(weights).unsqueeze(0))[0] > 0

    def _masked(self, maps: Tensor) -> Tensor:
        return maps if self.weights is None else maps * self.weights

    def down(self, maps: Tensor) -> Tensor:
        values, self._where = self._maxima(maps)
        return values

    def down_target(self, target: Tensor) -> Tensor:
        return self._maxima(target)[0]

    def _maxima(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        h, w = self.height // self.factor, self.width // self.factor
        if h * w == 0:
            empty = maps.new_zeros(len(maps), h, w)
            return empty, empty.long()
        values, where = F.max_pool2d(self._masked(maps), self.factor, return_indices=True)
        return values, where

    def up(self, gradient: Tensor) -> Tensor:
        whole = gradient.new_zeros(len(gradient), self.height * self.width)
        # Cells do not overlap, so that no pixel is written twice.
        whole.scatter_(1, self._where.flatten(1), gradient.flatten(1))
        return self._masked(whole.reshape(-1, self.height, self.width))


DOWNSAMPLERS: dict[str, type[Downsampler]] = {
    "average": AverageDownsampler,
    "maximum": MaximumDownsampler,
    "interpolation": InterpolationDownsampler,
}
