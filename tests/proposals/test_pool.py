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
    UserMasks,
    run_generator,
    run_pool,
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
    found = run_pool(POOL, context, 6, random_state=5)
    noise = run_generator(PerturbAndMAP(), context, 10, random_state=5)
    np.testing.assert_array_equal(found.labelings[1], noise.labelings[3])
    assert found.parameters[1] == noise.parameters[3]
    # The swap's first row is the MAP labeling, which is there already.
    assert len(found) == 5
    assert len(found.distinct()) == 5
    assert found.generators == (
        "div_mbest",
        "perturb_and_map",
        "class_bias",
        "perturb_and_map",
        "div_mbest",
    )


def test_fewer_are_the_first_ones(grid_context):
    context = grid_context(np.random.default_rng(0), 4)
    all_of_them = run_pool(POOL, context, 6, random_state=5)
    few = run_pool(POOL, context, 3, random_state=5)
    np.testing.assert_array_equal(few.labelings, all_of_them.labelings[:3])


def test_chance_depends_on_seed_and_settings_alone(grid_context):
    context = grid_context(np.random.default_rng(1), 4)
    alone = run_pool([Candidate(PerturbAndMAP(), 3)], context, 1, random_state=5)
    among = run_pool(POOL, context, 6, random_state=5)
    np.testing.assert_array_equal(alone.labelings[0], among.labelings[1])
    other = run_pool([Candidate(PerturbAndMAP(), 3)], context, 1, random_state=6)
    assert (other.labelings != alone.labelings).any()


def test_rows_that_an_image_lacks_are_passed_over(grid_context):
    context = grid_context(np.random.default_rng(2), 3)
    beyond = [Candidate(UserMasks(), 3), Candidate(UserMasks(), 4), Candidate(DivMBest(), 0)]
    found = run_pool(beyond, context, 3)
    assert found.generators == ("user_masks", "div_mbest")
    with pytest.raises(InputError, match="none of the candidates' rows"):
        run_pool([Candidate(UserMasks(), 9)], context, 3)
    with pytest.raises(InputError, match="at least one candidate"):
        run_pool([], context, 3)


def test_descriptions_go_through_json():
    for candidate in POOL:
        description = json.loads(json.dumps(candidate.describe()))
        assert Candidate.from_description(description) == candidate
    with pytest.raises(InputError, match="index must be an integer"):
        Candidate.from_description({"generator": "class_bias"})


def test_takes_an_image_of_one_node():
    from rerank.crf import PottsEnergy

    single = PottsEnergy(np.array([[0.1, 0.2, 0.3]]), np.zeros((0, 2), int), np.zeros(0))
    found = run_pool(POOL, ProposalContext(single), 6)
    assert 1 <= len(found) <= 3
