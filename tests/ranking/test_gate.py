"""The gate keeps its promise, exactly and by simulation, and says what it can't promise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from rerank.errors import InputError, NotFittedError
from rerank.ranking import Gate
from rerank.ranking.gate import most_falls, smallest_n_images, upper_bound


def drawn(rng: np.random.Generator, n: int, ties: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores and IoU of two proposals; the first is the network's. High margins fall rarely."""
    margin = rng.random(n)
    if ties:
        margin = np.ceil(margin * ties) / ties
    falls = rng.random(n) < 0.4 * (1 - margin)
    quality = np.stack([np.full(n, 0.5), np.where(falls, 0.3, 0.6)], axis=1)
    return np.stack([np.zeros(n), margin], axis=1), quality


def risk(threshold: float, ties: int = 0) -> float:
    """The true share of falls among images of `drawn` with a margin above the threshold."""
    if ties:
        margins = np.arange(1, ties + 1) / ties
        return float(0.4 * (1 - margins)[margins > threshold].sum() / ties)
    return 0.2 * (1 - np.clip(threshold, 0, 1)) ** 2


@pytest.mark.parametrize("ties", [0, 7])
@pytest.mark.parametrize("level, delta, n", [(0.1, 0.1, 80), (0.05, 0.2, 150), (0.15, 0.05, 40)])
def test_the_promise_breaks_no_oftener_than_delta(
    level: float, delta: float, n: int, ties: int
) -> None:
    rng = np.random.default_rng(n + ties)
    broken, opened = 0, 0
    n_draws = 2000
    for _ in range(n_draws):
        gate = Gate(level=level, delta=delta, statistic="margin").fit(*drawn(rng, n, ties))
        broken += risk(gate.threshold_, ties) > level
        opened += gate.threshold_ < 1
    # An exact binomial test of the simulation itself.
    assert binom.sf(broken - 1, n_draws, delta) > 1e-3
    assert opened > 0.9 * n_draws
    if not ties:
        # Without ties the procedure uses up its delta but for the binomial's steps.
        assert broken >= 0.2 * delta * n_draws


def test_the_bound_is_below_the_share_no_oftener_than_delta() -> None:
    for n, share, delta in ((30, 0.1, 0.1), (100, 0.03, 0.05), (12, 0.5, 0.2)):
        counts = np.arange(n + 1)
        below = np.array([upper_bound(int(k), n, delta) < share for k in counts])
        assert binom.pmf(counts, n, share)[below].sum() <= delta
    # It inverts the test: so many falls refute the level where the bound is at most the level.
    for n in (21, 22, 60, 200):
        refuted = [k for k in range(n + 1) if upper_bound(k, n, 0.1) <= 0.1]
        assert len(refuted) - 1 == most_falls(n, 0.1, 0.1)


@pytest.mark.parametrize("level", [0.02, 0.05, 0.1, 0.3, 0.7])
@pytest.mark.parametrize("delta", [0.01, 0.1, 0.5])
def test_the_smallest_number_of_images(level: float, delta: float) -> None:
    n = smallest_n_images(level, delta)
    assert (1 - level) ** n <= delta < (1 - level) ** (n - 1) or n == 1
    assert most_falls(n, level, delta) == 0 and (n == 1 or most_falls(n - 1, level, delta) == -1)


def test_too_few_images_keep_the_networks_labeling() -> None:
    scores, quality = drawn(np.random.default_rng(0), 21)
    gate = Gate().fit(scores, quality)
    assert not gate.promised_ and gate.threshold_ == np.inf and gate.n_needed_ == 22
    assert "21 labelled images are too few" in gate.explanation_ and "takes 22" in gate.explanation_
    found = gate.choose(scores)
    assert (found.choice == 0).all() and found.kept.all()
    assert gate.bound_ == 0.0 and gate.share_ == 0.0
    loose = Gate(on_shortfall="choice").fit(scores, quality)
    assert (loose.choose(scores).choice == 1).all() and "without a promise" in loose.explanation_
    quality[:, 1] = 0.6
    assert Gate().fit(np.vstack([scores, [0, 1]]), np.vstack([quality, [0.5, 0.6]])).promised_


def test_what_is_let_through() -> None:
    scores = np.array([[0.0, k / 100] for k in range(1, 101)])
    quality = np.tile([0.5, 0.6], (100, 1))
    quality[[10, 30, 50, 60, 70, 80, 90], 1] = 0.4
    gate = Gate(statistic="margin").fit(scores, quality)
    # Five falls are allowed among 100 images; the sixth from above has the margin 0.31.
    assert gate.threshold_ == pytest.approx(0.31)
    assert (gate.n_falls_, gate.n_changed_, gate.n_images_) == (5, 69, 100)
    assert gate.bound_ == pytest.approx(upper_bound(5, 100, 0.1)) and gate.bound_ <= 0.1
    assert "69 get another labeling" in gate.explanation_ and "7 would fall" in gate.explanation_
    found = gate.choose([[0.0, 0.31], [0.0, 0.32], [0.2, 0.1], [0.1, 0.1]])
    assert found.choice.tolist() == [0, 1, 0, 0]
    assert found.kept.tolist() == [True, False, False, False]
    np.testing.assert_allclose(found.confidence, [0.31, 0.32, 0, 0])
    quality[:] = 0.5
    assert Gate().fit(scores, quality).threshold_ == -np.inf


