from dataclasses import replace

import numpy as np
import pytest

from rerank.errors import InputError
from rerank.features import GROUPS, FeatureTable, available_groups


def test_every_group_and_unique_names(case):
    table = case.table()
    assert table.group_names == GROUPS == available_groups(case.evidence)
    assert len(set(table.columns)) == len(table.columns)
    assert all(c.split(".")[0] == g for c, g in zip(table.columns, table.groups))
    assert len(table) == len(case.proposals)
    assert table.groups.count("segnet") == 2 + 4 * 4
    assert set(table.image_ids) == {"cow"}


def test_paper_has_86_segnet_and_100_raw_classifier_columns(make_case):
    table = make_case(n_classes=21, n_proposals=2).table(("segnet", "classification"))
    assert table.groups.count("segnet") == 86
    raw = [
        c
        for c in table.columns
        if c.startswith(("classification.score[", "classification.size_score_"))
        and "claimed" not in c
    ]
    assert len(raw) == 100


@pytest.mark.parametrize("percentiles", [(50.0,), (75.0, 12.5), (10.0, 30.0, 50.0, 70.0, 90.0)])
def test_any_number_of_size_percentiles(make_case, percentiles):
    case = make_case(percentiles=percentiles)
    table = case.table()
    n_foreground, n_sizes = 3, len(percentiles)
    assert table.groups.count("classification") == n_foreground * (6 + 2 * n_sizes)
    names = [f"class{c}" for c in range(1, 4)]
    for k, percentile in enumerate(percentiles):
        for c, name in enumerate(names):
            column = table.column(f"classification.size_score_{percentile:g}[{name}]")
            assert (column == case.evidence.scores.sizes[c * n_sizes + k]).all()
    for feature in ("score_painted", "denied", "missed", "size_denied", "size_missed"):
        columns = [table.column(f"classification.{feature}[{name}]") for name in names]
        np.testing.assert_allclose(table.column(f"summary.{feature}"), np.sum(columns, axis=0))


def test_at_least_a_thousand_proposal_columns_for_21_classes(make_case):
    table = make_case(n_classes=21, n_proposals=2).table("proposal")
    assert len(table.columns) >= 1000


def test_proposals_permute_rows(make_case):
    case = make_case()
    order = np.random.default_rng(1).permutation(len(case.proposals))
    table = case.table().drop(["proposal.rank"])
    permuted = replace(case, proposals=case.proposals.take(order)).table().drop(["proposal.rank"])
    np.testing.assert_allclose(permuted.values, table.values[order], atol=1e-9)


def test_columns_depend_on_no_value(make_case):
    first = make_case(seed=0).table()
    other = make_case(seed=5, rows=2, columns=2, n_proposals=1, image_id="dog")
    both = FeatureTable.concatenate([first, other.table()])
    assert len(both) == 8


@pytest.mark.parametrize(
    "groups", [("segnet",), ("rule", "summary"), ("proposal", "fused_posterior")]
)
def test_groups_alone_equal_groups_together(case, groups):
    alone = case.table(groups)
    together = case.table().select(groups=groups)
    alone.require(together.columns)
    np.testing.assert_array_equal(alone.values, together.values)


def test_without_the_optional_inputs(make_case):
    bare = make_case(
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
        fused_posterior=None,
    )
    assert available_groups(bare.evidence) == ("proposal", "summary")
    table = bare.table()
    full = make_case().table()
    shared = list(table.columns)
    np.testing.assert_array_equal(
        table.select(columns=shared).values, full.select(columns=shared).values
    )
    with pytest.raises(InputError, match="cow: the evidence for feature group 'fused_posterior'"):
        bare.table(["fused_posterior"])
    with pytest.raises(InputError, match="no feature group 'colour'"):
        bare.table(["colour"])


def test_one_region_and_one_proposal(make_case):
    table = make_case(rows=1, columns=1, n_proposals=1, grid=(1, 1)).table()
    assert len(table) == 1


def test_an_unknown_generator_is_refused(make_case):
    with pytest.raises(InputError, match="cow: generator 'dice' is not among"):
        make_case(made_by=("dice",) * 7).table()


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"areas": np.ones(29)}, "must be"),
        ({"areas": np.zeros(30)}, "area above 0"),
        ({"labelings": np.full((7, 30), 4)}, "0..3, found 4"),
        ({"labelings": np.zeros((0, 30), np.uint8)}, "must be|at least one"),
        ({"energies": np.full(7, np.nan)}, "energies must be finite"),
        ({"region_probabilities": np.full((30, 4), 0.3)}, "distribution"),
        ({"region_probabilities": np.full((30, 4), np.nan)}, "region_probabilities must be finite"),
        ({"size_thresholds": None}, "scores are given without size_thresholds"),
        ({"contrast": None}, "must have a contrast"),
        ({"edge_map": np.zeros((2, 2), bool)}, "edge_map must be"),
        ({"value_names": ("L",)}, "value_names"),
        ({"edges": np.array([[0, 30]] * 49)}, "edges must join"),
        ({"contrast": np.full(49, -1.0)}, "at least 0"),
        ({"superpixels": np.zeros((4, 4), int)}, "superpixels"),
        ({"cooccurrence": np.zeros((3, 3))}, "cooccurrence must be"),
    ],
)
def test_bad_inputs_are_refused(changes, message, make_case):
    with pytest.raises(InputError, match=message):
        make_case(**changes).table()
