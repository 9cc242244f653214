import numpy as np
import pytest
from scipy.optimize import check_grad, minimize
from sklearn.exceptions import ConvergenceWarning

from rerank.errors import InputError, NotFittedError
from rerank.evidence import FusedPosterior, RegionSignals
from rerank.evidence.fused_posterior import _loss_kernel


def make_images(n_images=4, n=60, n_classes=3, seed=0):
    """Labels drawn from a conditional logit of weights 1.5, 0, -0.7."""
    rng = np.random.default_rng(seed)
    signals, histograms = [], []
    for _ in range(n_images):
        values = rng.normal(size=(n, n_classes, 3)) * [1, 2, 5]
        logits = values.astype(np.float32) @ [1.5, 0.0, -0.7]
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        labels = [rng.choice(n_classes, p=row) for row in p]
        signals.append(RegionSignals(("a", "b", "c"), values))
        histograms.append(np.eye(n_classes)[labels] * rng.integers(1, 9, (n, 1)))
    return signals, histograms


def test_gradient_and_curvature():
    signals, histograms = make_images(1, 20)
    x, t = signals[0].values, histograms[0] / histograms[0].sum()
    w = np.array([0.4, -0.2, 0.1])
    assert (
        check_grad(lambda v: _loss_kernel(x, t, v)[0], lambda v: _loss_kernel(x, t, v)[1], w) < 1e-5
    )
    for k, direction in enumerate(np.eye(3) * 1e-5):
        difference = (
            _loss_kernel(x, t, w + direction)[1] - _loss_kernel(x, t, w - direction)[1]
        ) / 2e-5
        np.testing.assert_allclose(_loss_kernel(x, t, w)[2][k], difference, atol=1e-5)


def test_fit_finds_the_optimum_and_the_weights():
    signals, histograms = make_images(8, 200)
    stack = FusedPosterior(alpha=0.0, regions_per_image=None).fit(signals, histograms)
    x = np.concatenate([s.values for s in signals])
    t = np.concatenate(histograms)
    peer = minimize(
        lambda w: _loss_kernel(x, t / t.sum(), w)[:2],
        np.zeros(3),
        jac=True,
        method="BFGS",
        options={"gtol": 1e-8},
    )
    np.testing.assert_allclose(stack.weights_, peer.x, atol=1e-4)
    np.testing.assert_allclose(stack.weights_, [1.5, 0, -0.7], atol=0.15)
    assert stack.loss_ == pytest.approx(peer.fun, abs=1e-8) and stack.n_iter_ < 20
    p = stack.predict_proba(signals[0])
    np.testing.assert_allclose(p.sum(axis=1), 1)
    back = FusedPosterior.from_arrays(stack.to_arrays())
    np.testing.assert_array_equal(back.predict_proba(signals[0]), p)
    assert back.names_ == ("a", "b", "c") and back.loss_ == stack.loss_


def test_too_few_steps_are_reported():
    with pytest.warns(ConvergenceWarning, match="after 1 steps"):
        FusedPosterior(max_iter=1).fit(*make_images())


def test_a_signal_that_says_nothing_more_is_harmless():
    """Two equal signals leave the Hessian singular where nothing penalises weights."""
    signals, histograms = make_images()
    twice = [RegionSignals(("a", "b", "c", "d"), s.values[:, :, [0, 1, 2, 0]]) for s in signals]
    one = FusedPosterior(alpha=0.0).fit(signals, histograms)
    two = FusedPosterior(alpha=0.0).fit(twice, histograms)
    assert two.loss_ == pytest.approx(one.loss_, abs=1e-8)
    np.testing.assert_allclose(two.weights_[0] + two.weights_[3], one.weights_[0], atol=1e-3)


def test_a_penalty_shrinks_and_scale_does_not_matter():
    signals, histograms = make_images()
    free = FusedPosterior(alpha=0.0).fit(signals, histograms)
    held = FusedPosterior(alpha=1.0).fit(signals, histograms)
    assert np.abs(held.weights_).sum() < np.abs(free.weights_).sum()
    larger = [RegionSignals(s.names, s.values * [1, 1, 64]) for s in signals]
    rescaled = FusedPosterior(alpha=1.0).fit(larger, histograms)
    np.testing.assert_allclose(rescaled.weights_ * [1, 1, 64], held.weights_, rtol=1e-4)


def test_a_signal_that_hardly_varied_in_training_gets_no_great_weight():
    """It might rule an odd image where it does vary."""
    signals, histograms = make_images()

    def weight_of_truth(size):
        told = [
            RegionSignals(
                ("a", "truth"),
                np.stack([s.values[:, :, 0], size * np.eye(3)[h.argmax(axis=1)]], axis=2),
            )
            for s, h in zip(signals, histograms)
        ]
        return FusedPosterior(alpha=1e-2).fit(told, histograms).weights_[1]

    plain, faint = weight_of_truth(3.0), weight_of_truth(0.03)
    assert 0 < faint < 20 * plain  # 100 times as large if only its size relative to itself counted


def test_a_draw_of_regions_is_seeded_and_near_the_whole():
    signals, histograms = make_images(8, 200)
    whole = FusedPosterior(regions_per_image=None).fit(signals, histograms)
    part = FusedPosterior(regions_per_image=100, random_state=3).fit(signals, histograms)
    again = FusedPosterior(regions_per_image=100, random_state=3).fit(signals, histograms)
    np.testing.assert_array_equal(part.weights_, again.weights_)
    np.testing.assert_allclose(part.weights_, whole.weights_, atol=0.2)
    assert (part.weights_ != whole.weights_).any()


def test_bad_inputs_are_refused():
    signals, histograms = make_images()
    with pytest.raises(NotFittedError):
        FusedPosterior().predict_proba(signals[0])
    with pytest.raises(NotFittedError):
        FusedPosterior().to_arrays()
    other = RegionSignals(("a", "b", "d"), signals[0].values)
    with pytest.raises(InputError, match="image 1 has the signals"):
        FusedPosterior().fit([signals[0], other], histograms)
    with pytest.raises(InputError, match="fitted to the signals"):
        FusedPosterior().fit(signals, histograms).predict_proba(other)
    with pytest.raises(InputError, match="histogram 0"):
        FusedPosterior().fit(signals, [histograms[0][1:]])
    with pytest.raises(InputError, match="no labelled pixel"):
        FusedPosterior().fit(signals[:1], [histograms[0] * 0])
    with pytest.raises(InputError, match="alpha"):
        FusedPosterior(alpha=-1).fit(signals, histograms)
