import time

import numpy as np
import pytest

from rerank.features import image_features, score_against
from rerank.features.posterior import SCALAR_FEATURES


def test_summary_repeats_what_the_groups_say(inputs):
    table = image_features(inputs)
    pairs = {f"summary.posterior_{f}": f"posterior.{f}" for f in SCALAR_FEATURES}
    pairs.update(
        {
            f"summary.{f}": f"proposal.{f}"
            for f in (
                "agreement",
                "nearest_agreement",
                "farthest_agreement",
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
    stage1 = score_against(inputs.labelings, inputs.probabilities, inputs.areas)
    for k, feature in enumerate(SCALAR_FEATURES):
        np.testing.assert_allclose(table.column(f"summary.stage1_{feature}"), stage1.scalars[:, k])


def test_summary_sums_over_classes(inputs):
    table = image_features(inputs)
    names = inputs.classes[1:]

    def columns(feature, group="classification", classes=names):
        return np.stack([table.column(f"{group}.{feature}[{c}]") for c in classes], axis=1)

    for feature in ("score_painted", "denied", "missed", "size_denied", "size_missed"):
        np.testing.assert_allclose(
            table.column(f"summary.{feature}"), columns(feature).sum(axis=1), err_msg=feature
        )
    np.testing.assert_allclose(table.column("summary.worst_denied"), columns("denied").max(axis=1))
    support = columns("component_support", "proposal", inputs.classes)
    np.testing.assert_allclose(table.column("summary.component_log_prob"), support.sum(axis=1))
    worst = columns("worst_component", "proposal", inputs.classes)
    painted = columns("area", "proposal", inputs.classes) > 0
    np.testing.assert_allclose(
        table.column("summary.worst_component"), np.where(painted, worst, np.inf).min(axis=1)
    )
    kl = table.column("segnet.kl_forward") + table.column("segnet.kl_backward")
    np.testing.assert_allclose(table.column("summary.symmetric_kl"), kl / 12)


def test_summary_has_no_classes_and_grows_with_none(make_inputs):
    few, many = make_inputs(n_classes=3), make_inputs(n_classes=21)
    names = image_features(few, ["summary"]).columns
    assert names == image_features(many, ["summary"]).columns
    assert 40 <= len(names) <= 60 and not any("[" in name for name in names)


@pytest.mark.parametrize("group", ["proposal", "summary"])
def test_proposals_a_second(make_inputs, record_property, group):
    inputs = make_inputs(rows=24, columns=25, size=11, n_proposals=30, n_classes=21, grid=(13, 13))
    image_features(inputs, [group])
    start = time.process_time()
    for _ in range(5):
        table = image_features(inputs, [group])
    record_property(f"{group}_proposals_a_second", 150 / (time.process_time() - start))
    assert len(table) == 30
