import dataclasses

import numpy as np
import pytest
from scipy.optimize import check_grad, minimize

from rerank.errors import InputError, NotFittedError
from rerank.features import PosteriorSignals, StackedPosterior, posterior_signals, region_signals
from rerank.features.stacking import _loss_kernel
from rerank.potentials import affinity_weights


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
        signals.append(PosteriorSignals(("a", "b", "c"), values))
        histograms.append(np.eye(n_classes)[labels] * rng.integers(1, 9, (n, 1)))
    return signals, histograms


def test_signals_by_hand(make_inputs):
    inputs = make_inputs()
    s = posterior_signals(inputs)
    share = inputs.areas / inputs.areas.sum()
    plane = {name: s.values[:, :, k] for k, name in enumerate(s.names)}
    assert s.names == (
        "superpixel",
        "image",
        "highest",
        "segnet",
        "segnet_image",
        "classifier",
        "denied",
        "size",
        "location",
        "component",
        "components",
        "votes",
        "posterior",
    )

    def log(p):
        return np.log(np.maximum(p, 1e-4))

    def pooled(labels):
        component = np.arange(len(labels))
        for _ in labels:
            for i, j in inputs.edges:
                if labels[i] == labels[j]:
                    component[[i, j]] = component[[i, j]].min()
        return np.stack(
            [
                np.average(
                    inputs.probabilities[component == r], axis=0, weights=share[component == r]
                )
                for r in component
            ]
        )

    best = pooled(inputs.labelings[np.argmin(inputs.energies)])
    votes = np.stack([(inputs.labelings == c).sum(axis=0) for c in range(4)], axis=1)
    expected = {
        "superpixel": log(inputs.probabilities),
        "component": log(best),
        "components": log(np.mean([pooled(row) for row in inputs.labelings], axis=0)),
        "votes": np.log((votes + 0.5) / (7 + 2)),
        "image": np.broadcast_to(log(share @ inputs.probabilities), (30, 4)),
        "highest": np.broadcast_to(log(inputs.probabilities.max(axis=0)), (30, 4)),
        "classifier": np.broadcast_to([0, *inputs.scores], (30, 4)),
        "denied": np.broadcast_to([0, *np.minimum(inputs.scores, 0)], (30, 4)),
        "size": np.broadcast_to([0, *inputs.size_scores.reshape(3, 4).mean(axis=1)], (30, 4)),
        "location": log(inputs.location),
        "posterior": log(inputs.posterior),
    }
    for name, values in expected.items():
        np.testing.assert_allclose(plane[name], values, rtol=1e-5, atol=1e-5, err_msg=name)
    overlap = inputs.cell_overlap / inputs.cell_overlap.sum(axis=0)
    np.testing.assert_allclose(
        plane["segnet"], log(overlap.T @ inputs.segnet_map.reshape(12, 4)), rtol=1e-5
    )


def test_signals_of_stage_one_alone(make_inputs):
    inputs = dataclasses.replace(
        make_inputs(),
        segnet_map=None,
        cell_overlap=None,
        scores=None,
        size_scores=None,
        size_thresholds=None,
        location=None,
        posterior=None,
    )
    assert posterior_signals(inputs).names == (
        "superpixel",
        "image",
        "highest",
        "component",
        "components",
        "votes",
    )


