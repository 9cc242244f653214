from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank.crf import PottsEnergy
from rerank.errors import InputError
from rerank.proposals import div_mbest
from rerank.proposals.divmbest import div_mbest_each

METHODS = ["trws", "graph_cut", "alpha_expansion", "icm"]


def agreement(labelings, earlier, node_weights, class_weights):
    """How much each labeling repeats the earlier ones, by a loop over them."""
    total = np.zeros(len(labelings))
    for row in earlier:
        total += ((labelings == row) * node_weights * class_weights[labelings]).sum(axis=1)
    return total


@pytest.mark.parametrize(
    "method, n_labels",
    [("trws", 2), ("trws", 3), ("graph_cut", 2), ("alpha_expansion", 3), ("alpha_expansion", 2)],
)
def test_each_row_minimises_its_augmented_energy(small_energy, every_labeling, method, n_labels):
    rng = np.random.default_rng(0)
    solved = []
    for _ in range(100):
        energy = small_energy(rng, 6, n_labels)
        nodes, classes = rng.random(6), rng.random(n_labels)
        options = {"map_iterations": 200, "iterations": 200} if method == "trws" else {}
        found = div_mbest(
            energy, 5, 0.7, method=method, node_weights=nodes, class_weights=classes, **options
        )
        everything = every_labeling(energy)
        for k in range(5):
            earlier = found.labelings[:k]
            costs = energy.evaluate(everything) + 0.7 * agreement(
                everything, earlier, nodes, classes
            )
            own = found.labelings[k : k + 1]
            repeated = 0.7 * agreement(own, earlier, nodes, classes)[0]
            cost = energy.evaluate(own)[0] + repeated
            solved.append(cost <= costs.min() + 1e-9)
            # The bound holds for every labeling that agrees with the earlier ones no more.
            others = agreement(everything, earlier, nodes, classes) <= repeated / 0.7 + 1e-12
            assert found.lower_bounds[k] <= energy.evaluate(everything)[others].min() + 1e-9
            assert found.lower_bounds[k] <= found.energies[k]
            if found.gaps[k] == 0:
                assert solved[-1]
    assert (
        np.mean(solved) == 1 if method == "graph_cut" or n_labels == 2 else np.mean(solved) >= 0.98
    )


@pytest.mark.parametrize("iterations, relaxation", [(1, 1.0), (1, 1.5), (1.5, 1.25), (2, 4.0)])
def test_bounds_hold_after_few_relaxed_passes(small_energy, every_labeling, iterations, relaxation):
    rng = np.random.default_rng(4)
    tight = []
    for trial in range(120):
        # Of 2, 3, 6 and 7 labels some are computed with one or two more that nobody takes.
        energy = small_energy(rng, 4, 2 + trial % 6)
        found = div_mbest(
            energy,
            4,
            0.5,
            method="trws",
            map_iterations=1,
            iterations=iterations,
            relaxation=relaxation,
        )
        everything = every_labeling(energy)
        for k in range(4):
            earlier = found.labelings[:k]
            repeated = agreement(
                found.labelings[k : k + 1], earlier, np.ones(4), np.ones(energy.n_labels)
            )
            others = (
                agreement(everything, earlier, np.ones(4), np.ones(energy.n_labels))
                <= repeated + 1e-12
            )
            least = energy.evaluate(everything)[others].min()
            assert found.lower_bounds[k] <= least + 1e-9
            tight.append(found.lower_bounds[k] >= least - 1e-9)
    assert 0.2 < np.mean(tight) < 1


def test_relaxed_passes_come_closer_on_a_grid(grid_context):
    gaps = {}
    for relaxation in (1.0, 1.25):
        rng = np.random.default_rng(5)
        energies = [grid_context(rng, 11, height=12, width=12).energy for _ in range(10)]
        gaps[relaxation] = np.mean(
            [
                div_mbest(energy, 10, 0.2, iterations=1.5, relaxation=relaxation).gaps.mean()
                for energy in energies
            ]
        )
    assert gaps[1.25] < gaps[1.0]


@pytest.mark.parametrize("method", METHODS)
def test_contract(small_energy, method):
    rng = np.random.default_rng(1)
    energy = small_energy(rng, 12, 2 if method == "graph_cut" else 4)
    found = div_mbest(energy, 6, 0.4, method=method)
    assert found.labelings.shape == (6, 12)
    assert found.energies.dtype == np.float64
    np.testing.assert_array_equal(found.energies, energy.evaluate(found.labelings))
    assert (found.gaps >= 0).all()
    assert found.generators == ("div_mbest",) * 6
    assert found.parameters[2] == {"diversity": 0.4, "method": method, "mode": 2}
    again = div_mbest(energy, 6, 0.4, method=method)
    np.testing.assert_array_equal(found.labelings, again.labelings)
    longer = div_mbest(energy, 9, 0.4, method=method)
    np.testing.assert_array_equal(found.labelings, longer.labelings[:6])


def test_auto_cuts_two_labels_and_passes_messages_for_more(small_energy):
    rng = np.random.default_rng(2)
    assert div_mbest(small_energy(rng, 5, 2), 2, 0.1).parameters[0]["method"] == "graph_cut"
    assert div_mbest(small_energy(rng, 5, 3), 2, 0.1).parameters[0]["method"] == "trws"
    repelling = PottsEnergy(np.zeros((2, 2)), np.array([[0, 1]]), np.ones(1), np.eye(2))
    found = div_mbest(repelling, 2, 0.1)
    assert found.parameters[0]["method"] == "trws"
    assert sorted(found.labelings[0].tolist()) == [0, 1]


