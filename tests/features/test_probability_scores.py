import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank.errors import InputError
from rerank.features import (
    class_log_prob,
    component_support,
    fused_posterior_features,
    score_against,
    support_features,
)


def make_case(seed, n=9, n_classes=4, n_proposals=5):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(n_classes, 0.3), n)
    p[0] = np.eye(n_classes)[1]
    labels = rng.integers(0, n_classes - 1, (n_proposals, n)).astype(np.uint8)
    return labels, p, rng.random(n) + 0.1


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_scores_agree_with_loops(seed):
    labels, p, areas = make_case(seed)
    scores = score_against(labels, p, areas)
    share = areas / areas.sum()
    log_p = np.log(np.maximum(p, 1e-4))
    for m, row in enumerate(labels):
        q = np.eye(4)[row]
        intersection = sum(share[i] * p[i] * q[i] for i in range(9))
        union = sum(share[i] * (p[i] + q[i] - p[i] * q[i]) for i in range(9))
        iou = intersection / union
        np.testing.assert_allclose(scores.intersection[m], intersection, atol=1e-12)
        np.testing.assert_allclose(scores.union[m], union, atol=1e-12)
        np.testing.assert_allclose(scores.iou[m], iou, atol=1e-12)
        margin = [log_p[i, c] - np.delete(log_p[i], c).max() for i, c in enumerate(row)]
        wrong = np.array(margin) < 0
        painted = np.isin(np.arange(4), row)
        for c in range(4):
            at = row == c
            assert scores.painted[m, c] == pytest.approx(share[at].sum())
            assert scores.class_log_prob[m, c] == pytest.approx((share * log_p[:, c])[at].sum())
            assert scores.class_margin[m, c] == pytest.approx((share * margin)[at].sum())
            assert scores.overruled[m, c] == pytest.approx(share[at & wrong].sum())
            assert scores.worst_margin[m, c] == pytest.approx(
                np.min(np.array(margin)[at], initial=np.inf) if at.any() else 0
            )
        play = np.where(painted, 1, p.max(axis=0))
        np.testing.assert_allclose(
            scores.scalars[m],
            [
                sum(share[i] * p[i, c] for i, c in enumerate(row)),
                sum(share[i] * log_p[i, c] for i, c in enumerate(row)),
                iou[painted].mean(),
                (play * iou).sum() / play.sum(),
                share @ margin,
                share[wrong].sum(),
                (share @ p)[~painted].sum(),
            ],
            atol=1e-12,
        )
    np.testing.assert_allclose(class_log_prob(labels, p, areas), scores.class_log_prob)


def test_two_regions_by_hand():
    p = np.array([[0.8, 0.2], [0.5, 0.5]])
    table = fused_posterior_features(
        np.array([[0, 1]]), p, np.array([3.0, 1.0]), ("bg", "cow"), "moo"
    )
    get = {n.split(".")[1]: v for n, v in zip(table.columns, table.values[0])}
    assert get["accuracy"] == pytest.approx(0.725)
    assert get["expected_intersection[cow]"] == pytest.approx(0.125)
    assert get["expected_union[cow]"] == pytest.approx(0.75 * 0.2 + 0.25)
    assert get["iou[cow]"] == pytest.approx(0.125 / 0.4)
    assert get["uoi[cow]"] == pytest.approx(3.2)
    assert get["missing"] == 0 and get["overruled"] == 0
    assert table.shape == (1, 7 + 4 * 2) and set(table.groups) == {"fused_posterior"}


def test_a_sure_posterior_gives_its_own_labeling_full_marks():
    labels = np.array([[0, 1, 1], [0, 0, 1]])
    scores = score_against(labels, np.eye(3)[[0, 1, 1]], np.ones(3))
    np.testing.assert_allclose(scores.scalars[0, [0, 2, 3, 5, 6]], [1, 1, 1, 0, 0], atol=1e-12)
    assert (scores.scalars[1, [0, 2, 3]] < 1).all() and scores.scalars[1, 5] > 0


def test_component_support_averages_before_the_logarithm():
    p = np.array([[0.9, 0.1], [0.1, 0.9], [0.3, 0.7]])
    labels = np.array([[0, 0, 1]])
    component = np.array([[0, 0, 2]])
    areas = np.array([1.0, 1.0, 2.0])
    support = component_support(labels, component, p, areas)
    np.testing.assert_allclose(support.log_prob, [[0.5 * np.log(0.5), 0.5 * np.log(0.7)]])
    np.testing.assert_allclose(support.worst, [[0.5, 0.7]])
    table = support_features(score_against(labels, p, areas), support, ("bg", "cow"))
    expected = {
        "support[cow]": 0.5 * np.log(0.7),
        "mean_support[cow]": np.log(0.7),
        "margin[cow]": 0.5 * np.log(7 / 3),
        "mean_margin[cow]": np.log(7 / 3),
        "worst_margin[bg]": np.log(1 / 9),
        "overruled[bg]": 0.25,
        "unclaimed[bg]": 0.15,
        "unclaimed[cow]": 0.25,
        "stage1_iou[cow]": 0.35 / (0.5 + 0.6 - 0.35),
        "component_support[bg]": 0.5 * np.log(0.5),
        "worst_component[cow]": 0.7,
    }
    for name, value in expected.items():
        assert table.column(f"proposal.{name}")[0] == pytest.approx(value)


def test_one_class_alone():
    scores = score_against(np.zeros((1, 2), int), np.ones((2, 1)), np.ones(2))
    np.testing.assert_allclose(scores.scalars, [[1, 0, 1, 1, 0, 0, 0]])


def test_bad_inputs_are_refused():
    labels, p, areas = make_case(0)
    with pytest.raises(InputError, match="distribution"):
        score_against(labels, p * 2, areas)
    with pytest.raises(InputError, match="must be"):
        score_against(labels, p, areas[1:])
    with pytest.raises(InputError, match="0..3, found"):
        score_against(labels + 3, p, areas)
    with pytest.raises(InputError, match="integers"):
        score_against(labels.astype(float), p, areas)
