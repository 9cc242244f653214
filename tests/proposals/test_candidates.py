from __future__ import annotations

import json

import numpy as np
import pytest

from rerank.errors import InputError
from rerank.proposals import (
    Candidate,
    ClassBias,
    DivMBest,
    LabelSwap,
    PerturbAndMAP,
    ProposalContext,
    ProposalSet,
    UserMasks,
    run_candidates,
    run_generator,
)

POOL = [
    Candidate(DivMBest(), 0),
    Candidate(PerturbAndMAP(), 3),
    Candidate(LabelSwap(), 0),
    Candidate(ClassBias(), 2),
    Candidate(PerturbAndMAP(2.0), 1),
    Candidate(DivMBest(), 4),
]


def test_runs_the_rows_that_were_chosen(grid_context):
    context = grid_context(np.random.default_rng(0), 4)
    found = run_candidates(POOL, context, random_state=5)
    noise = run_generator(PerturbAndMAP(), context, 10, random_state=5)
    np.testing.assert_array_equal(found[1].labelings[0], noise.labelings[3])
    assert found[1].parameters[0] == noise.parameters[3]
    assert [len(each) for each in found] == [1] * 6
    # The swap's first row is the MAP labeling, which is there already.
    assert len(ProposalSet.concatenate(found).distinct()) == 5
    assert [each.generators[0] for each in found] == [
        "div_mbest",
        "perturb_and_map",
        "label_swap",
        "class_bias",
        "perturb_and_map",
        "div_mbest",
    ]


def test_fewer_are_the_first_ones(grid_context):
    context = grid_context(np.random.default_rng(0), 4)
    all_of_them = run_candidates(POOL, context, random_state=5)
    few = run_candidates(POOL[:3], context, random_state=5)
    for one, same in zip(few, all_of_them):
        np.testing.assert_array_equal(one.labelings, same.labelings)


def test_chance_depends_on_seed_and_settings_alone(grid_context):
    context = grid_context(np.random.default_rng(1), 4)
    alone = run_candidates([Candidate(PerturbAndMAP(), 3)], context, random_state=5)
    among = run_candidates(POOL, context, random_state=5)
    np.testing.assert_array_equal(alone[0].labelings, among[1].labelings)
    other = run_candidates([Candidate(PerturbAndMAP(), 3)], context, random_state=6)
    assert (other[0].labelings != alone[0].labelings).any()


def test_a_row_that_an_image_lacks_is_an_empty_set(grid_context):
    context = grid_context(np.random.default_rng(2), 3)
    beyond = [Candidate(UserMasks(), 3), Candidate(UserMasks(), 4), Candidate(DivMBest(), 0)]
    found = run_candidates(beyond, context)
    assert [len(each) for each in found] == [1, 0, 1]
    assert found[0].generators + found[2].generators == ("user_masks", "div_mbest")
    assert run_candidates([], context) == []


def test_descriptions_go_through_json():
    for candidate in POOL:
        description = json.loads(json.dumps(candidate.describe()))
        assert Candidate.from_description(description) == candidate
    with pytest.raises(InputError, match="index must be an integer"):
        Candidate.from_description({"generator": "class_bias"})


def test_takes_an_image_of_one_node():
    from rerank.crf import PottsEnergy

    single = PottsEnergy(np.array([[0.1, 0.2, 0.3]]), np.zeros((0, 2), int), np.zeros(0))
    made = run_candidates(POOL, ProposalContext(single))
    assert 1 <= len(ProposalSet.concatenate(made).distinct()) <= 3
