"""Images of superpixels that the tests of all generators share."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from rerank.crf import PottsEnergy
from rerank.proposals import ProposalContext


def _small_energy(rng: np.random.Generator, n_nodes: int, n_labels: int) -> PottsEnergy:
    pairs = np.array(list(itertools.combinations(range(n_nodes), 2)))
    edges = pairs[rng.random(len(pairs)) < 0.5]
    return PottsEnergy(rng.normal(size=(n_nodes, n_labels)), edges, rng.random(len(edges)))


def _grid_context(
    rng: np.random.Generator, n_labels: int, height: int = 9, width: int = 7
) -> ProposalContext:
    """A grid of noisy blobs with unequal areas."""
    index = np.arange(height * width).reshape(height, width)
    edges = np.concatenate(
        [
            np.stack([index[:, :-1].ravel(), index[:, 1:].ravel()], axis=1),
            np.stack([index[:-1].ravel(), index[1:].ravel()], axis=1),
        ]
    )
    places = np.stack(np.divmod(np.arange(height * width), width), axis=1)
    centres = rng.random((6, 2)) * [height, width]
    nearest = ((places[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
    unary = rng.normal(size=(height * width, n_labels)) + 2
    unary[np.arange(height * width), nearest % n_labels] -= 1.5
    energy = PottsEnergy(unary, edges, 0.6 * rng.random(len(edges)))
    areas = rng.integers(20, 90, size=height * width)
    masks = rng.integers(n_labels, size=(4, height * width))
    looks = nearest[:, None] + rng.normal(size=(height * width, 2))
    return ProposalContext(energy, areas=areas, masks=masks, appearance=looks)


@pytest.fixture(scope="session")
def small_energy() -> Callable[..., PottsEnergy]:
    return _small_energy


@pytest.fixture(scope="session")
def grid_context() -> Callable[..., ProposalContext]:
    return _grid_context


@pytest.fixture(scope="session")
def every_labeling() -> Callable[[PottsEnergy], np.ndarray]:
    def every(energy: PottsEnergy) -> np.ndarray:
        return np.array(list(itertools.product(range(energy.n_labels), repeat=energy.n_nodes)))

    return every
