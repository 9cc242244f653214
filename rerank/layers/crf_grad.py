"""CRF-Grad: a CRF with learned pairwise potentials, solved by projected gradient descent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from rerank.errors import InputError
from rerank.layers.crf_energy import RelaxedEnergy
from rerank.layers.crf_rounding import round_pixels
from rerank.layers.crf_terms import (
    BilateralPairwise,
    BilateralTerm,
    SpatialPairwise,
    SpatialTerm,
    UnaryTerm,
)
from rerank.layers.image_lattice import LatticeCache
from rerank.layers.lattice import PermutohedralLattice
from rerank.types import VOID, Array, BoolArray

_UNARY = UnaryTerm()


@dataclass(frozen=True)
class Trajectory:
    """The iterates of projected gradient descent and their energies.

    Attributes
    ----------
    q : tensor (T + 1, B, L, H, W)
        The network's probabilities, then q after each step.
    energies : tensor (T + 1, B), float64
        Eq. 6, one column per image.
    """

    q: torch.Tensor
    energies: torch.Tensor


class CRFGrad(nn.Module):
    """A CRF layer whose pairwise potentials can be learned (Larsson et al. 2017).

    From a network's scores the layer takes T steps of projected gradient descent (Algorithm 1) on
    the relaxed energy (Eq. 6) ::

        E(q) = sum_i psi_i . q_i + 1/2 sum_{i != j} q_i . (k_spatial + k_bilateral)(i, j) q_j
        psi_i(l) = -unary_weight * log(z_i(l) + eps),  z = softmax(scores)            (Eq. 3)

    from q = z, and returns q after the last step. Each of the two kernels can be learned or be a
    fixed Gaussian with Potts interaction; no pixel interacts with itself. In training mode the
    projection leaks (Eq. 12), so that what it cuts still has a gradient and q may be slightly
    negative; in evaluation mode it does not, and q is on the simplex.

    A loss on logits can take `log_scores` of the result.

    Parameters
    ----------
    n_labels : int
        L >= 1.
    spatial : SpatialTerm or str
        The kernel on relative positions; a kind by itself ("learned", "gaussian" or "none") is
        the term of that kind with its defaults.
    bilateral : BilateralTerm or str
        The kernel on positions and colours; a kind by itself as for `spatial`. Images much
        smaller than 500 pixels need another `BilateralTerm.position_std` than the default.
    unary : UnaryTerm
    n_steps : int
        T >= 1.
    step_size : float
        The gamma of Eq. 10, positive.
    leak : float
        The alpha of Eq. 12 in training mode, in [0, 1]. With 0 the layer cannot learn from the
        pixels that it gets wrong with certainty; much above 0.1 what is trained differs from
        what is evaluated.
    cache_size : int
        For how many images the lattice is kept, see `LatticeCache`.

    Attributes
    ----------
    unary_weight : Parameter, scalar
    spatial.weight : Parameter (L, L, 2s+1, 2s+1), where learned
        See `SpatialPairwise`. The energy holds its symmetric part, ``spatial.kernel()``.
    bilateral.weight : Parameter (L, L, K), where learned
        See `BilateralPairwise`; ``bilateral.kernel()`` is symmetric.

    Raises
    ------
    InputError
        If `n_labels` or `n_steps` is below 1, `step_size` not positive, `leak` outside [0, 1],
        `cache_size` negative, or a kind unknown.

    Examples
    --------
    >>> logits, image = torch.randn(2, 3, 5, 7), torch.randint(0, 256, (2, 3, 5, 7))
    >>> layer = CRFGrad(3, spatial="none", bilateral=BilateralTerm(position_std=2.0)).eval()
    >>> q = layer(logits, image)
    >>> bool(torch.allclose(q.sum(dim=1), torch.ones(2, 5, 7)))
    True
    """

    def __init__(
        self,
        n_labels: int,
        *,
        spatial: SpatialTerm | str = "learned",
        bilateral: BilateralTerm | str = "learned",
        unary: UnaryTerm = _UNARY,
        n_steps: int = 5,
        step_size: float = 0.5,
        leak: float = 0.05,
        cache_size: int = 4,
    ) -> None:
        super().__init__()
        _check_at_least(1, n_labels=n_labels, n_steps=n_steps)
        if not (step_size > 0 and 0 <= leak <= 1):
            raise InputError(
                f"step_size must be positive and leak in [0, 1], got {step_size} and {leak}"
            )
        if not isinstance(spatial, SpatialTerm):
            spatial = SpatialTerm(spatial)
        if not isinstance(bilateral, BilateralTerm):
            bilateral = BilateralTerm(bilateral)
        self.n_labels = n_labels
        self.n_steps = n_steps
        self.step_size = step_size
        self.leak = leak
        self.eps = unary.eps
        self.unary_weight = nn.Parameter(torch.tensor(float(unary.weight)))
        self.spatial = None if spatial.kind == "none" else SpatialPairwise(n_labels, spatial)
        self.bilateral = (
            None if bilateral.kind == "none" else BilateralPairwise(n_labels, bilateral)
        )
        self._cache = LatticeCache(cache_size)

    def forward(
        self,
        logits: torch.Tensor,
        image: torch.Tensor | None = None,
        valid: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Run the layer.

        Parameters
        ----------
        logits : (B, L, H, W) floating point
            The network's scores, or log-probabilities. Half precision, and anything under
            autocast, is computed in float32.
        image : (B, C, H, W), any type
            As the network saw it but on the scale of the term's `colour_std`, 0 to 255 by
            default. Not needed without a bilateral term.
        valid : (B, H, W) bool, optional
            Pixels that take part. The others (void, padding) influence nothing and keep the
            network's probabilities.

        Returns
        -------
        (B, L, H, W)
            q after the last step, of the type of `logits`. Every label stays a candidate,
            present in the image or not.

        Raises
        ------
        InputError
            If shapes do not fit, naming both.
        InputError
            If a valid colour is not finite.
        """
        with _without_autocast(logits):
            problem = self._problem(logits, image, valid)
            q = problem.start
            for _ in range(self.n_steps):
                q = problem.step(q, self.step_size, self.leak if self.training else 0.0)
            return q.permute(0, 3, 1, 2).to(logits.dtype)

    def trajectory(
        self,
        logits: torch.Tensor,
        image: torch.Tensor | None = None,
        valid: torch.Tensor | None = None,
        n_steps: int | None = None,
    ) -> Trajectory:
        """All iterates, without a leak, and their energies (Larsson et al. 2017, Fig. 6 and 9).

        Parameters
        ----------
        logits, image, valid
            As in `forward`.
        n_steps : int, optional
            At least 0, and also more than the layer's own, which is the default.

        Returns
        -------
        Trajectory

        Raises
        ------
        InputError
            As in `forward`, or if `n_steps` is negative.
        """
        n_steps = self.n_steps if n_steps is None else n_steps
        _check_at_least(0, n_steps=n_steps)
        with torch.no_grad(), _without_autocast(logits):
            problem = self._problem(logits.double(), image, valid)
            iterates = [problem.start]
            for _ in range(n_steps):
                iterates.append(problem.step(iterates[-1], self.step_size, 0.0))
            energies = torch.stack([problem.energy(q) for q in iterates])
            return Trajectory(
                torch.stack(iterates).permute(0, 1, 4, 2, 3).to(logits.dtype), energies
            )

    def energy(
        self,
        q: torch.Tensor,
        logits: torch.Tensor,
        image: torch.Tensor | None = None,
        valid: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Eq. 6 for a relaxed labeling (B, L, H, W), or Eq. 2 for a labeling (B, H, W).

        Computed in float64.

        Parameters
        ----------
        q : (B, L, H, W) floating point or (B, H, W) integer
            Of pixels that are not valid, the values do not matter.
        logits, image, valid
            As in `forward`.

        Returns
        -------
        (B,) float64

        Raises
        ------
        InputError
            As in `forward`, or if `q` has neither shape, or a label is not in 0..L-1 where valid.
        """
        with _without_autocast(logits):
            problem = self._problem(logits.double(), image, valid)
            return problem.energy(self._relaxed(q, logits, problem.valid))

    def round_labeling(
        self,
        q: torch.Tensor,
        logits: torch.Tensor,
        image: torch.Tensor | None = None,
        valid: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """A labeling whose energy is not above that of `q` (Larsson et al. 2017, Prop. 2.1).

        Pixels are visited row by row; each takes the label that costs least given the labels
        before it and the q after it.

        Parameters
        ----------
        q : (B, L, H, W)
            On the simplex to 1e-3 where valid, as the proposition requires.
        logits, image, valid
            As in `forward`.

        Returns
        -------
        (B, H, W) int64
            255 where not valid.

        Raises
        ------
        InputError
            As in `forward`, or if `q` is not on the simplex, which a leak causes: project it
            first.
        """
        with torch.no_grad(), _without_autocast(logits):
            problem = self._problem(logits.double(), image, valid)
            relaxed = self._relaxed(q, logits, problem.valid)
            off = torch.maximum((relaxed.sum(dim=-1) - 1).abs(), -relaxed.amin(dim=-1))
            worst = off[problem.valid].max().item() if problem.valid.any() else 0.0
            if not worst <= 1e-3:
                raise InputError(
                    f"q must be on the simplex to 1e-3, a pixel is off by {worst:.3g};"
                    " project it with project_simplex(q, dim=1)"
                )
            labels = [
                torch.from_numpy(np.where(mask, round_pixels(pixels, unary, mask, kernels), VOID))
                for pixels, unary, mask, kernels in zip(
                    relaxed.cpu().numpy(),
                    problem.unary.cpu().numpy(),
                    problem.valid.cpu().numpy(),
                    problem.kernels(),
                )
            ]
            return torch.stack(labels).to(logits.device)

    def log_scores(self, q: torch.Tensor, floor: float = 0.1) -> torch.Tensor:
        """Turn the layer's result into scores for a loss on logits.

        The logarithm, continued below `floor` by its tangent, so that entries that the projection
        cut or let leak below zero have a finite score and a gradient. The softmax of the scores
        is q where q is on the simplex and above the floor, and near q elsewhere.

        Parameters
        ----------
        q : (B, L, H, W)
        floor : float
            In (0, 1).

        Returns
        -------
        (B, L, H, W)

        Raises
        ------
        InputError
            If `floor` is out of its range.
        """
        if not 0 < floor < 1:
            raise InputError(f"floor must be in (0, 1), got {floor}")
        return q.clamp(min=floor).log() + (q - floor).clamp(max=0) / floor

    def extra_repr(self) -> str:
        return (
            f"n_labels={self.n_labels}, n_steps={self.n_steps}, step_size={self.step_size}, "
            f"leak={self.leak}, eps={self.eps}"
        )

    def _problem(
        self, logits: torch.Tensor, image: torch.Tensor | None, valid: torch.Tensor | None
    ) -> RelaxedEnergy:
        if logits.dim() != 4 or logits.shape[1] != self.n_labels or 0 in logits.shape:
            raise InputError(
                f"logits must be (B, {self.n_labels}, H, W) and not empty, "
                f"got {tuple(logits.shape)}"
            )
        if not logits.is_floating_point():
            raise InputError(f"logits must be floating point, got {logits.dtype}")
        grid = (logits.shape[0], *logits.shape[2:])
        if valid is None:
            valid = torch.ones(grid, dtype=torch.bool, device=logits.device)
        if valid.shape != grid or valid.dtype != torch.bool:
            raise InputError(
                f"valid must be bool and of shape {grid} as logits are, "
                f"got {valid.dtype} of {tuple(valid.shape)}"
            )
        lattices: list[PermutohedralLattice | None] = [None] * logits.shape[0]
        if self.bilateral is not None:
            lattices = self._lattices(self.bilateral, image, valid, tuple(logits.shape))
        computed = logits if logits.dtype == torch.float64 else logits.float()
        return RelaxedEnergy(
            computed,
            valid.to(logits.device),
            lattices,
            self.unary_weight,
            self.eps,
            self.spatial,
            self.bilateral,
        )

    def _lattices(
        self,
        bilateral: BilateralPairwise,
        image: torch.Tensor | None,
        valid: torch.Tensor,
        shape: tuple[int, ...],
    ) -> list[PermutohedralLattice | None]:
        if image is None:
            raise InputError("image is needed for the bilateral term")
        if image.dim() != 4 or (image.shape[0], *image.shape[2:]) != (shape[0], *shape[2:]):
            raise InputError(
                f"image must be (B, C, H, W) and fit logits of shape {shape}, "
                f"got {tuple(image.shape)}"
            )
        pixels: Array = image.detach().permute(0, 2, 3, 1).cpu().numpy()
        masks: BoolArray = valid.cpu().numpy()
        return [
            bilateral.lattice(picture, mask, self._cache) if mask.any() else None
            for picture, mask in zip(pixels, masks)
        ]

    def _relaxed(self, q: torch.Tensor, logits: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        """q or a labeling, checked, as (B, H, W, L) float64."""
        if q.shape == logits.shape and q.is_floating_point():
            return q.double().permute(0, 2, 3, 1)
        if q.shape != valid.shape or q.is_floating_point():
            raise InputError(
                f"q must be floating point of shape {tuple(logits.shape)} or integer "
                f"of shape {tuple(valid.shape)}, got {q.dtype} of {tuple(q.shape)}"
            )
        labels = torch.where(valid, q.long(), 0)
        if labels.min() < 0 or labels.max() >= self.n_labels:
            raise InputError(
                f"labels must be 0..{self.n_labels - 1} where valid, found "
                f"{labels.min().item()} to {labels.max().item()}"
            )
        return nn.functional.one_hot(labels, self.n_labels).double()


def _without_autocast(tensor: torch.Tensor) -> torch.autocast:
    return torch.autocast(tensor.device.type, enabled=False)


def _check_at_least(least: int, **given: int) -> None:
    for name, value in given.items():
        if value < least:
            raise InputError(f"{name} must be at least {least}, got {value}")
