import dataclasses

import numpy as np
import pytest

from rerank.errors import InputError
from rerank.features import GROUPS, FeatureTable, image_features


def test_every_group_and_unique_names(inputs):
    table = image_features(inputs)
    assert table.group_names == GROUPS == inputs.groups
    assert len(set(table.columns)) == len(table.columns)
    assert all(c.split(".")[0] == g for c, g in zip(table.columns, table.groups))
    assert len(table) == len(inputs.labelings)
    assert table.groups.count("segnet") == 2 + 4 * 4
    assert set(table.image_ids) == {"cow"}


def test_paper_has_86_segnet_and_100_raw_classifier_columns(make_inputs):
    table = image_features(
        make_inputs(n_classes=21, n_proposals=2), groups=("segnet", "classification")
    )
    assert table.groups.count("segnet") == 86
    raw = [
        c
        for c in table.columns
        if c.startswith(("classification.score[", "classification.size_score_"))
        and "claimed" not in c
    ]
    assert len(raw) == 100


def test_at_least_a_thousand_proposal_columns_for_21_classes(make_inputs):
    table = image_features(make_inputs(n_classes=21, n_proposals=2), groups="proposal")
    assert len(table.columns) >= 1000


def test_proposals_permute_rows(make_inputs):
    inputs = make_inputs()
    order = np.random.default_rng(1).permutation(len(inputs.labelings))
    changed = dataclasses.replace(
        inputs,
        labelings=inputs.labelings[order],
        energies=inputs.energies[order],
        lower_bounds=inputs.lower_bounds[order],
        generator=inputs.generator[order],
    )
    table = image_features(inputs).drop(["proposal.rank"])
    permuted = image_features(changed).drop(["proposal.rank"])
    np.testing.assert_allclose(permuted.values, table.values[order], atol=1e-9)


def test_columns_depend_on_no_value(make_inputs):
    first = image_features(make_inputs(seed=0))
    other = make_inputs(seed=5, rows=2, columns=2, n_proposals=1, image_id="dog")
    both = FeatureTable.concatenate([first, image_features(other)])
    assert len(both) == 8


@pytest.mark.parametrize("groups", [("segnet",), ("rule", "summary"), ("proposal", "posterior")])
def test_groups_alone_equal_groups_together(inputs, groups):
    alone = image_features(inputs, groups)
    together = image_features(inputs).select(groups=groups)
    alone.require(together.columns)
    np.testing.assert_array_equal(alone.values, together.values)


def test_without_the_optional_inputs(make_inputs):
    bare = make_inputs(
        generator=None,
        segnet_map=None,
        cell_overlap=None,
        scores=None,
        size_scores=None,
        size_thresholds=None,
        background=None,
        region_values=None,
        value_names=(),
        location=None,
        cooccurrence=None,
        posterior=None,
    )
    assert bare.groups == ("proposal", "summary")
    table = image_features(bare)
    full = image_features(make_inputs())
    shared = [c for c in table.columns if "made_by" not in c]
    np.testing.assert_array_equal(
        table.select(columns=shared).values, full.select(columns=shared).values
    )
    with pytest.raises(InputError, match="cow: the inputs of feature group 'posterior'"):
        image_features(bare, ["posterior"])
    with pytest.raises(InputError, match="no feature group 'colour'"):
        image_features(bare, ["colour"])


def test_one_region_and_one_proposal(make_inputs):
    table = image_features(make_inputs(rows=1, columns=1, n_proposals=1, grid=(1, 1)))
    assert len(table) == 1


def test_generators_by_name_and_by_index(make_inputs):
    inputs = make_inputs()
    names = [inputs.generators[g] for g in inputs.generator]
    np.testing.assert_array_equal(make_inputs(generator=names).generator, inputs.generator)
    with pytest.raises(InputError, match="cow: generator 'dice' is not among"):
        make_inputs(generator=["dice"] * 7)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"areas": np.ones(29)}, "must be"),
        ({"areas": np.zeros(30)}, "area above 0"),
        ({"labelings": np.full((7, 30), 4)}, "0..3, found 4"),
        ({"labelings": np.zeros((0, 30), np.uint8)}, "must be|at least one"),
        ({"energies": np.full(7, np.nan)}, "energies must be finite"),
        ({"probabilities": np.full((30, 4), 0.3)}, "distribution"),
        ({"probabilities": np.full((30, 4), np.nan)}, "probabilities must be finite"),
        ({"cell_overlap": None}, "segnet_map is given without cell_overlap"),
        ({"size_scores": None}, "scores is given without size_scores"),
        ({"value_names": ("L",)}, "value_names"),
        ({"edges": np.array([[0, 30]] * 49)}, "edges must join"),
        ({"contrast": np.full(49, -1.0)}, "at least 0"),
        ({"superpixels": np.zeros((4, 4), int)}, "superpixels"),
        ({"generator": np.full(7, 2)}, "generator must be"),
        ({"cooccurrence": np.zeros((3, 3))}, "cooccurrence must be"),
    ],
)
def test_bad_inputs_are_refused(changes, message, make_inputs):
    with pytest.raises(InputError, match=message):
        image_features(make_inputs(**changes))
