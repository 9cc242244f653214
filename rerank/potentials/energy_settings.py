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


class ImageEnergies:
    """The energies of one image under many settings: what these share is made once.

    Parameters
    ----------
    probabilities : (n, C) float array
        Of the superpixels.
    graph : RegionGraph
    """

    def __init__(self, probabilities: FloatArray, graph: RegionGraph) -> None:
        unary = unary_from_probabilities(np.asarray(probabilities, dtype=np.float64), graph.areas)
        self._graph = graph
        self._areas = (graph.areas / graph.areas.mean())[:, None]
        self._plain = PottsEnergy(unary, graph.edges, np.zeros(graph.n_edges))
        self._unit_weights: dict[tuple[float, float], FloatArray] = {}

    def under(self, settings: EnergySettings) -> PottsEnergy:
        """What `potts_energy` makes with these settings, up to rounding."""
        energy = self.biased(settings.class_bias)
        if settings.potts_weight == 0:
            return energy
        return energy.with_weights(self.weights(settings))

    def biased(self, class_bias: tuple[float, ...]) -> PottsEnergy:
        """The energy without pairwise costs under a class bias."""
        energy = self._plain
        if any(class_bias):
            energy = energy.with_unary(energy.unary - self._areas * np.array(class_bias))
        return energy

    def weights(self, settings: EnergySettings) -> FloatArray:
        """Weights of the edges, (m,)."""
        key = settings.contrast_scale, settings.base
        if key not in self._unit_weights:
            self._unit_weights[key] = contrast_potts_weights(
                self._graph, 1.0, contrast_scale=key[0], base=key[1]
            )
        return settings.potts_weight * self._unit_weights[key]


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
