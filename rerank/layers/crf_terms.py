"""The pairwise terms of CRF-Grad: kernels on pixel offsets, and on position and colour.

Both take q as (..., L) with labels last. Both count every pair of distinct pixels, in both
orders, and no pixel with itself: Eq. 2 of Larsson et al. 2017 sums over the edges of a graph, and
Proposition 2.1 needs the energy to be linear in each pixel's q. Of a learned kernel W only the
symmetric part is used, on which alone the energy sum_ij q_i W_ij q_j depends, so that the cost that
a term returns is the gradient of its energy.
"""

from __future__ import annotations

from dataclasses import dataclass

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

KINDS = ("learned", "gaussian", "none")


@dataclass(frozen=True)
class UnaryTerm:
    """The costs of single pixels, -weight * log(z + eps) (Larsson et al. 2017, Eq. 3).

    Attributes
    ----------
    weight : float
        Where the learned weight starts.
    eps : float
        Positive.

    Raises
    ------
    InputError
        If `eps` is not positive.
    """

    weight: float = 0.5
    eps: float = 1e-6

    def __post_init__(self) -> None:
        if not self.eps > 0:
            raise InputError(f"eps must be positive, got {self.eps}")


@dataclass(frozen=True)
class SpatialTerm:
    """The kernel on the relative position of two pixels (Larsson et al. 2017, Eq. 8).

    Attributes
    ----------
    kind : "learned", "gaussian" or "none"
        One weight for each offset and pair of labels, which start from zero; a fixed Gaussian
        with Potts interaction; or no such term.
    radius : int
        s >= 1: the kernel has ``2 * radius + 1`` pixels a side.
    std : float
        Standard deviation of the fixed Gaussian, in pixels.
    strength : float
        What the fixed Gaussian costs a pixel all of whose neighbours have another label.

    Raises
    ------
    InputError
        If `kind` is unknown, `radius` below 1 or `std` not positive.
    """

    kind: str = "learned"
    radius: int = 4
    std: float = 3.0
    strength: float = 1.0

    def __post_init__(self) -> None:
        _check_kind(self.kind, "spatial")
        if self.radius < 1:
            raise InputError(f"spatial radius must be at least 1, got {self.radius}")
        if not self.std > 0:
            raise InputError(f"spatial std must be positive, got {self.std}")


@dataclass(frozen=True)
class BilateralTerm:
    """The kernel on positions and colours of two pixels (Larsson et al. 2017, Eq. 9).

    Attributes
    ----------
    kind : "learned", "gaussian" or "none"
        One weight for each lattice offset and pair of labels, which start from the Gaussian; that
        Gaussian with Potts interaction, fixed; or no such term.
    radius : int
        s >= 1: how many lattice points the kernel reaches along each axis.
    position_std : float or (x, y)
        Standard deviations of the positions, in pixels. The default is for sides of about 500
        pixels; smaller images need a proportionally smaller one.
    colour_std : float or (C,)
        Standard deviations of the colours, in units of the image.
    strength : float
        Weight of the Gaussian, whose row sums are about one.
    n_channels : int
        C, the channels of the images.

    Raises
    ------
    InputError
        If `kind` is unknown, or `radius` or `n_channels` below 1.
    """

    kind: str = "learned"
    radius: int = 1
    position_std: Deviations = 80.0
    colour_std: Deviations = 13.0
    strength: float = 1.0
    n_channels: int = 3

    def __post_init__(self) -> None:
        _check_kind(self.kind, "bilateral")
        if self.radius < 1:
            raise InputError(f"bilateral radius must be at least 1, got {self.radius}")
        if self.n_channels < 1:
            raise InputError(f"n_channels must be at least 1, got {self.n_channels}")


