"""The pairwise terms of CRF-Grad: kernels on pixel offsets, and on position and colour.

Both take q as (..., L) with labels last. Both count every pair of distinct pixels, in both
orders, and no pixel with itself: Eq. 2 of Larsson et al. 2017 sums over the edges of a graph, and
Proposition 2.1 rests on the energy being linear in each pixel's q. A learned kernel W enters as
its symmetric part, which is all that the energy sum_ij q_i W_ij q_j can tell of it, so that the
cost that a term returns is the gradient of its energy.
"""

from __future__ import annotations

import torch
from torch import nn

from rerank.errors import InputError
from rerank.layers.image_lattice import Deviations, LatticeCache, bilateral_lattice
from rerank.layers.lattice import PermutohedralLattice
from rerank.layers.neighbourhood import (
    binomial_weights,
    gaussian_amplitude,
    neighbour_offsets,
    opposite_offsets,
)
from rerank.types import Array, BoolArray


class SpatialPairwise(nn.Module):
    """Costs that depend on two pixels' labels and relative position (Larsson et al. 2017, Eq. 8).

    Parameters
    ----------
    n_labels : int
        L.
    radius : int
        The kernel reaches s pixels in each dimension, s >= 1.
    learned : bool
        A parameter `weight` (L, L, 2s+1, 2s+1) that starts from zero, whose entry
        ``[l, m, s + dy, s + dx]`` is the cost of label l at a pixel and m at the pixel (dy, dx)
        away; or else a fixed Gaussian with Potts interaction.
    std : float
        Standard deviation of the fixed Gaussian in pixels.
    strength : float
        What the fixed Gaussian costs a pixel all whose neighbours have another label.
    """

    def __init__(
        self, n_labels: int, radius: int, learned: bool, std: float, strength: float
    ) -> None:
        super().__init__()
        if radius < 1:
            raise InputError(f"spatial_radius must be at least 1, got {radius}")
        if not std > 0:
            raise InputError(f"spatial_std must be positive, got {std}")
        self.n_labels = n_labels
        self.radius = radius
        size = 2 * radius + 1
        self.weight: nn.Parameter | None = None
        if learned:
            self.weight = nn.Parameter(torch.zeros(n_labels, n_labels, size, size))
            return
        reach = torch.arange(-radius, radius + 1, dtype=torch.float64)
        profile = torch.exp(-((reach / std) ** 2) / 2)
        total = float(profile.sum() ** 2 - 1)
        self._strength = strength / total
        self.register_buffer("profile", profile, persistent=False)

    def kernel(self) -> torch.Tensor:
        """The symmetric kernel (L, L, 2s+1, 2s+1), with zeros at the centre."""
        if self.weight is None:
            profile = self.get_buffer("profile")
            gaussian = self._strength * torch.outer(profile, profile)
            kernel = _potts(self.n_labels).to(gaussian)[:, :, None, None] * gaussian
        else:
            kernel = (self.weight + self.weight.transpose(0, 1).flip(2, 3)) / 2
        off_centre = torch.ones_like(kernel[0, 0])
        off_centre[self.radius, self.radius] = 0
        return kernel * off_centre

    def cost(self, q: torch.Tensor) -> torch.Tensor:
        """(B, H, W, L) to (B, H, W, L): what each label costs each pixel, given the others."""
        maps = q.permute(0, 3, 1, 2)
        if self.weight is not None:
            kernel = self.kernel().to(q.dtype)
            return nn.functional.conv2d(maps, kernel, padding=self.radius).permute(0, 2, 3, 1)
        profile = self.get_buffer("profile").to(q.dtype)
        each = profile.expand(self.n_labels, 1, -1)
        blurred = nn.functional.conv2d(
            maps, each[:, :, None, :], padding=(0, self.radius), groups=self.n_labels
        )
        blurred = nn.functional.conv2d(
            blurred, each[:, :, :, None], padding=(self.radius, 0), groups=self.n_labels
        )
        potts = self._strength * _potts(self.n_labels).to(q)
        return (blurred - maps).permute(0, 2, 3, 1) @ potts


class BilateralPairwise(nn.Module):
    """Costs that depend on two pixels' labels, relative position and colours (Eq. 9).

    The kernel lives on a permutohedral lattice, whose Gaussian is normalised symmetrically by its
    row sums: a label that no other pixel has costs about `strength`, whatever the image's size.

    Parameters
    ----------
    n_labels : int
        L.
    radius : int
        The kernel reaches s lattice points along each axis, s >= 1.
    learned : bool
        A parameter `weight` (L, L, K), K = (s+1)^(d+1) - s^(d+1), that starts from a Gaussian
        with Potts interaction; or else that Gaussian, fixed.
    position_std, colour_std
        Scale of the features, see `bilateral_lattice`.
    strength : float
        Weight of the Gaussian.
    n_channels : int
        Channels of the image; d is two more.
    """

    def __init__(
        self,
        n_labels: int,
        radius: int,
        learned: bool,
        position_std: Deviations,
        colour_std: Deviations,
        strength: float,
        n_channels: int,
    ) -> None:
        super().__init__()
        if radius < 1:
            raise InputError(f"bilateral_radius must be at least 1, got {radius}")
        if n_channels < 1:
            raise InputError(f"n_channels must be at least 1, got {n_channels}")
        self.n_labels = n_labels
        self.radius = radius
        self.n_channels = n_channels
        self._position_std, self._colour_std = position_std, colour_std
        self._strength = strength
        n_dims = n_channels + 2
        offsets = neighbour_offsets(n_dims, radius)
        gaussian = torch.from_numpy(
            gaussian_amplitude(n_dims, radius) * binomial_weights(offsets, radius)
        )
        self.weight: nn.Parameter | None = None
        self.register_buffer(
            "opposite", torch.from_numpy(opposite_offsets(offsets)), persistent=False
        )
        if learned:
            start = strength * _potts(n_labels)[:, :, None] * gaussian
            self.weight = nn.Parameter(start.float())
        else:
            self.register_buffer("gaussian", gaussian, persistent=False)

    def kernel(self) -> torch.Tensor:
        """The symmetric kernel (L, L, K)."""
        if self.weight is None:
            gaussian = self._strength * self.get_buffer("gaussian")
            return _potts(self.n_labels).to(gaussian)[:, :, None] * gaussian
        opposite = self.get_buffer("opposite")
        return (self.weight + self.weight.transpose(0, 1)[:, :, opposite]) / 2

    def lattice(
        self, image: Array, valid: BoolArray, cache: LatticeCache | None
    ) -> PermutohedralLattice:
        """The lattice of the valid pixels of an image (H, W, C), row by row."""
        if image.shape[2] != self.n_channels:
            raise InputError(
                f"image must have {self.n_channels} channels, as the layer was "
                f"made, got {image.shape[2]}"
            )
        lattice = bilateral_lattice(
            image, valid, self._position_std, self._colour_std, self.radius, cache
        )
        return lattice.normalized()

    def cost(
        self, rows: torch.Tensor, lattice: PermutohedralLattice, base: torch.Tensor
    ) -> torch.Tensor:
        """(N, L) to (N, L): what each label costs each valid pixel, given others, plus `base`."""
        if self.weight is not None:
            return lattice.filter_others(rows, self.kernel().to(rows.dtype), base)
        potts = self._strength * _potts(self.n_labels).to(rows)
        return torch.addmm(base, lattice.filter_others(rows), potts)


def _potts(n_labels: int) -> torch.Tensor:
    """One where labels differ, zero where they agree."""
    return 1 - torch.eye(n_labels, dtype=torch.float64)
