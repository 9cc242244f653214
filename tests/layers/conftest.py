"""CRF-Grad layers small enough for their energies to be written out pixel by pixel."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from rerank.layers import BilateralTerm, CRFGrad, PermutohedralLattice, SpatialTerm
from rerank.layers.image_lattice import bilateral_lattice

H, W, L = 3, 4, 3


def _inputs(seed: int = 0, batch: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(batch, L, H, W, generator=generator, dtype=torch.float64) * 2
    image = torch.randint(0, 256, (batch, 3, H, W), generator=generator)
    return logits, image.to(torch.uint8)


def _layer(
    seed: int = 0,
    scale: float = 0.3,
    spatial: str = "learned",
    bilateral: str = "learned",
    **arguments,
) -> CRFGrad:
    """A float64 layer in evaluation mode with random weights, small in space and wide in colour."""
    terms = dict(
        spatial=SpatialTerm(spatial, radius=1),
        bilateral=BilateralTerm(bilateral, position_std=4.0, colour_std=120.0),
    )
    crf = CRFGrad(L, **terms, **arguments).double().eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in crf.named_parameters():
            if name != "unary_weight":
                parameter += scale * torch.randn(
                    parameter.shape, generator=generator, dtype=torch.float64
                )
    return crf


def _pair_matrix(crf: CRFGrad, image: torch.Tensor, valid: np.ndarray) -> np.ndarray:
    """The pairwise costs of all pixels and labels (H*W*L, H*W*L), from the weights themselves.

    Pixel pairs are visited one by one, in both orders, and the result is the second derivative of
    the energy: W plus its transpose over two.
    """
    matrix = np.zeros((H * W, L, H * W, L))
    pixels = [(y, x) for y in range(H) for x in range(W)]
    if crf.spatial is not None and crf.spatial.weight is not None:
        weight = crf.spatial.weight.detach().numpy()
        for i, j in itertools.permutations(range(H * W), 2):
            dy, dx = pixels[j][0] - pixels[i][0], pixels[j][1] - pixels[i][1]
            if max(abs(dy), abs(dx)) <= 1:
                matrix[i, :, j, :] += weight[:, :, 1 + dy, 1 + dx]
    if crf.bilateral is not None and crf.bilateral.weight is not None and valid.any():
        weight = crf.bilateral.weight.detach().numpy()
        lattice = bilateral_lattice(image.permute(1, 2, 0).numpy(), valid, 4.0, 120.0, 1)
        normalized = lattice.normalized()
        assert isinstance(normalized, PermutohedralLattice)
        where = np.flatnonzero(valid)
        for k in range(weight.shape[2]):
            unit = np.zeros(weight.shape[2])
            unit[k] = 1
            kernel = normalized.filter(np.eye(len(where)), unit)
            for a, b in itertools.permutations(range(len(where)), 2):
                matrix[where[a], :, where[b], :] += kernel[a, b] * weight[:, :, k]
    void = ~valid.ravel()
    matrix[void] = 0
    matrix[:, :, void] = 0
    flat = matrix.reshape(H * W * L, H * W * L)
    return (flat + flat.T) / 2


def _explicit_energy(crf, q, logits, matrix, valid):
    """Eq. 6 with Eq. 3, one image, numpy."""
    z = np.exp(logits) / np.exp(logits).sum(axis=0)
    unary = -crf.unary_weight.item() * np.log(z + crf.eps)
    flat = (q * valid).reshape(L, -1).T.ravel()
    return (unary * q * valid).sum() + flat @ matrix @ flat / 2


def _explicit_gradient(crf, q, logits, matrix):
    """Eq. 7."""
    z = np.exp(logits) / np.exp(logits).sum(axis=0)
    unary = -crf.unary_weight.item() * np.log(z + crf.eps)
    pairwise = matrix @ q.reshape(L, -1).T.ravel()
    return unary + pairwise.reshape(H * W, L).T.reshape(L, H, W)


# Tests import no helper from a conftest; they are given these as they are.
inputs = pytest.fixture(scope="session")(lambda: _inputs)
layer = pytest.fixture(scope="session")(lambda: _layer)
pair_matrix = pytest.fixture(scope="session")(lambda: _pair_matrix)
explicit_energy = pytest.fixture(scope="session")(lambda: _explicit_energy)
explicit_gradient = pytest.fixture(scope="session")(lambda: _explicit_gradient)
