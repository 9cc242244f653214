from __future__ import annotations

import pickle

import numpy as np
import pytest

from rerank.crf import PottsEnergy
from rerank.crf.energy_arrays import labeling_cost
from rerank.errors import InputError


def loop_energy(energy: PottsEnergy, labeling: np.ndarray) -> float:
    total = sum(energy.unary[i, labeling[i]] for i in range(energy.n_nodes))
    for e, (i, j) in enumerate(energy.edges):
        a, b = labeling[i], labeling[j]
        if energy.compatibility is None:
            cost = float(a != b)
        elif energy.compatibility.ndim == 2:
            cost = energy.compatibility[a, b]
        else:
            cost = energy.compatibility[e, a, b]
        total += energy.weights[e] * cost
    return float(total)


@pytest.mark.parametrize("tables", [None, "metric", "any"])
def test_agrees_with_a_loop_over_nodes_and_edges(random_energy, tables):
    rng = np.random.default_rng(0)
    for _ in range(50):
        energy = random_energy(rng, int(rng.integers(1, 7)), int(rng.integers(1, 5)), tables)
        labelings = rng.integers(energy.n_labels, size=(4, energy.n_nodes))
        expected = [loop_energy(energy, row) for row in labelings]
        np.testing.assert_allclose(energy.evaluate(labelings), expected, rtol=1e-13, atol=1e-12)
        one = energy.evaluate(labelings[0].astype(np.uint8))
        assert isinstance(one, float)
        assert one == pytest.approx(expected[0], rel=1e-13, abs=1e-12)


def test_no_labelings_have_no_energies():
    energy = PottsEnergy(np.zeros((2, 3)), np.array([[0, 1]]), np.ones(1))
    assert energy.evaluate(np.zeros((0, 2), dtype=int)).shape == (0,)


def test_copies_and_freezes_its_arrays():
    unary, edges, weights = np.zeros((2, 2)), np.array([[0, 1]]), np.ones(1)
    energy = PottsEnergy(unary, edges, weights)
    unary[0, 0] = weights[0] = 9.0
    edges[0] = 1, 0
    assert energy.evaluate(np.array([0, 1])) == 1.0
    for array in (energy.unary, energy.edges, energy.weights):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    with pytest.raises(AttributeError):
        energy.unary = unary  # type: ignore[misc]


def test_takes_integers_lists_and_no_edges():
    energy = PottsEnergy([[1, 2], [3, 4]], [], [])  # type: ignore[arg-type]
    assert energy.unary.dtype == np.float64
    assert (energy.n_nodes, energy.n_labels, energy.edges.shape) == (2, 2, (0, 2))
    assert energy.evaluate([1, 0]) == 5.0


def test_with_weights_changes_the_weights_alone():
    energy = PottsEnergy(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[1, 0]]), np.array([0.5]))
    assert energy.pairwise.weights[0] == 0.5
    other = energy.with_weights(np.array([2]))
    assert other.adjacency is energy.adjacency and other.pairwise.weights[0] == 2.0
    assert other.evaluate(np.array([0, 1])) == 4.0 and energy.evaluate(np.array([0, 1])) == 2.5
    assert other.evaluate(np.array([0, 0])) == energy.evaluate(np.array([0, 0])) == 1.0
    with pytest.raises(InputError, match=r"shape \(1,\)"):
        energy.with_weights(np.zeros(2))
    with pytest.raises(InputError, match="at least 0"):
        energy.with_weights(np.array([-1.0]))


def test_with_unary_changes_the_unary_alone():
    energy = PottsEnergy(
        np.zeros((2, 2)), np.array([[1, 0]]), np.array([0.5]), np.array([[0.0, 2.0], [3.0, 0.0]])
    )
    assert energy.lowest.shape == (2,)
    other = energy.with_unary(np.array([[1.0, 0.0], [0.0, 1.0]]))
    np.testing.assert_array_equal(energy.with_unary(np.full((2, 2), 3.0)).lowest, [3.0, 3.0])
    assert other.adjacency is energy.adjacency
    assert other.evaluate(np.array([1, 0])) == 1.0
    assert energy.evaluate(np.array([1, 0])) == 1.0
    assert energy.evaluate(np.array([0, 1])) == 1.5
    assert other.evaluate(np.array([0, 1])) == 3.5
    with pytest.raises(InputError, match=r"shape \(2, 2\), got \(3, 2\)"):
        energy.with_unary(np.zeros((3, 2)))
    with pytest.raises(InputError, match="finite"):
        energy.with_unary(np.full((2, 2), np.nan))


