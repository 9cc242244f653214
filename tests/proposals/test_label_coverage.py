"""The cheapest pair of labels across an edge, against all of them."""

from __future__ import annotations

import numpy as np
import pytest

from rerank.crf import PottsEnergy
from rerank.crf.descent import flip_costs
from rerank.proposals.label_coverage import cheapest_pair


def problem(seed: int, tables: str) -> tuple[PottsEnergy, np.ndarray]:
    rng = np.random.default_rng(seed)
    n, n_labels = 7, 4
    edges = np.array([(i, j) for i in range(n) for j in range(i + 1, n) if rng.random() < 0.5])
    shape = {"potts": None, "one": (n_labels, n_labels), "each": (len(edges), n_labels, n_labels)}[
        tables
    ]
    compatibility = None if shape is None else rng.normal(size=shape)
    energy = PottsEnergy(
        rng.exponential(size=(n, n_labels)), edges, rng.exponential(0.5, len(edges)), compatibility
    )
    return energy, rng.integers(0, n_labels, n)


@pytest.mark.parametrize("tables", ["potts", "one", "each"])
@pytest.mark.parametrize("seed", range(12))
def test_no_edge_shows_an_unknown_pair_for_less(seed: int, tables: str) -> None:
    energy, labeling = problem(seed, tables)
    rng = np.random.default_rng(seed)
    known = rng.random((energy.n_labels, energy.n_labels)) < 0.2
    costs = flip_costs(energy.arrays(energy.unary.copy()), labeling)
    before = energy.evaluate(labeling)

    def worth(i: int, left: int, j: int, right: int) -> float:
        changed = labeling.copy()
        changed[i], changed[j] = left, right
        return float(energy.evaluate(changed)) - float(before)

    all_pairs = {
        (i, left, j, right): worth(i, left, j, right)
        for i, j in energy.edges.tolist()
        for left in range(energy.n_labels)
        for right in range(energy.n_labels)
        if left != right and not known[left, right] and not known[right, left]
    }
    (i, left), (j, right) = cheapest_pair(costs, energy, labeling, known)
    assert all_pairs[i, left, j, right] == pytest.approx(min(all_pairs.values()), abs=1e-9)


def test_nothing_is_found_where_all_is_known() -> None:
    energy, labeling = problem(0, "potts")
    costs = np.zeros((energy.n_nodes, energy.n_labels))
    known = np.ones((energy.n_labels, energy.n_labels), dtype=bool)
    assert cheapest_pair(costs, energy, labeling, known) == []