class SpatialPairwise(nn.Module):
    """Costs that depend on two pixels' labels and relative position.

    Parameters
    ----------
    n_labels : int
        L.
    term : SpatialTerm
        "learned" or "gaussian".

    Attributes
    ----------
    weight : Parameter (L, L, 2s+1, 2s+1) or None
        Entry ``[l, m, s + dy, s + dx]`` is the cost of label l at a pixel and m at the pixel
        (dy, dx) away. None where the kernel is fixed.
    """

    def __init__(self, n_labels: int, term: SpatialTerm) -> None:
        super().__init__()
        self.n_labels = n_labels
        self.radius = term.radius
        size = 2 * term.radius + 1
        self.weight: nn.Parameter | None = None
        if term.kind == "learned":
            self.weight = nn.Parameter(torch.zeros(n_labels, n_labels, size, size))
            return
        reach = torch.arange(-term.radius, term.radius + 1, dtype=torch.float64)
        profile = torch.exp(-((reach / term.std) ** 2) / 2)
        total = float(profile.sum() ** 2 - 1)
        self._strength = term.strength / total
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
    """Costs that depend on two pixels' labels, relative position and colours.

    The kernel lies on a permutohedral lattice, whose Gaussian is normalised symmetrically by its
    row sums: a label that no other pixel has costs about `strength`, whatever the image's size.

    Parameters
    ----------
    n_labels : int
        L.
    term : BilateralTerm
        "learned" or "gaussian".

    Attributes
    ----------
    weight : Parameter (L, L, K) or None
        K = (s+1)^(d+1) - s^(d+1) offsets, d being the number of channels plus 2. None where the
        kernel is fixed.
    """

    def __init__(self, n_labels: int, term: BilateralTerm) -> None:
        super().__init__()
        self.n_labels = n_labels
        self.term = term
        n_dims = term.n_channels + 2
        offsets = neighbour_offsets(n_dims, term.radius)
        gaussian = torch.from_numpy(
            gaussian_amplitude(n_dims, term.radius) * binomial_weights(offsets, term.radius)
        )
        self.weight: nn.Parameter | None = None
        self.register_buffer(
            "opposite", torch.from_numpy(opposite_offsets(offsets)), persistent=False
        )
        if term.kind == "learned":
            start = term.strength * _potts(n_labels)[:, :, None] * gaussian
            self.weight = nn.Parameter(start.float())
        else:
            self.register_buffer("gaussian", gaussian, persistent=False)

    def kernel(self) -> torch.Tensor:
        """The symmetric kernel (L, L, K)."""
        if self.weight is None:
            gaussian = self.term.strength * self.get_buffer("gaussian")
            return _potts(self.n_labels).to(gaussian)[:, :, None] * gaussian
        opposite = self.get_buffer("opposite")
        return (self.weight + self.weight.transpose(0, 1)[:, :, opposite]) / 2

    def lattice(
        self, image: Array, valid: BoolArray, cache: LatticeCache | None
    ) -> PermutohedralLattice:
        """The lattice of the valid pixels of an image.

        Parameters
        ----------
        image : (H, W, C)
        valid : (H, W) bool
        cache : LatticeCache or None

        Returns
        -------
        PermutohedralLattice
            Normalised; its points are the valid pixels, row by row.

        Raises
        ------
        InputError
            If C is not the number of channels of the term, or as in `bilateral_lattice`.
        """
        term = self.term
        if image.shape[2] != term.n_channels:
            raise InputError(
                f"image must have {term.n_channels} channels, as the layer was "
                f"made, got {image.shape[2]}"
            )
        lattice = bilateral_lattice(
            image, valid, term.position_std, term.colour_std, term.radius, cache
        )
        return lattice.normalized()

    def cost(
        self, rows: torch.Tensor, lattice: PermutohedralLattice, base: torch.Tensor
    ) -> torch.Tensor:
        """What each label costs each valid pixel, given the others.

        Parameters
        ----------
        rows : (N, L)
            q of the valid pixels.
        lattice : PermutohedralLattice
            That of `lattice`.
        base : (N, L)
            Is added.

        Returns
        -------
        (N, L)
        """
        if self.weight is not None:
            return lattice.filter_others(rows, self.kernel().to(rows.dtype), base)
        potts = self.term.strength * _potts(self.n_labels).to(rows)
        return torch.addmm(base, lattice.filter_others(rows), potts)


def _potts(n_labels: int) -> torch.Tensor:
    """One where labels differ, zero where they agree."""
    return 1 - torch.eye(n_labels, dtype=torch.float64)


def _check_kind(kind: str, name: str) -> None:
    if kind not in KINDS:
        raise InputError(f"{name} must be one of {', '.join(KINDS)}, got {kind!r}")
