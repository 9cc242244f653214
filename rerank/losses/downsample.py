"""Downsampling of one image's maps by a whole factor, with void left out, and its adjoint."""

from __future__ import annotations

from abc import ABC, abstractmethod

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
        self, factor: int, height: int, width: int, weights: Tensor | None, like: Tensor
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
    def up(self, gradient: Tensor, into: Tensor) -> None:
        """Write the gradient by the last maps that went `down`.

        Parameters
        ----------
        gradient : (C, h, w) tensor
            By the downsampled maps.
        into : (C, H, W) tensor
            Is overwritten.
        """

    @abstractmethod
    def down_target(self, target: Tensor) -> Tensor:
        """Downsample target maps, whose gradient is not needed."""

    @abstractmethod
    def down_labels(self, labels: Tensor, n_classes: int) -> Tensor:
        """Downsample the one-hot maps of labels, without making them at full size.

        Weights must be 0 or 1.

        Parameters
        ----------
        labels : (H, W) int64 tensor
            0..n_classes-1, also where void.
        n_classes : int
            C.

        Returns
        -------
        (C, h, w) float64 tensor
        """

    def _cell_counts(self, labels: Tensor, n_classes: int) -> Tensor:
        """Pixels of each class in each cell that are not void, (C, h, w)."""
        f = self.factor
        h, w = self.height // f, self.width // f
        if self.weights is not None:
            labels = labels.masked_fill(self.weights == 0, n_classes)
        classes = labels[: h * f, : w * f]
        rows = torch.arange(h * f, device=labels.device) // f
        columns = torch.arange(w * f, device=labels.device) // f
        cells = rows[:, None] * w + columns
        counts = torch.bincount(
            (cells * (n_classes + 1) + classes).flatten(), minlength=h * w * (n_classes + 1)
        )
        return counts.reshape(h, w, n_classes + 1).permute(2, 0, 1)[:n_classes]


class _LinearDownsampler(Downsampler):
    """Weighted means: a linear map of the weighted maps, divided by that of the weights."""

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

    def up(self, gradient: Tensor, into: Tensor) -> None:
        if self.weights is None:
            self._scatter(gradient, into)
        else:
            self._scatter(gradient / self._divisors, into)
            into.mul_(self.weights)

    @abstractmethod
    def _gather(self, maps: Tensor) -> Tensor:
        """The linear map from (C, H, W) to (C, h, w)."""

    @abstractmethod
    def _scatter(self, gradient: Tensor, into: Tensor) -> None:
        """Its transpose, from (C, h, w) to (C, H, W)."""


class AverageDownsampler(_LinearDownsampler):
    """Means over factor x factor cells."""

    def _gather(self, maps: Tensor) -> Tensor:
        # Strided sums, rows first: several times faster than a reduction over short axes.
        f = self.factor
        h, w = self.height // f, self.width // f
        rows = maps[:, : h * f : f, : w * f].clone()
        for i in range(1, f):
            rows += maps[:, i : h * f : f, : w * f]
        cells = rows[:, :, ::f].clone()
        for j in range(1, f):
            cells += rows[:, :, j::f]
        return cells.div_(f**2)

    def _scatter(self, gradient: Tensor, into: Tensor) -> None:
        f = self.factor
        _channels, h, w = gradient.shape
        rows = (gradient / f**2).repeat_interleave(f, dim=2)
        into[:, : h * f, : w * f].unflatten(1, (h, f)).copy_(rows.unsqueeze(2))  # type: ignore[no-untyped-call]
        into[:, h * f :] = 0.0
        into[:, :, w * f :] = 0.0

    def down_labels(self, labels: Tensor, n_classes: int) -> Tensor:
        counts = self._cell_counts(labels, n_classes).double()
        return counts / counts.sum(dim=0).clamp(min=1.0)


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
        return [(slice(i, last_row, f), slice(j, last_column, f)) for i in starts for j in starts]

    def _gather(self, maps: Tensor) -> Tensor:
        return torch.stack([maps[:, i, j] for i, j in self._taps()]).mean(dim=0)

    def _scatter(self, gradient: Tensor, into: Tensor) -> None:
        taps = self._taps()
        into.zero_()
        for i, j in taps:
            into[:, i, j] = gradient / len(taps)

    def down_target(self, target: Tensor) -> Tensor:
        f = self.factor
        return target[:, : self.height // f * f : f, : self.width // f * f : f]

    def down_labels(self, labels: Tensor, n_classes: int) -> Tensor:
        nearest = self.down_target(labels.unsqueeze(0))
        classes = torch.arange(n_classes, device=labels.device)
        return (nearest == classes[:, None, None]).double()


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

    def up(self, gradient: Tensor, into: Tensor) -> None:
        # Cells do not overlap, so that no pixel is written twice.
        into.zero_().flatten(1).scatter_(1, self._where.flatten(1), gradient.flatten(1))
        if self.weights is not None:
            into.mul_(self.weights)

    def down_labels(self, labels: Tensor, n_classes: int) -> Tensor:
        return (self._cell_counts(labels, n_classes) > 0).double()


DOWNSAMPLERS: dict[str, type[Downsampler]] = {
    "average": AverageDownsampler,
    "maximum": MaximumDownsampler,
    "interpolation": InterpolationDownsampler,
}
