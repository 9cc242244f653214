"""The CRF's energy from class probabilities of superpixels and its settings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rerank.crf import PottsEnergy
from rerank.potentials.contrast_potts import contrast_potts_weights
from rerank.potentials.unary import unary_from_probabilities
from rerank.superpixels import RegionGraph
from rerank.types import FloatArray


@dataclass(frozen=True)
class EnergySettings:
    """Parameters of the CRF on one source of class probabilities.

    Attributes
    ----------
    potts_weight, contrast_scale, base : float
        Of `contrast_potts_weights`.
    class_bias : (C,) tuple of float
        Added to the log-probabilities; empty for none.
    """

    potts_weight: float
    contrast_scale: float = 1.0
    base: float = 0.0
    class_bias: tuple[float, ...] = ()


def potts_energy(
    probabilities: FloatArray, graph: RegionGraph, settings: EnergySettings
) -> PottsEnergy:
    """The energy of an image: negative log-probabilities by area, contrast-sensitive Potts.

    Parameters
    ----------
    probabilities : (n, C) float array
        Of the superpixels.
    graph : RegionGraph
    settings : EnergySettings

    Returns
    -------
    PottsEnergy
    """
    bias = np.array(settings.class_bias) if settings.class_bias else None
    unary = unary_from_probabilities(
        np.asarray(probabilities, dtype=np.float64), graph.areas, class_bias=bias
    )
    weights = contrast_potts_weights(
        graph, settings.potts_weight, contrast_scale=settings.contrast_scale, base=settings.base
    )
    return PottsEnergy(unary, graph.edges, weights)