def test_auto_checks_the_options_that_a_cut_has_no_use_for(small_energy):
    energy = small_energy(np.random.default_rng(5), 6, 2)
    plain = div_mbest(energy, 3, 0.3)
    found = div_mbest(energy, 3, 0.3, iterations=1.5)
    np.testing.assert_array_equal(found.labelings, plain.labelings)
    with pytest.raises(InputError, match="iterations must be at least 1"):
        div_mbest(energy, 3, 0.3, iterations=0)
    with pytest.raises(InputError, match="'graph_cut' has no option 'max_cycles'"):
        div_mbest(energy, 3, 0.3, max_cycles=2)


def test_zero_diversity_repeats_the_map(small_energy):
    energy = small_energy(np.random.default_rng(3), 8, 3)
    found = div_mbest(energy, 4, 0.0)
    assert (found.labelings == found.labelings[0]).all()
    assert len(found.distinct()) == 1


def test_weights_of_zero_leave_nodes_and_classes_alone():
    energy = PottsEnergy(
        np.array([[0.0, 1.0, 1.0], [0.0, 1.0, 1.0]]), np.zeros((0, 2), int), np.zeros(0)
    )
    by_node = div_mbest(energy, 3, 2.0, node_weights=np.array([0.0, 1.0]))
    assert by_node.labelings[:, 0].tolist() == [0, 0, 0]
    assert sorted(by_node.labelings[:, 1].tolist()) == [0, 1, 2]
    by_class = div_mbest(energy, 3, 2.0, class_weights=np.array([0.0, 1.0, 1.0]))
    assert (by_class.labelings == 0).all()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), diversity=st.floats(0, 5), n_labels=st.integers(1, 4))
def test_the_map_row_bounds_all_energies(small_energy, seed, diversity, n_labels):
    energy = small_energy(np.random.default_rng(seed), 7, n_labels)
    found = div_mbest(energy, 4, diversity)
    assert (found.energies >= found.lower_bounds[0] - 1e-9).all()
    if found.gaps[0] == 0:
        assert (found.energies >= found.energies[0] - 1e-9).all()


def test_strong_seeds_are_kept(small_energy):
    energy = small_energy(np.random.default_rng(4), 10, 3)
    unary = energy.unary.copy()
    unary[4] = [1e6, 0.0, 1e6]
    found = div_mbest(energy.with_unary(unary), 5, 0.5)
    assert (found.labelings[:, 4] == 1).all()
    assert len(found.distinct()) == 5


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"n_proposals": 0}, "n_proposals must be at least 1"),
        ({"diversity": -0.1}, "diversity must be finite and at least 0"),
        ({"diversity": np.nan}, "diversity must be finite"),
        ({"method": "magic"}, "method must be auto or one of"),
        ({"method": "trws", "max_cycles": 2}, "'trws' has no option 'max_cycles'"),
        ({"method": "icm", "max_cycles": 2}, "'icm' has no option 'max_cycles'"),
        ({"method": "graph_cut"}, "needs 2 labels"),
        ({"method": "graph_cut", "iterations": 2}, "'graph_cut' has no option 'iterations'"),
        ({"method": "icm", "relaxation": 1.0}, "'icm' has no option 'relaxation'"),
        ({"max_cycles": 2}, "'trws' has no option 'max_cycles'"),
        ({"map_iterations": 0}, "must be at least 1"),
        ({"iterations": 0}, "must be at least 1"),
        ({"node_weights": np.ones(3)}, r"node_weights must have shape \(4,\)"),
        ({"node_weights": np.array([1, 1, 1, -1.0])}, "node_weights must be at least 0"),
        ({"class_weights": np.array([1, np.inf, 1])}, "class_weights must be finite"),
        ({"iterations": 1.2}, "iterations must be at least 1, in steps of 1 and 1/2"),
        ({"relaxation": 0.5}, "relaxation must be finite and at least 1"),
        ({"relaxation": np.nan}, "relaxation must be finite and at least 1"),
    ],
)
def test_refuses(arguments, message):
    energy = PottsEnergy(np.zeros((4, 3)), np.array([[0, 1]]), np.ones(1))
    with pytest.raises(InputError, match=message):
        div_mbest(energy, **{"n_proposals": 2, "diversity": 0.1, **arguments})


@pytest.mark.parametrize(("n_labels", "method"), [(2, "auto"), (4, "auto"), (3, "icm")])
def test_labelings_of_several_diversities_are_those_of_each(n_labels, method):
    rng = np.random.default_rng(3)
    edges = np.array([[i, i + 1] for i in range(29)])
    energy = PottsEnergy(rng.normal(size=(30, n_labels)), edges, rng.random(29))
    weights = rng.uniform(0.5, 2.0, size=30)
    found = div_mbest_each(energy, 5, (0.1, 0.7), method=method, node_weights=weights)
    for rows, diversity in zip(found, (0.1, 0.7)):
        alone = div_mbest(energy, 5, diversity, method=method, node_weights=weights)
        np.testing.assert_array_equal(rows, alone.labelings)
