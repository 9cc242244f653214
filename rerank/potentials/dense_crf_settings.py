"""Parameters of the fully connected CRF as one flat record, as recipes and commands write them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rerank.errors import ConfigError, InputError
from rerank.layers import BilateralKernel, GaussianKernel, UnaryFromSoftmax, dense_crf


@dataclass(frozen=True)
class DenseCRFSettings:
    """Parameters of `dense_crf`, whose defaults are those of pydensecrf.

    Attributes
    ----------
    n_iterations : int
        At least 0.
    gaussian_sxy, gaussian_compat : float
        Of ``addPairwiseGaussian``, in pixels and as a Potts weight; weight 0 leaves it out.
    bilateral_sxy, bilateral_srgb, bilateral_compat : float
        Of ``addPairwiseBilateral``, in pixels, in 0..255, and as a Potts weight.
    normalization : str
        ``"symmetric"``, ``"before"``, ``"after"`` or ``"none"``.
    scale, clip : float
        Of ``unary_from_softmax``.

    Raises
    ------
    ConfigError
        If a number is out of range or `normalization` unknown.
    """

    n_iterations: int = 5
    gaussian_sxy: float = 3.0
    gaussian_compat: float = 3.0
    bilateral_sxy: float = 80.0
    bilateral_srgb: float = 13.0
    bilateral_compat: float = 10.0
    normalization: str = "symmetric"
    scale: float = 1.0
    clip: float = 1e-5

    def __post_init__(self) -> None:
        try:
            dense_crf(np.full((1, 1, 1), 1.0), np.zeros((1, 1, 3)), **self.arguments())
        except InputError as error:
            raise ConfigError(f"dense CRF: {error}") from error

    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of `dense_crf`."""
        return {
            "n_iterations": self.n_iterations,
            "gaussian": GaussianKernel(self.gaussian_sxy, self.gaussian_compat, self.normalization),
            "bilateral": BilateralKernel(
                self.bilateral_sxy, self.bilateral_srgb, self.bilateral_compat, self.normalization
            ),
            "unary": UnaryFromSoftmax(self.scale, self.clip),
        }
