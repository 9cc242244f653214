"""The contract of all generators."""

from __future__ import annotations

import json

import numpy as np
import pytest

from rerank.crf import PottsEnergy
from rerank.errors import InputError
from rerank.proposals import (
    ClassBias,
    DivMBest,
    ImageColours,
    JointMBest,
    LabelCoverage,
    LabelSwap,
    PerturbAndMAP,
    PosteriorSamples,
    ProposalContext,
    RegionMerging,
    SettingsGrid,
    UserMasks,
    build_generator,
    generator_names,
    run_generator,
)

GENERATORS = [
    DivMBest(),
    DivMBest(0.5, per="area"),
    DivMBest(3.0, per="area", regions="components"),
    DivMBest(1.0, regions=12),
    JointMBest(size=5),
    JointMBest(size=3, per="area"),
    PerturbAndMAP(),
    PerturbAndMAP(noise="superpixels"),
    PerturbAndMAP(2.0, noise=10),
    PerturbAndMAP(noise="components"),
    PosteriorSamples(),
    PosteriorSamples(0.5, 1.0, n_regions=6),
    ClassBias(),
    ClassBias(2.0),
    SettingsGrid(),
    RegionMerging(),
    RegionMerging((5, 9), factor=0.5),
    LabelSwap(),
    LabelSwap(1, area_power=1.0),
    LabelCoverage(),
    LabelCoverage(1.0, of="transition"),
    LabelCoverage(0.5, hamming=0.2),
    LabelCoverage(50.0, regions="components"),
    UserMasks(),
    ImageColours(),
    ImageColours((0.5,), (1.0,), (2,)),
]
IDS = [f"{type(g).__name__}{k}" for k, g in enumerate(GENERATORS)]


def test_every_generator_is_tried_here():
    assert {generator.name for generator in GENERATORS} == set(generator_names())


@pytest.mark.parametrize("n_labels", [2, 4])
@pytest.mark.parametrize("generator", GENERATORS, ids=IDS)
def test_contract(grid_context, generator, n_labels):
    context = grid_context(np.random.default_rng(0), n_labels)
    energy = context.energy
    found = run_generator(generator, context, 8, random_state=3)
    assert 1 <= len(found) <= 8
    assert found.labelings.dtype == np.int64
    np.testing.assert_array_equal(found.energies, energy.evaluate(found.labelings))
    assert (found.gaps >= 0).all()
    assert (found.energies >= context.map_result.lower_bound - 1e-9).all()
    assert set(found.generators) == {generator.name}
    for parameters in found.parameters:
        assert {**parameters, **generator.settings} == parameters
        json.dumps(parameters)

    fresh = ProposalContext(
        energy, context.areas, context.features, context.masks, context.appearance
    )
    fewer = run_generator(generator, fresh, 3, random_state=3)
    np.testing.assert_array_equal(fewer.labelings, found.labelings[:3])
    assert len(run_generator(generator, fresh, 1, random_state=3)) == 1
    other = run_generator(generator, fresh, 8, random_state=4)
    assert np.array_equal(other.labelings, found.labelings) == (not generator.random)


@pytest.mark.parametrize(
    "generator",
    [
        g
        for g in GENERATORS
        if not isinstance(g, (JointMBest, UserMasks, DivMBest, PosteriorSamples))
    ],
    ids=lambda g: type(g).__name__,
)
def test_first_row_is_the_map(grid_context, generator):
    context = grid_context(np.random.default_rng(1), 3)
    first = run_generator(generator, context, 2)
    np.testing.assert_array_equal(first.labelings[0], context.map_result.labeling)


@pytest.mark.parametrize("generator", GENERATORS, ids=IDS)
def test_description_builds_an_equal_generator(generator):
    description = json.loads(json.dumps(generator.describe()))
    assert build_generator(description) == generator


@pytest.mark.parametrize(
    "generator",
    [g for g in GENERATORS if not isinstance(g, UserMasks)],
    ids=[i for i in IDS if "User" not in i],
)
def test_degenerate_images(generator):
    for energy in (
        PottsEnergy(np.array([[0.3, 0.1, 0.2]]), np.zeros((0, 2), int), np.zeros(0)),
        PottsEnergy(np.array([[0.3], [0.1]]), np.array([[0, 1]]), np.ones(1)),
        PottsEnergy(np.zeros((4, 3)), np.array([[0, 1], [2, 3]]), np.zeros(2)),
    ):
        context = ProposalContext(energy, appearance=np.zeros((energy.n_nodes, 2)))
        found = run_generator(generator, context, 4)
        assert found.labelings.shape[1] == energy.n_nodes
        np.testing.assert_array_equal(found.energies, energy.evaluate(found.labelings))


