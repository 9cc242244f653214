"""The sets hold a good proposal as often as they promise, whatever the ranker believes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from rerank.errors import InputError, NotFittedError
from rerank.ranking import ConformalSet, proposal_order


def drawn(
    rng: np.random.Generator, n: int, n_proposals: int = 8
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores that say a little about IoU, IoU, and similarities; some images have no good one."""
    quality = rng.random((n, n_proposals)) * rng.uniform(0.5, 1.0, (n, 1))
    scores = np.round(quality + 0.4 * rng.normal(size=quality.shape), 1)
    similarity = rng.random((n, n_proposals, n_proposals))
    return scores, quality, similarity


@pytest.mark.parametrize("greedy", [False, True])
@pytest.mark.parametrize("alpha, n", [(0.1, 30), (0.2, 19), (0.35, 7)])
def test_a_new_image_has_a_good_one_as_often_as_promised(
    alpha: float, n: int, greedy: bool
) -> None:
    rng = np.random.default_rng(n)
    missed = judged = 0
    for _ in range(500):
        scores, quality, similarity = drawn(rng, n + 4)
        similar = similarity if greedy else None
        fitted = ConformalSet(alpha=alpha, min_iou=0.6).fit(
            scores[:n], quality[:n], None if similar is None else similar[:n]
        )
        new = fitted.sets(scores[n:], None if similar is None else similar[n:])
        for chosen, iou in zip(new, quality[n:]):
            if iou.max() >= 0.6:
                judged += 1
                missed += iou[list(chosen)].max() < 0.6
    assert binom.sf(missed - 1, judged, alpha) > 1e-3
    # Not by sets that hold everything: the promise is nearly used up.
    assert missed > 0.3 * alpha * judged


def test_counting_images_without_a_good_one() -> None:
    rng = np.random.default_rng(0)
    missed = promised = 0
    for _ in range(400):
        scores, quality, _ = drawn(rng, 44)
        fitted = ConformalSet(alpha=0.5, min_iou=0.6, unreachable="count").fit(
            scores[:40], quality[:40]
        )
        if fitted.promised_:
            sets = fitted.sets(scores[40:])
            missed += sum(q[list(s)].max() < 0.6 for s, q in zip(sets, quality[40:]))
            promised += 1
    # A promise that is made is missed with a probability of at most alpha.
    assert promised > 300 and binom.sf(missed - 1, 1600, 0.5) > 1e-3 and missed > 400
    scores, quality, _ = drawn(rng, 40)
    hopeless = ConformalSet(alpha=0.1, min_iou=0.999, unreachable="count").fit(scores, quality)
    assert not hopeless.promised_ and "No promise" in hopeless.explanation_
    assert all(len(s) == 8 for s in hopeless.sets(scores))
    assert hopeless.n_reachable_ == 0 and hopeless.coverage_ == 0.0


def test_the_order_by_hand() -> None:
    beliefs = [0.1, 0.5, 0.0, 0.4]
    plain = proposal_order(beliefs)
    assert plain.order.tolist() == [1, 3, 0, 2]
    np.testing.assert_allclose(plain.reach, [0.5, 0.9, 1.0, 1.0])
    similarity = np.eye(4)
    similarity[0, [1, 3]] = 0.9  # Proposal 0 is good if 1 or 3 is the truth.
    greedy = proposal_order(beliefs, similarity, min_iou=0.8)
    assert greedy.order.tolist() == [0, 1, 3, 2]
    np.testing.assert_allclose(greedy.reach, [1.0, 1.0, 1.0, 1.0])


def test_thresholds_by_hand() -> None:
    scores = np.tile([3.0, 2.0, 1.0], (9, 1))
    quality = np.zeros((9, 3))
    quality[:6, 0] = quality[6:8, 1] = quality[8, 2] = 0.9
    one = ConformalSet(alpha=0.4).fit(scores, quality)
    assert one.threshold_ == -1.0 and one.sets(scores[:1]) == [(0,)]
    two = ConformalSet(alpha=0.2).fit(scores, quality)
    assert two.sets(scores[:1]) == [(0, 1)] and two.coverage_ == pytest.approx(8 / 9)
    three = ConformalSet(alpha=0.1).fit(scores, quality)
    assert three.sets(scores[:1]) == [(0, 1, 2)] and three.n_needed_ == 9
    few = ConformalSet(alpha=0.05).fit(scores, quality)
    assert few.threshold_ == np.inf and "takes 19" in few.explanation_
    assert few.sets(scores[:1]) == [(0, 1, 2)] and few.coverage_ == 1.0


def test_ragged_images_and_images_without_labels() -> None:
    rng = np.random.default_rng(2)
    scores, quality, similarity = drawn(rng, 30)
    scores[:10, 5:], quality[:10, 5:] = -np.inf, 1.0
    quality[29] = np.nan
    fitted = ConformalSet(alpha=0.2, min_iou=0.5).fit(scores, quality, similarity)
    assert fitted.n_images_ == 29
    for chosen in fitted.sets(scores[:10], similarity[:10]):
        assert chosen and max(chosen) < 5 and len(set(chosen)) == len(chosen)
    everything = ConformalSet(alpha=0.001).fit(scores, quality)
    assert [len(s) for s in everything.sets(scores)] == [5] * 10 + [8] * 20


def test_bad_input() -> None:
    with pytest.raises(NotFittedError, match="call fit"):
        ConformalSet().sets(np.zeros((2, 2)))
    zeros = np.zeros((2, 2))
    for settings, text in (
        ({"alpha": 0}, "alpha must lie"),
        ({"min_iou": 0.0}, "min_iou must be"),
        ({"unreachable": "ignore"}, "unreachable must be"),
        ({"temperature": 0.0}, "temperature must be"),
        ({"size_penalty": -1.0}, "size_penalty must be"),
    ):
        with pytest.raises(InputError, match=text):
            ConformalSet(**settings).fit(zeros, zeros)
    with pytest.raises(InputError, match="quality must have the shape"):
        ConformalSet().fit(zeros, np.zeros((2, 3)))
    with pytest.raises(InputError, match="scores must have shape"):
        ConformalSet().fit(np.zeros(2), np.zeros(2))
    with pytest.raises(InputError, match="1 similarities for 2 images"):
        ConformalSet().fit(zeros, zeros, np.zeros((1, 2, 2)))
    with pytest.raises(InputError, match="similarity must have shape"):
        proposal_order([0.5, 0.5], np.zeros((2, 3)))
    with pytest.raises(InputError, match="beliefs must be"):
        proposal_order([0.5, np.nan])
