from __future__ import annotations

import numpy as np
import pytest

from rerank.potentials.energy_settings import EnergySettings, ImageEnergies, potts_energy
from rerank.superpixels import adjacency_graph


@pytest.mark.parametrize("bias", [(), (0.0, 0.0, 0.0), (0.3, -0.1, -0.2)])
@pytest.mark.parametrize("weight", [0.0, 1.7])
def test_shared_energies_equal_single_ones(weight, bias):
    rng = np.random.default_rng(0)
    superpixels = np.arange(12).reshape(3, 4).repeat(5, axis=0).repeat(3, axis=1)
    superpixels[4, :6] = superpixels[5, :6]
    graph = adjacency_graph(superpixels, rng.integers(0, 255, (15, 12, 3), dtype=np.uint8))
    probabilities = rng.dirichlet(np.ones(3), 12)
    shared = ImageEnergies(probabilities, graph)
    for scale, base in ((1.0, 0.0), (4.0, 0.2), (1.0, 0.0)):
        settings = EnergySettings(weight, scale, base, bias)
        expected, found = potts_energy(probabilities, graph, settings), shared.under(settings)
        np.testing.assert_allclose(found.unary, expected.unary, rtol=1e-13, atol=1e-13)
        np.testing.assert_allclose(found.weights, expected.weights, rtol=1e-13)
        np.testing.assert_array_equal(found.edges, expected.edges)
