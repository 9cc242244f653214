"""All solvers against exhaustive search, and the contract that they share."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank.crf import METHODS, PottsEnergy, map_inference
from rerank.errors import InputError

N_PROBLEMS = 1500


def methods_for(energy: PottsEnergy, tables: str | None) -> list[str]:
    methods = ["icm", "trws"]
    if tables != "any":
        methods += ["alpha_expansion"] + (["graph_cut"] if energy.n_labels <= 2 else [])
    return methods


@pytest.mark.parametrize("tables", [None, "metric", "any"])
def test_against_exhaustive_search(random_energy, all_labelings, tables):
    rng = np.random.default_rng(["None", "metric", "any"].index(str(tables)))
    solved = dict.fromkeys(METHODS, 0)
    tried = dict.fromkeys(METHODS, 0)
    for _ in range(N_PROBLEMS):
        energy = random_energy(rng, int(rng.integers(1, 7)), int(rng.integers(1, 4)), tables)
        best = energy.evaluate(all_labelings(energy)).min()
        # Rounding of the sums, which a seed of 1e6 makes coarse.
        slack = 1e-11 + 1e-14 * abs(energy.unary).max()
        for method in methods_for(energy, tables):
            result = map_inference(energy, method)
            assert result.energy == energy.evaluate(result.labeling)
            assert result.lower_bound <= best + slack
            assert result.gap >= 0
            found = result.energy <= best + slack
            if result.optimal:
                assert found and result.gap == 0
            tried[method] += 1
            solved[method] += found
    assert solved["graph_cut"] == tried["graph_cut"]
    assert solved["trws"] >= 0.99 * tried["trws"]
    assert solved["alpha_expansion"] >= 0.99 * tried["alpha_expansion"]
    assert solved["icm"] >= 0.9 * tried["icm"]


def test_two_labels_are_exact_under_hard_seeds(random_energy, all_labelings):
    rng = np.random.default_rng(3)
    for _ in range(200):
        energy = random_energy(rng, 8, 2, seeds=False)
        unary = energy.unary.copy()
        for node in rng.choice(8, size=2, replace=False):
            unary[node, rng.integers(2)] += 10.0 ** rng.integers(3, 7)
        energy = energy.with_unary(unary)
        best = energy.evaluate(all_labelings(energy)).min()
        for method in ("graph_cut", "alpha_expansion", "trws"):
            result = map_inference(energy, method)
            assert result.energy == pytest.approx(best, rel=1e-15, abs=1e-12)
            assert result.optimal


@pytest.mark.parametrize("method", METHODS)
def test_degenerate_graphs(method):
    alone = PottsEnergy([[3.0, 1.0]], [], [])  # type: ignore[arg-type]
    one_label = PottsEnergy(np.array([[2.0], [3.0]]), np.array([[0, 1]]), np.ones(1))
    free = PottsEnergy(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[0, 1]]), np.zeros(1))
    for energy, labels, value in ((alone, [1], 1.0), (one_label, [0, 0], 5.0), (free, [1, 0], 0.0)):
        result = map_inference(energy, method)
        assert result.labeling.tolist() == labels
        assert (result.energy, result.lower_bound, result.optimal) == (value, value, True)


@pytest.mark.parametrize("method", METHODS)
def test_never_worse_than_init(random_energy, method):
    rng = np.random.default_rng(4)
    for _ in range(50):
        energy = random_energy(rng, 6, 2 if method == "graph_cut" else 4)
        init = rng.integers(energy.n_labels, size=6)
        assert map_inference(energy, method, init=init).energy <= energy.evaluate(init) + 1e-12
    # A labeling that is already as good is kept, also where another is equally good.
    flat = PottsEnergy(np.zeros((3, 2)), np.array([[0, 1], [1, 2]]), np.ones(2))
    assert map_inference(flat, method, init=np.ones(3, dtype=int)).labeling.tolist() == [1, 1, 1]


@pytest.mark.parametrize("n_labels, strength", [(3, 0.5), (6, 1.0), (6, 2.0)])
def test_methods_agree_on_grids(grid_energy, n_labels, strength):
    energy = grid_energy(np.random.default_rng(n_labels), 17, 23, n_labels, strength)
    results = {
        method: map_inference(energy, method) for method in ("icm", "alpha_expansion", "trws")
    }
    bound = results["trws"].lower_bound
    assert all(result.energy >= bound - 1e-9 for result in results.values())
    assert results["trws"].gap <= 0.002 * abs(bound)
    assert results["alpha_expansion"].energy <= results["icm"].energy
    assert results["trws"].energy <= results["alpha_expansion"].energy + 1e-9
    asked = map_inference(energy, "alpha_expansion", bound_iterations=50)
    assert asked.lower_bound > results["alpha_expansion"].lower_bound
    assert asked.gap <= 0.02 * abs(bound)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    shift=st.floats(-100, 100),
    factor=st.floats(0.01, 100),
    method=st.sampled_from(sorted(METHODS)),
)
def test_constants_and_factors_do_not_move_the_energy(random_energy, seed, shift, factor, method):
    rng = np.random.default_rng(seed)
    energy = random_energy(rng, 6, 2, seeds=False)
    other = PottsEnergy(energy.unary * factor + shift, energy.edges, energy.weights * factor)
    plain, moved = map_inference(energy, method), map_inference(other, method)
    scale = 1e-9 * (1 + factor + abs(shift))
    assert moved.energy == pytest.approx(plain.energy * factor + 6 * shift, abs=100 * scale)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), method=st.sampled_from(["trws", "alpha_expansion"]))
def test_names_of_nodes_and_labels_do_not_matter_where_optimal(random_energy, seed, method):
    rng = np.random.default_rng(seed)
    energy = random_energy(rng, 6, 3, seeds=False)
    nodes, labels = rng.permutation(6), rng.permutation(3)
    renamed = PottsEnergy(
        energy.unary[np.ix_(nodes, labels)], np.argsort(nodes)[energy.edges], energy.weights
    )
    plain, other = map_inference(energy, method), map_inference(renamed, method)
    if plain.optimal and other.optimal:
        assert plain.energy == pytest.approx(other.energy, abs=1e-10)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"method": "belief"}, "method must be one of"),
        (
            {"method": "icm", "max_iterations": 3},
            "'icm' has no option 'max_iterations'.*max_sweeps",
        ),
        ({"method": "icm", "max_sweeps": 0}, "max_sweeps must be at least 1"),
        ({"method": "icm", "bound_iterations": -1}, "bound_iterations must be at least 0"),
        ({"method": "alpha_expansion", "max_cycles": 0}, "max_cycles must be at least 1"),
        ({"method": "trws", "max_iterations": 0}, "max_iterations must be at least 1"),
        ({"method": "trws", "relaxation": 0.9}, "relaxation must be finite and at least 1"),
        ({"method": "trws", "tolerance": -1.0}, "tolerance must be at least 0"),
        ({"method": "trws", "init_messages": np.zeros((1, 2))}, r"shape \(1, 3\), got \(1, 2\)"),
        ({"method": "trws", "init_messages": np.full((1, 3), np.nan)}, "must be finite"),
        ({"method": "graph_cut"}, "needs 2 labels, got 3"),
        ({"init": np.array([0, 3])}, "init must hold labels 0..2, found 3"),
        ({"init": np.array([0])}, r"init must have shape \(2,\), got \(1,\)"),
    ],
)
def test_refuses(arguments, message):
    energy = PottsEnergy(np.zeros((2, 3)), np.array([[0, 1]]), np.ones(1))
    with pytest.raises(InputError, match=message):
        map_inference(energy, **arguments)


def test_refuses_what_is_no_energy():
    with pytest.raises(InputError, match="must be a PottsEnergy, got ndarray"):
        map_inference(np.zeros((2, 3)))  # type: ignore[arg-type]