def test_a_loss_within_the_tolerance_is_no_fall() -> None:
    scores, quality = np.tile([0.0, 1.0], (40, 1)), np.tile([0.5, 0.49], (40, 1))
    assert Gate(tolerance=0.01).fit(scores, quality).n_falls_ == 0
    assert Gate(tolerance=0.01).fit(scores, quality).n_changed_ == 40
    assert Gate(tolerance=0.005).fit(scores, quality).n_changed_ == 0


def test_ragged_images_and_images_without_labels() -> None:
    rng = np.random.default_rng(1)
    scores, quality = rng.random((60, 4)), rng.random((60, 4))
    scores[:20, 3], quality[:20, 3] = -np.inf, np.nan
    network = rng.integers(0, 3, 60)
    gate = Gate(level=0.6).fit(scores, quality, network)
    with_void = Gate(level=0.6).fit(
        np.vstack([scores, rng.random((5, 4))]),
        np.vstack([quality, np.full((5, 4), np.nan)]),
        np.concatenate([network, np.zeros(5, dtype=int)]),
    )
    assert gate.n_images_ == with_void.n_images_ == 60
    assert gate.threshold_ == with_void.threshold_
    found = gate.choose(scores, network)
    assert (found.choice[:20] < 3).all()
    assert (found.choice[found.kept] == network[found.kept]).all()
    empty = Gate().fit(np.zeros((0, 3)), np.zeros((0, 3)))
    assert np.isnan(empty.share_) and not empty.promised_


def test_statistics() -> None:
    scores = np.array([[0.0, 0.4, 0.2], [0.0, 4.0, 2.0]])
    quality = np.zeros((2, 3))
    relative = Gate(statistic="relative_margin").fit(scores, quality).choose(scores).confidence
    assert relative[0] == pytest.approx(relative[1])
    change = np.array([[0.0, 0.5, 0.1], [0.0, 0.25, 0.1]])
    per_change = Gate(statistic="margin_per_change").fit(scores, quality, 0, change)
    np.testing.assert_allclose(
        per_change.choose(scores, 0, change).confidence, [0.4 / 0.5**0.75, 4 / 0.25**0.75]
    )
    same = np.zeros((2, 3))
    assert np.isinf(per_change.choose(scores, 0, same).confidence).all()
    with pytest.raises(InputError, match="needs change"):
        per_change.choose(scores)
    with pytest.raises(InputError, match="change is of the statistic"):
        Gate().fit(scores, quality, 0, change)
    with pytest.raises(InputError, match="change must be in"):
        per_change.choose(scores, 0, change - 1)
    with pytest.raises(InputError, match="change must have the shape"):
        per_change.choose(scores, 0, change[:1])


@pytest.mark.parametrize(
    "settings, text",
    [
        ({"level": 0.0}, "level must lie between"),
        ({"delta": 1.0}, "delta must lie between"),
        ({"tolerance": -0.1}, "tolerance must be"),
        ({"statistic": "mood"}, "statistic must be one of"),
        ({"on_shortfall": "panic"}, "on_shortfall must be"),
        ({"reference": "oracle"}, "reference must be"),
    ],
)
def test_bad_settings(settings: dict, text: str) -> None:
    with pytest.raises(InputError, match=text):
        Gate(**settings).fit(np.zeros((2, 2)), np.zeros((2, 2)))


def test_without_a_network_texts_speak_of_map() -> None:
    rng = np.random.default_rng(0)
    scores, quality = rng.normal(size=(60, 3)), rng.uniform(size=(60, 3))
    for level, n in ((0.9, 60), (0.1, 5)):
        own = Gate(level=level, reference="map").fit(scores[:n], quality[:n]).explanation_
        other = Gate(level=level).fit(scores[:n], quality[:n]).explanation_
        assert "network" not in own and "MAP" in own
        assert "the network's" in other and "MAP" not in other


def test_bad_input() -> None:
    gate = Gate()
    with pytest.raises(NotFittedError, match="call fit"):
        gate.choose(np.zeros((2, 2)))
    good = np.zeros((2, 2))
    with pytest.raises(InputError, match="scores must have shape"):
        gate.fit(np.zeros(3), np.zeros(3))
    with pytest.raises(InputError, match="quality must have the shape"):
        gate.fit(good, np.zeros((2, 3)))
    with pytest.raises(InputError, match="scores must be finite"):
        gate.fit(np.full((2, 2), np.nan), good)
    with pytest.raises(InputError, match="network must be in 0..1"):
        gate.fit(good, good, 2)
    with pytest.raises(InputError, match="network must be the index"):
        gate.fit(good, good, [0, 1, 1])
    with pytest.raises(InputError, match="finite score in each image"):
        gate.fit([[-np.inf, 0.0]], [[0.0, 0.0]])
    with pytest.raises(InputError, match="quality of proposal 1 of image 0"):
        gate.fit([[0.0, 1.0]], [[0.5, np.nan]])