@pytest.mark.parametrize(
    "description, message",
    [
        ({"generator": "magic"}, "generator must be one of class_bias, div_mbest.*got 'magic'"),
        ({"diversity": 1.0}, "got None"),
        ({"generator": "div_mbest", "strength": 1}, "'div_mbest' has no setting 'strength'"),
        ({"generator": "user_masks", "strength": 1}, "its settings: none"),
        ({"generator": "div_mbest", "diversity": -1}, "diversity must be a finite number"),
        ({"generator": "div_mbest", "diversity": True}, "diversity must be a finite number"),
        ({"generator": "div_mbest", "per": "pixel"}, "per must be 'node' or 'area'"),
        ({"generator": "div_mbest", "regions": "blobs"}, "regions must be"),
        ({"generator": "div_mbest", "regions": 0}, "regions must be"),
        (
            {"generator": "div_mbest", "iterations": 0},
            "iterations must be an integer of at least 1",
        ),
        ({"generator": "joint_mbest", "per": "pixel"}, "per must be"),
        ({"generator": "joint_mbest", "size": 2.5}, "size must be an integer"),
        ({"generator": "perturb_and_map", "scale": float("nan")}, "scale must be a finite number"),
        ({"generator": "perturb_and_map", "noise": "blobs"}, "noise must be"),
        ({"generator": "class_bias", "strength": "x"}, "strength must be a finite number"),
        ({"generator": "settings_grid", "factors": []}, "factors must be a tuple of at least one"),
        ({"generator": "settings_grid", "exponents": [-1.0]}, "exponents must be a finite number"),
        ({"generator": "region_merging", "sizes": 3}, "sizes must be a tuple"),
        ({"generator": "region_merging", "sizes": [0]}, "sizes must be an integer of at least 1"),
        ({"generator": "label_swap", "alternatives": 0}, "alternatives must be an integer"),
        ({"generator": "image_colours", "bandwidths": [0.0]}, "bandwidths must be above 0"),
        ({"generator": "image_colours", "weights": 1.0}, "weights must be a tuple"),
        ({"generator": "image_colours", "turns": [0]}, "turns must be an integer of at least 1"),
        ({"generator": "label_coverage", "of": "pairs"}, "of must be 'presence' or 'transition'"),
    ],
)
def test_refuses_settings(description, message):
    with pytest.raises(InputError, match=message):
        build_generator(description)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"areas": np.ones(2)}, r"areas must have shape \(3,\)"),
        ({"areas": np.array([1.0, 0.0, 1.0])}, "areas must be positive"),
        ({"areas": np.array([1.0, np.nan, 1.0])}, "areas must be finite"),
        ({"features": np.ones(3)}, r"features must have shape \(3, D\)"),
        ({"appearance": np.ones((2, 4))}, r"appearance must have shape \(3, D\)"),
        ({"appearance": np.full((3, 1), np.inf)}, "appearance must be finite"),
        ({"masks": np.full((1, 3), 2)}, "masks must hold labels 0..1, found 2"),
    ],
)
def test_context_refuses(arguments, message):
    energy = PottsEnergy(np.zeros((3, 2)), np.array([[0, 1]]), np.ones(1))
    with pytest.raises(InputError, match=message):
        ProposalContext(energy, **arguments)


def test_user_masks_need_masks():
    energy = PottsEnergy(np.zeros((3, 2)), np.array([[0, 1]]), np.ones(1))
    with pytest.raises(InputError, match="needs a context with masks"):
        run_generator(UserMasks(), ProposalContext(energy), 2)


def test_image_colours_need_the_looks():
    energy = PottsEnergy(np.zeros((3, 2)), np.array([[0, 1]]), np.ones(1))
    with pytest.raises(InputError, match="needs the appearance"):
        run_generator(ImageColours(), ProposalContext(energy), 2)


def test_image_colours_find_what_looks_alike():
    # The unaries leave the last two nodes open; they look like the second class.
    unary = np.array([[0.0, 2.0], [0.0, 2.0], [2.0, 0.0], [2.0, 0.0], [0.4, 0.5], [0.4, 0.5]])
    looks = np.array([[0.0], [0.1], [5.0], [5.1], [5.0], [4.9]])
    energy = PottsEnergy(unary, np.zeros((0, 2), int), np.zeros(0))
    made = run_generator(ImageColours(), ProposalContext(energy, appearance=looks), 2)
    np.testing.assert_array_equal(made.labelings, [[0, 0, 1, 1, 0, 0], [0, 0, 1, 1, 1, 1]])