def test_region_signals_need_no_proposals(make_inputs):
    i = make_inputs()
    prior, looks = np.array([0.4, 0.3, 0.2, 0.1]), np.random.default_rng(3).random((30, 2))
    s = region_signals(
        i.probabilities,
        i.areas,
        segnet_map=i.segnet_map,
        cell_overlap=i.cell_overlap,
        scores=i.scores,
        size_scores=i.size_scores,
        location=i.location,
        prior=prior,
        appearance=looks,
        background=i.background,
    )
    with_proposals = posterior_signals(i)
    shared = [name for name in s.names if name in with_proposals.names]
    assert set(s.names) - set(shared) == {"prior", "similar", "segnet_similar"}
    for name in shared:
        np.testing.assert_array_equal(
            s.values[:, :, s.names.index(name)],
            with_proposals.values[:, :, with_proposals.names.index(name)],
        )
    np.testing.assert_allclose(
        s.values[:, :, s.names.index("prior")], np.tile(np.log(prior), (30, 1)), rtol=1e-6
    )
    kernel = affinity_weights(looks, i.areas)
    similar = s.values[:, :, s.names.index("similar")]
    np.testing.assert_allclose(
        similar, np.log(np.maximum(kernel @ kernel @ i.probabilities, 1e-4)), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("source", ["posterior", "dense"])
def test_a_second_posterior_gives_signals_of_its_own(make_inputs, source):
    inputs = make_inputs()
    second = np.random.default_rng(1).dirichlet(np.ones(len(inputs.classes)), len(inputs.areas))
    found = region_signals(
        inputs.probabilities, inputs.areas, **{source: second}, appearance=inputs.region_values
    )
    plane = {name: found.values[:, :, k] for k, name in enumerate(found.names)}
    kernel = affinity_weights(inputs.region_values, inputs.areas)
    mean = np.average(second, axis=0, weights=inputs.areas)
    for name, expected in (
        (source, second),
        (f"{source}_image", mean[None]),
        (f"{source}_similar", kernel @ kernel @ second),
    ):
        expected = np.broadcast_to(np.log(np.maximum(expected, 1e-4)), second.shape)
        np.testing.assert_allclose(plane[name], expected, rtol=1e-5)
    alone = region_signals(inputs.probabilities, inputs.areas, appearance=inputs.region_values)
    kept = [found.names.index(name) for name in alone.names]
    np.testing.assert_array_equal(found.values[:, :, kept], alone.values)


def test_region_signals_refuse_half_an_input(make_inputs):
    i = make_inputs()
    with pytest.raises(InputError, match="segnet_map and cell_overlap"):
        region_signals(i.probabilities, i.areas, segnet_map=i.segnet_map)
    with pytest.raises(InputError, match="scores and size_scores"):
        region_signals(i.probabilities, i.areas, scores=i.scores)


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
    stack = StackedPosterior(alpha=0.0, regions_per_image=None).fit(signals, histograms)
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
    back = StackedPosterior.from_arrays(stack.to_arrays())
    np.testing.assert_array_equal(back.predict_proba(signals[0]), p)
    assert back.names_ == ("a", "b", "c") and back.loss_ == stack.loss_


def test_a_penalty_shrinks_and_scale_does_not_matter():
    signals, histograms = make_images()
    free = StackedPosterior(alpha=0.0).fit(signals, histograms)
    held = StackedPosterior(alpha=1.0).fit(signals, histograms)
    assert np.abs(held.weights_).sum() < np.abs(free.weights_).sum()
    larger = [PosteriorSignals(s.names, s.values * [1, 1, 64]) for s in signals]
    rescaled = StackedPosterior(alpha=1.0).fit(larger, histograms)
    np.testing.assert_allclose(rescaled.weights_ * [1, 1, 64], held.weights_, rtol=1e-4)


def test_a_signal_that_hardly_varied_in_training_gets_no_great_weight():
    """It might rule an odd image where it does vary."""
    signals, histograms = make_images()

    def weight_of_truth(size):
        told = [
            PosteriorSignals(
                ("a", "truth"),
                np.stack([s.values[:, :, 0], size * np.eye(3)[h.argmax(axis=1)]], axis=2),
            )
            for s, h in zip(signals, histograms)
        ]
        return StackedPosterior(alpha=1e-2).fit(told, histograms).weights_[1]

    plain, faint = weight_of_truth(3.0), weight_of_truth(0.03)
    assert 0 < faint < 20 * plain  # 100 times as large if only its size relative to itself counted


def test_a_draw_of_regions_is_seeded_and_near_the_whole():
    signals, histograms = make_images(8, 200)
    whole = StackedPosterior(regions_per_image=None).fit(signals, histograms)
    part = StackedPosterior(regions_per_image=100, random_state=3).fit(signals, histograms)
    again = StackedPosterior(regions_per_image=100, random_state=3).fit(signals, histograms)
    np.testing.assert_array_equal(part.weights_, again.weights_)
    np.testing.assert_allclose(part.weights_, whole.weights_, atol=0.2)
    assert (part.weights_ != whole.weights_).any()


def test_bad_inputs_are_refused():
    signals, histograms = make_images()
    with pytest.raises(NotFittedError):
        StackedPosterior().predict_proba(signals[0])
    with pytest.raises(NotFittedError):
        StackedPosterior().to_arrays()
    other = PosteriorSignals(("a", "b", "d"), signals[0].values)
    with pytest.raises(InputError, match="image 1 has the signals"):
        StackedPosterior().fit([signals[0], other], histograms)
    with pytest.raises(InputError, match="fitted to the signals"):
        StackedPosterior().fit(signals, histograms).predict_proba(other)
    with pytest.raises(InputError, match="histogram 0"):
        StackedPosterior().fit(signals, [histograms[0][1:]])
    with pytest.raises(InputError, match="no labelled pixel"):
        StackedPosterior().fit(signals[:1], [histograms[0] * 0])
    with pytest.raises(InputError, match="alpha"):
        StackedPosterior(alpha=-1).fit(signals, histograms)
    with pytest.raises(InputError, match="'b' is not finite"):
        PosteriorSignals(("a", "b"), np.array([[[1.0, np.nan]]]))
    with pytest.raises(InputError, match="must be \\(n, C, 1\\)"):
        PosteriorSignals(("a",), np.ones((2, 2)))
