"""Random problems that the tests of all solvers share."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from rerank.crf import PottsEnergy


def _random_energy(
    rng: np.random.Generator,
    n_nodes: int,
    n_labels: int,
    tables: str | None = None,
    seeds: bool = True,
) -> PottsEnergy:
    """A small problem with edges in mixed orders, some weights of zero, isolated nodes and seeds.

    `tables` is None (Potts), "metric", or "any" (one or one an edge, asymmetric, negative).
    """
    pairs = np.array(list(itertools.combinations(range(n_nodes), 2)), dtype=int).reshape(-1, 2)
    edges = rng.permutation(pairs[rng.random(len(pairs)) < 0.6])
    backwards = rng.random(len(edges)) < 0.5
    edges[backwards] = edges[backwards][:, ::-1]
    weights = rng.random(len(edges)) * rng.choice([0.3, 1.0, 3.0])
    weights[rng.random(len(edges)) < 0.1] = 0.0
    unary = rng.normal(size=(n_nodes, n_labels)) * rng.choice([1.0, 10.0])
    if seeds and rng.random() < 0.3:
        size = 10.0 ** rng.integers(3, 7)
        unary[rng.integers(n_nodes), rng.integers(n_labels)] = size * rng.choice([-1, 1])
    compatibility = None
    if tables == "any":
        shape = (n_labels, n_labels) if rng.random() < 0.5 else (len(edges), n_labels, n_labels)
        compatibility = rng.normal(size=shape)
    elif tables == "metric":
        places = rng.random((n_labels, 3))
        compatibility = abs(places[:, None] - places).sum(axis=2)
    return PottsEnergy(unary, edges, weights, compatibility)


def _all_labelings(energy: PottsEnergy) -> np.ndarray:
    return np.array(list(itertools.product(range(energy.n_labels), repeat=energy.n_nodes)))


def _grid_energy(
    rng: np.random.Generator, height: int, width: int, n_labels: int, strength: float
) -> PottsEnergy:
    """A 4-connected grid of noisy blobs."""
    index = np.arange(height * width).reshape(height, width)
    edges = np.concatenate(
        [
            np.stack([index[:, :-1].ravel(), index[:, 1:].ravel()], axis=1),
            np.stack([index[:-1].ravel(), index[1:].ravel()], axis=1),
        ]
    )
    centres = rng.random((2 * n_labels, 2)) * [height, width]
    places = np.stack(np.divmod(np.arange(height * width), width), axis=1)
    nearest = ((places[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
    unary = rng.normal(size=(height * width, n_labels))
    unary[np.arange(height * width), nearest % n_labels] -= 1.5
    return PottsEnergy(unary, edges, strength * rng.random(len(edges)))


# Tests import no helper from a conftest; they are given these as they are.
random_energy = pytest.fixture(scope="session")(lambda: _random_energy)
grid_energy = pytest.fixture(scope="session")(lambda: _grid_energy)
all_labelings = pytest.fixture(scope="session")(lambda: _all_labelings)
