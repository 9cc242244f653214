import time

import numpy as np
import pytest

from rerank.features import score_against
from rerank.features.probability_scores import SCALAR_FEATURES


def test_summary_repeats_what_the_groups_say(case):
    table = case.table()
    pairs = {f"summary.fused_posterior_{f}": f"fused_posterior.{f}" for f in SCALAR_FEATURES}
    pairs.update(
        {
            f"summary.{f}": f"proposal.{f}"
            for f in (
                "mean_overlap",
                "nearest_overlap",
                "farthest_overlap",
                "vote_iou",
                "lonely",
                "above_best_per_region",
                "energy_rank",
                "gap",
                "border_length",
                "border_contrast",
                "contrast_recall",
                "contrast_missed",
                "inner_contrast",
                "explained",
                "mean_separation",
                "least_separation",
                "location_log_prob",
                "cooccurrence",
            )
        }
    )
    for left, right in pairs.items():
        np.testing.assert_allclose(
            table.column(left), table.column(right), atol=1e-12, err_msg=left
        )
    stage1 = score_against(
        case.proposals.labelings, case.evidence.region_probabilities, case.regions.graph.areas
    )
    for k, feature in enumerate(SCALAR_FEATURES):
        np.testing.assert_allclose(table.column(f"summary.stage1_{feature}"), stage1.scalars[:, k])


def test_summary_sums_over_classes(case):
    table = case.table()
    names = case.classes[1:]

    def columns(feature, group="classification", classes=names):
        return np.stack([table.column(f"{group}.{feature}[{c}]") for c in classes], axis=1)

    for feature in ("score_painted", "denied", "missed", "size_denied", "size_missed"):
        np.testing.assert_allclose(
            table.column(f"summary.{feature}"), columns(feature).sum(axis=1), err_msg=feature
        )
    np.testing.assert_allclose(table.column("summary.worst_denied"), columns("denied").max(axis=1))
    support = columns("component_support", "proposal", case.classes)
    np.testing.assert_allclose(table.column("summary.component_log_prob"), support.sum(axis=1))
    worst = columns("worst_component", "proposal", case.classes)
    painted = columns("area", "proposal", case.classes) > 0
    np.testing.assert_allclose(
        table.column("summary.worst_component"), np.where(painted, worst, np.inf).min(axis=1)
    )
    kl = table.column("segnet.kl_forward") + table.column("segnet.kl_backward")
    np.testing.assert_allclose(table.column("summary.symmetric_kl"), kl / 12)


def test_summary_has_no_classes_and_grows_with_none(make_case):
    few, many = make_case(n_classes=3), make_case(n_classes=21)
    names = few.table("summary").columns
    assert names == many.table("summary").columns
    assert 40 <= len(names) <= 60 and not any("[" in name for name in names)


@pytest.mark.parametrize("group", ["proposal", "summary"])
def test_proposals_a_second(make_case, record_property, group):
    case = make_case(rows=24, columns=25, size=11, n_proposals=30, n_classes=21, grid=(13, 13))
    case.table([group])
    start = time.process_time()
    for _ in range(5):
        table = case.table([group])
    record_property(f"{group}_proposals_a_second", 150 / (time.process_time() - start))
    assert len(table) == 30
