"""The relaxed energy that CRF-Grad descends (Larsson et al. 2017, Eq. 6).

q has the shape (B, H, W, L), so that neither term copies it: a convolution reads it as a batch in
channels-last order, the lattice as rows of labels.
"""

from __future__ import annotations

import torch

from rerank.layers.crf_rounding import PairwiseKernels
from rerank.layers.crf_terms import BilateralPairwise, SpatialPairwise
from rerank.layers.lattice import PermutohedralLattice
from rerank.layers.simplex import project_simplex


class RelaxedEnergy:
    """The energy of a batch of images, its gradient step and its kernels.

    Parameters
    ----------
    logits : (B, L, H, W) float32 or float64
    valid : (B, H, W) bool
    lattices : one for each image, of its valid pixels; None without any or without `bilateral`
    unary_weight : scalar tensor
    eps : float
        The weight and the epsilon of Eq. 3.
    spatial, bilateral : the pairwise terms, None where absent

    Attributes
    ----------
    start, unary : (B, H, W, L)
        The network's probabilities, and the costs of Eq. 3.
    valid : (B, H, W) bool
    """

    def __init__(
        self,
        logits: torch.Tensor,
        valid: torch.Tensor,
        lattices: list[PermutohedralLattice | None],
        unary_weight: torch.Tensor,
        eps: float,
        spatial: SpatialPairwise | None,
        bilateral: BilateralPairwise | None,
    ) -> None:
        self._lattices = lattices
        self._spatial = spatial
        self._bilateral = bilateral
        self._all_valid = bool(valid.all())
        self.valid = valid
        self.start = logits.softmax(dim=1).permute(0, 2, 3, 1).contiguous()
        # Scores of void pixels may be NaN, and must not reach the gradient either.
        self.unary = -unary_weight.to(logits) * (self._inside(self.start) + eps).log()

    def step(self, q: torch.Tensor, step_size: float, leak: float) -> torch.Tensor:
        """One iteration of Algorithm 1.

        Parameters
        ----------
        q : (B, H, W, L)
        step_size : float
            The gamma of Eq. 10.
        leak : float
            The alpha of Eq. 12, in [0, 1].

        Returns
        -------
        (B, H, W, L)
            Pixels that are not valid keep the network's probabilities.
        """
        moved = torch.sub(q, self._gradient(q, self.unary), alpha=step_size)
        projected = project_simplex(moved, dim=-1, leak=leak)
        if self._all_valid:
            return projected
        return torch.where(self.valid[..., None], projected, self.start)

    def energy(self, q: torch.Tensor) -> torch.Tensor:
        """Eq. 6, (B,)."""
        twice = self.unary + self._gradient(q, self.unary)
        return (self._inside(q) * twice).sum(dim=(1, 2, 3)) / 2

    def kernels(self) -> list[PairwiseKernels]:
        """What `round_pixels` needs, for each image."""
        spatial, bilateral = (
            None if term is None else term.kernel().double().cpu().numpy()
            for term in (self._spatial, self._bilateral)
        )
        return [PairwiseKernels(spatial, bilateral, lattice) for lattice in self._lattices]

    def _gradient(self, q: torch.Tensor, cost: torch.Tensor) -> torch.Tensor:
        """`cost` plus the gradient of the pairwise energy (Eq. 8 and 9), (B, H, W, L)."""
        inside = self._inside(q)
        if self._spatial is not None:
            cost = cost + self._spatial.cost(inside)
        if self._bilateral is not None:
            images = zip(inside, cost, self.valid, self._lattices)
            cost = torch.stack([self._on_lattice(*image) for image in images])
        return cost

    def _on_lattice(
        self,
        q: torch.Tensor,
        cost: torch.Tensor,
        valid: torch.Tensor,
        lattice: PermutohedralLattice | None,
    ) -> torch.Tensor:
        term = self._bilateral
        if term is None or lattice is None:
            return cost
        if lattice.n_points == valid.numel():
            return term.cost(q.flatten(0, 1), lattice, cost.flatten(0, 1)).view(q.shape)
        return cost.index_put((valid,), term.cost(q[valid], lattice, cost[valid]))

    def _inside(self, q: torch.Tensor) -> torch.Tensor:
        return q if self._all_valid else q.masked_fill(~self.valid[..., None], 0.0)