def test_survives_pickling():
    energy = PottsEnergy(np.eye(3), np.array([[0, 1], [1, 2]]), np.array([0.5, 0.25]))
    copy = pickle.loads(pickle.dumps(energy))
    assert copy.evaluate(np.array([0, 1, 1])) == energy.evaluate(np.array([0, 1, 1]))


GOOD = {"unary": np.zeros((3, 2)), "edges": np.array([[0, 1], [1, 2]]), "weights": np.ones(2)}


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"unary": np.array([[0.0, np.nan], [0, 0], [0, 0]])}, r"unary must be finite.*\[0, 1\]"),
        ({"unary": np.full((3, 2), np.inf)}, "unary must be finite"),
        ({"unary": np.zeros(3)}, r"unary must have shape \(n_nodes, n_labels\)"),
        ({"unary": np.zeros((3, 0))}, "both at least 1"),
        ({"unary": np.zeros((0, 2))}, "both at least 1"),
        ({"unary": np.zeros((3, 2), dtype=complex)}, "real numbers, got complex128"),
        ({"unary": np.full((3, 2), "a")}, "real numbers"),
        ({"edges": np.array([[0, 1], [1, 0]])}, r"occur once.*edges\[1\] is \(1, 0\)"),
        ({"edges": np.array([[0, 1], [0, 1]])}, "occur once"),
        ({"edges": np.array([[0, 1], [2, 2]])}, r"two different nodes; edges\[1\] is \(2, 2\)"),
        ({"edges": np.array([[0, 1], [1, 3]])}, r"nodes in 0..2; edges\[1\] is \(1, 3\)"),
        ({"edges": np.array([[0, -1], [1, 2]])}, "nodes in 0..2"),
        ({"edges": np.array([[0.0, 1.0], [1.0, 2.0]])}, "edges must be integers"),
        ({"edges": np.array([0, 1])}, r"edges must have shape \(m, 2\)"),
        ({"weights": np.ones(3)}, r"weights must have shape \(2,\)"),
        ({"weights": np.array([1.0, -0.5])}, r"weights\[1\] is -0.5"),
        ({"weights": np.array([1.0, np.nan])}, "weights must be finite"),
        ({"compatibility": np.zeros((3, 3))}, r"shape \(2, 2\) or \(2, 2, 2\), got \(3, 3\)"),
        ({"compatibility": np.full((2, 2), np.nan)}, "compatibility must be finite"),
    ],
)
def test_refuses(changes, message):
    with pytest.raises(InputError, match=message):
        PottsEnergy(**{**GOOD, **changes})


@pytest.mark.parametrize(
    "labeling, message",
    [
        (np.array([0, 1]), r"shape \(3,\) or \(M, 3\), got \(2,\)"),
        (np.array([0, 1, 2]), "labels 0..1, found 2"),
        (np.array([0, -1, 0]), "found -1"),
        (np.array([0.0, 1.0, 0.0]), "must be integers"),
    ],
)
def test_evaluate_refuses(labeling, message):
    with pytest.raises(InputError, match=message):
        PottsEnergy(**GOOD).evaluate(labeling)


def test_arrays_hold_the_energy_less_the_lowest_costs(random_energy):
    rng = np.random.default_rng(6)
    for tables in (None, "metric", "any"):
        energy = random_energy(rng, 7, 3, tables, seeds=False)
        arrays = energy.arrays()
        assert arrays.graph is energy.adjacency and arrays.pairwise.weights is energy.weights
        labeling = rng.integers(3, size=7)
        assert labeling_cost(arrays, labeling) + energy.unary.min(axis=1).sum() == pytest.approx(
            energy.evaluate(labeling), abs=1e-12
        )
        theta = energy.unary.copy()
        assert energy.arrays(theta).theta is theta
