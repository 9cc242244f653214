"""What each generator beside DivMBest promises of its own."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from rerank.crf import PottsEnergy, map_inference
from rerank.proposals import (
    ClassBias,
    DivMBest,
    LabelCoverage,
    LabelSwap,
    ProposalContext,
    RegionMerging,
    SettingsGrid,
    div_mbest,
    label_components,
)


@pytest.fixture
def context(grid_context) -> ProposalContext:
    return grid_context(np.random.default_rng(7), 4)


def test_regions_change_as_a_whole(context):
    component = context.regions("components")
    found = DivMBest(2.0, regions="components").generate(context, 6)
    for row in found.labelings:
        for number in range(component.max() + 1):
            assert len(set(row[component == number])) == 1
    assert len(found.distinct()) == 6
    np.testing.assert_array_equal(found.labelings[0], context.map_result.labeling)


def test_area_and_class_weights_reach_div_mbest(context):
    found = DivMBest(0.3, per="area", class_weights=(1.0, 2.0, 0.0, 1.0)).generate(context, 5)
    direct = div_mbest(
        context.energy,
        5,
        0.3,
        node_weights=context.areas / context.areas.mean(),
        class_weights=np.array([1.0, 2.0, 0.0, 1.0]),
    )
    np.testing.assert_array_equal(found.labelings, direct.labelings)


def test_swaps_change_one_component_each(context):
    base = context.map_result.labeling
    component = context.regions("components")
    found = LabelSwap(alternatives=3, area_power=0.0).generate(context, 40)
    assert len(found.distinct()) == len(found)
    for row, parameters in zip(found.labelings[1:], found.parameters[1:]):
        assert set(component[row != base]) == {parameters["component"]}
        assert set(row[row != base]) == {parameters["label"]}
        np.testing.assert_array_equal(component == parameters["component"], row != base)
    # Power 0 sorts by the energy raised.
    assert (np.diff(found.energies) >= -1e-9).all()
    flips = [
        context.energy.evaluate(np.where(component == k, label, base))
        for k, label in itertools.product(range(component.max() + 1), range(4))
    ]
    raised = [value for value in sorted(flips) if value > found.energies[0] + 1e-12]
    assert found.energies[1] == pytest.approx(raised[0])


def test_large_components_come_first_under_area_power(context):
    areas = context.node_areas
    base = context.map_result.labeling
    changed = [
        areas[row != base].sum()
        for power in (0.0, 2.0)
        for row in LabelSwap(3, power).generate(context, 6).labelings[1:]
    ]
    assert np.mean(changed[5:]) > np.mean(changed[:5])


def test_bias_moves_its_class(context):
    found = ClassBias(1.0).generate(context, 9)
    area = context.node_areas
    mass = area @ context.probabilities
    ranked = [p["label"] for p in found.parameters[1:] if p["bias"] < 0]
    assert ranked == list(np.argsort(-mass))[: len(ranked)]
    for row, parameters in zip(found.labelings[1:], found.parameters[1:]):
        label = parameters["label"]
        change = area[row == label].sum() - area[found.labelings[0] == label].sum()
        assert change * parameters["bias"] <= 0
        best = context.energy.unary.copy()
        best[:, label] += parameters["bias"]
        biased = context.energy.with_unary(best)
        bound = map_inference(biased, "trws").lower_bound
        assert biased.evaluate(row) <= bound + 0.02 * abs(bound)


def test_weak_weights_free_the_unaries_and_strong_ones_bind(context):
    found = SettingsGrid(factors=(0.0, 100.0), exponents=(1.0,)).generate(context, 5)
    assert len(found) == 3
    np.testing.assert_array_equal(found.labelings[1], context.energy.unary.argmin(axis=1))
    assert len(set(found.labelings[2])) == 1
    parts = [label_components(row, context.energy.edges).max() for row in found.labelings]
    assert parts[1] >= parts[0] >= parts[2]


def test_exponents_keep_edges_without_weight(context):
    energy = context.energy
    weights = np.where(np.arange(len(energy.edges)) % 3 == 0, 0.0, energy.weights)
    cut = ProposalContext(PottsEnergy(energy.unary, energy.edges, weights))
    flat = SettingsGrid(factors=(1.0,), exponents=(0.0,)).generate(cut, 2).labelings[1]
    level = PottsEnergy(energy.unary, energy.edges, np.where(weights > 0, weights.mean(), 0.0))
    assert level.evaluate(flat) <= map_inference(level, "trws").energy + 0.5


def test_merged_labelings_are_constant_and_best(context):
    found = RegionMerging((10, 30)).generate(context, 3)
    for row, size in zip(found.labelings[1:], (10, 30)):
        region = context.regions(size)
        for number in range(region.max() + 1):
            assert len(set(row[region == number])) == 1
    assert found.energies[0] <= found.energies[2] <= found.energies[1] + 1e-9


@pytest.mark.parametrize("of", ["presence", "transition"])
def test_coverage_grows_to_all_labels_for_a_large_reward(grid_context, of):
    context = grid_context(np.random.default_rng(3), 4)
    generator = LabelCoverage(1000.0, of=of)
    found = generator.generate(context, 3)
    shown = set()
    for row in found.labelings:
        if of == "presence":
            shown |= set(row)
        else:
            ends = np.sort(row[context.energy.edges], axis=1)
            shown |= {tuple(pair) for pair in ends if pair[0] != pair[1]}
    assert len(shown) == (4 if of == "presence" else 6)


def coverage(rows, energy, of):
    if of == "presence":
        return set(np.concatenate(rows).tolist())
    ends = np.sort(np.concatenate([row[energy.edges] for row in rows]), axis=1)
    return {tuple(pair) for pair in ends.tolist() if pair[0] != pair[1]}


@pytest.mark.parametrize("of", ["presence", "transition"])
def test_coverage_steps_are_mostly_the_best_ones(small_energy, every_labeling, of):
    rng = np.random.default_rng(4)
    best = []
    for _ in range(40):
        energy = small_energy(rng, 5, 3)
        everything = every_labeling(energy)
        found = LabelCoverage(0.8, of=of).generate(ProposalContext(energy), 3)
        for k in range(1, 3):
            before = coverage(list(found.labelings[:k]), energy, of)
            values = [
                energy.evaluate(row) - 0.8 * len(coverage([row], energy, of) - before)
                for row in everything
            ]
            own = coverage([found.labelings[k]], energy, of) - before
            assert found.parameters[k]["added"] == len(own)
            best.append(found.energies[k] - 0.8 * len(own) <= min(values) + 1e-9)
    assert np.mean(best) >= (0.85 if of == "presence" else 0.7)


@pytest.mark.parametrize("of", ["presence", "transition"])
@pytest.mark.parametrize("regions", ["components", 6])
def test_coverage_of_regions_moves_whole_regions(grid_context, of, regions):
    energy = grid_context(np.random.default_rng(6), 5).energy
    # Labels 3 and 4 are too dear for the MAP labeling.
    context = ProposalContext(energy.with_unary(energy.unary + np.array([0, 0, 0, 9, 9])))
    region = context.regions(regions)
    found = LabelCoverage(1000.0, of=of, regions=regions).generate(context, 4)
    np.testing.assert_array_equal(found.labelings[0], context.map_result.labeling)
    assert found.parameters[1]["added"] > 0
    new = found.labelings[1] != found.labelings[0]
    # Some region took one label as a whole that it had not before.
    whole = [
        r
        for r in range(region.max() + 1)
        if new[region == r].all() and len(set(found.labelings[1][region == r])) == 1
    ]
    assert whole


def test_hamming_tells_repeats_apart(grid_context):
    context = grid_context(np.random.default_rng(5), 3)
    assert len(LabelCoverage(0.0).generate(context, 4).distinct()) == 1
    assert len(LabelCoverage(0.0, hamming=0.5).generate(context, 4).distinct()) == 4
