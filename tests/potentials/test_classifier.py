from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from rerank.errors import InputError, NotFittedError
from rerank.potentials import PerceptronTraining, SuperpixelClassifier, sample_superpixels

QUICK = dict(
    hidden=16, n_steps=150, training=PerceptronTraining(batch_size=64, dropout=0.1), random_state=0
)


@pytest.fixture(scope="module")
def ring() -> tuple[np.ndarray, np.ndarray]:
    """A disc of class 0 within a ring of class 1, with a third class to one side."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(900, 3)).astype(np.float32) * [1, 1, 50] + [0, 0, 1000]
    radius = np.hypot(features[:, 0], features[:, 1])
    labels = np.where(features[:, 0] > 1.5, 2, (radius > 1).astype(int))
    return features.astype(np.float32), labels


def test_learns_what_is_not_linear(ring):
    features, labels = ring
    classifier = SuperpixelClassifier(
        hidden=32,
        n_steps=300,
        training=PerceptronTraining(dropout=0.0, learning_rate=0.02),
        random_state=0,
    )
    p = classifier.fit(features[:600], labels[:600]).predict_proba(features[600:])
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-12)
    assert (p.argmax(axis=1) == labels[600:]).mean() > 0.93
    assert (classifier.predict(features[600:]) == p.argmax(axis=1)).all()
    linear = SuperpixelClassifier(hidden=0, n_steps=200, random_state=0).fit(features, labels)
    assert (linear.predict(features) == labels).mean() < 0.85


def test_without_a_hidden_layer_agrees_with_logistic_regression():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(400, 4)).astype(np.float32)
    y = (x @ [1.0, -2.0, 0.5, 0.0] + rng.logistic(size=400) > 0).astype(int)
    found = SuperpixelClassifier(
        hidden=0,
        n_steps=400,
        weight_decay=0.0,
        training=PerceptronTraining(batch_size=400, learning_rate=0.05),
        random_state=0,
    ).fit(x, y)
    expected = LogisticRegression(C=1e6).fit(x, y)
    np.testing.assert_allclose(found.predict_proba(x), expected.predict_proba(x), atol=0.05)


def test_soft_targets_are_learnt_as_shares():
    features = np.repeat(np.eye(3, dtype=np.float32), 50, axis=0)
    counts = np.repeat([[30, 10], [0, 7], [5, 5]], 50, axis=0)
    classifier = SuperpixelClassifier(
        hidden=8,
        n_steps=400,
        weight_decay=0.0,
        training=PerceptronTraining(dropout=0.0, learning_rate=0.02),
        random_state=0,
    )
    p = classifier.fit(features, counts).predict_proba(np.eye(3, dtype=np.float32))
    np.testing.assert_allclose(p[:, 0], [0.75, 0, 0.5], atol=0.03)


def test_labels_with_areas_equal_a_histogram(ring):
    features, labels = ring
    areas = np.random.default_rng(2).integers(1, 40, labels.size)
    histogram = np.zeros((labels.size, 3), dtype=int)
    histogram[np.arange(labels.size), labels] = areas
    one = SuperpixelClassifier(**QUICK).fit(features, labels, sample_weight=areas)
    other = SuperpixelClassifier(**QUICK).fit(features, histogram)
    np.testing.assert_array_equal(one.predict_proba(features), other.predict_proba(features))


def test_void_is_left_out(ring):
    features, labels = ring
    void = np.arange(labels.size) % 3 == 0
    spoiled = np.where(void[:, None], 1e6, features).astype(np.float32)
    marked = np.where(void, 255, labels)
    kept = SuperpixelClassifier(**QUICK).fit(features[~void], labels[~void])
    masked = SuperpixelClassifier(**QUICK).fit(spoiled, marked)
    np.testing.assert_allclose(
        masked.predict_proba(features), kept.predict_proba(features), rtol=1e-5
    )


def test_equal_seeds_give_equal_weights_whatever_the_threads(ring):
    features, labels = ring
    first = SuperpixelClassifier(**QUICK).fit(features, labels).to_arrays()
    with threadpool_limits(limits=2, user_api="blas"):
        second = SuperpixelClassifier(**QUICK).fit(features, labels).to_arrays()
    assert first.keys() == second.keys()
    for key in first:
        np.testing.assert_array_equal(first[key], second[key])
    other = SuperpixelClassifier(**{**QUICK, "random_state": 1}).fit(features, labels)
    assert not np.array_equal(other.to_arrays()["weight_0_0"], first["weight_0_0"])


@pytest.mark.parametrize("hidden", [0, 5])
def test_plain_arrays_hold_all_of_it(ring, hidden, tmp_path):
    features, labels = ring
    classifier = SuperpixelClassifier(**{**QUICK, "hidden": hidden, "n_members": 2})
    classifier.fit(features, labels).calibrate(features, labels)
    np.savez(tmp_path / "state.npz", **classifier.to_arrays())
    with np.load(tmp_path / "state.npz", allow_pickle=False) as arrays:
        read = SuperpixelClassifier.from_arrays(arrays)
        np.testing.assert_array_equal(
            read.predict_proba(features), classifier.predict_proba(features)
        )
    assert (read.hidden, read.n_members) == (hidden, 2)
    assert read.classes_.tolist() == [0, 1, 2] and read.n_features_in_ == 3


def test_members_are_averaged(ring):
    features, labels = ring
    classifier = SuperpixelClassifier(**{**QUICK, "n_members": 3}).fit(features, labels)
    arrays = classifier.to_arrays()
    alone = []
    for m in range(3):
        member = {k: arrays[k] for k in ("layer_sizes", "mean", "scale", "temperature")}
        member["n_members"] = np.array(1)
        member.update({k.replace(f"_{m}_", "_0_"): v for k, v in arrays.items() if f"_{m}_" in k})
        alone.append(SuperpixelClassifier.from_arrays(member).predict_proba(features))
    np.testing.assert_allclose(classifier.predict_proba(features), np.mean(alone, axis=0))


def test_calibration_mends_overconfidence_and_keeps_decisions(ring):
    features, labels = ring
    rng = np.random.default_rng(3)
    noisy = np.where(rng.random(labels.size) < 0.4, rng.integers(0, 3, labels.size), labels)
    classifier = SuperpixelClassifier(
        hidden=64,
        n_steps=300,
        weight_decay=0.0,
        training=PerceptronTraining(dropout=0.0, learning_rate=0.02),
        random_state=0,
    )
    classifier.fit(features[:200], noisy[:200])

    def cross_entropy() -> float:
        p = classifier.predict_proba(features[600:])
        return -np.log(p[np.arange(300), noisy[600:]]).mean()

    before, decisions = cross_entropy(), classifier.predict(features)
    classifier.calibrate(features[200:600], noisy[200:600])
    assert classifier.temperature_ > 1.1 and cross_entropy() < before - 0.02
    np.testing.assert_array_equal(classifier.predict(features), decisions)


def test_class_balance_finds_more_of_a_rare_class():
    rng = np.random.default_rng(4)
    labels = (rng.random(2000) < 0.08).astype(int)
    features = (rng.normal(size=(2000, 2)) + labels[:, None]).astype(np.float32)
    found = [
        SuperpixelClassifier(**QUICK, class_balance=b).fit(features, labels).predict(features)
        for b in (0.0, 1.0)
    ]
    recall = [f[labels == 1].mean() for f in found]
    assert recall[1] > recall[0] + 0.3


def test_a_class_that_is_absent_is_improbable(ring):
    features, labels = ring
    classifier = SuperpixelClassifier(**QUICK).fit(features, labels, n_classes=5)
    p = classifier.predict_proba(features)
    assert p.shape == (900, 5) and p[:, 3:].mean() < 1e-3


def test_at_most_so_many_superpixels_of_an_image():
    groups = np.repeat([7, 3, 5], [2, 10, 6])
    rows = sample_superpixels(groups, 4, random_state=0)
    assert np.bincount(groups[rows]).tolist() == [0, 0, 0, 4, 0, 4, 0, 2]
    assert (np.diff(rows) > 0).all()
    np.testing.assert_array_equal(rows, sample_superpixels(groups, 4, random_state=0))
    some = sample_superpixels(groups, 4, rows=np.arange(3, 9), random_state=0)
    assert some.size == 4 and set(some) <= set(range(3, 9))


def test_drawing_superpixels_changes_what_is_learnt(ring):
    features, labels = ring
    groups = np.arange(900) // 90
    drawn = SuperpixelClassifier(**QUICK, max_per_image=9).fit(features, labels, groups=groups)
    every = SuperpixelClassifier(**QUICK).fit(features, labels, groups=groups)
    assert not np.array_equal(drawn.mean_, every.mean_)


def test_is_an_estimator_of_scikit_learn():
    training = PerceptronTraining(dropout=0.25)
    classifier = clone(SuperpixelClassifier(hidden=3, training=training))
    assert classifier.get_params()["training"] == training
    assert classifier.set_params(hidden=4).hidden == 4


def test_constant_and_half_precision_features(ring):
    features, labels = ring
    features = np.concatenate([features[:, :2], np.full((900, 1), 3)], axis=1).astype(np.float16)
    classifier = SuperpixelClassifier(**QUICK).fit(features, labels)
    assert classifier.scale_[2] == 1 and np.isfinite(classifier.predict_proba(features)).all()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("hidden", -1),
        ("n_steps", 0),
        ("weight_decay", -1.0),
        ("class_balance", -1.0),
        ("max_per_image", 0),
        ("n_members", 0),
    ],
)
def test_refuses_settings_out_of_range(setting, value):
    with pytest.raises(InputError, match=setting):
        SuperpixelClassifier(**{setting: value}).fit(np.zeros((2, 1)), np.array([0, 1]))


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("dropout", 1.0),
        ("input_dropout", -0.1),
        ("batch_size", 0),
        ("learning_rate", 0.0),
        ("n_components", 0),
    ],
)
def test_refuses_settings_of_training_out_of_range(setting, value):
    with pytest.raises(InputError, match=setting):
        PerceptronTraining(**{setting: value})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(features=np.zeros(3), target=np.zeros(3, int)), r"\(n, D\)"),
        (dict(features=np.zeros((3, 1), int), target=np.zeros(3, int)), "floats"),
        (dict(features=np.full((3, 1), np.nan), target=np.zeros(3, int)), "finite"),
        (dict(features=np.zeros((3, 1)), target=np.zeros(2, int)), "target"),
        (dict(features=np.zeros((3, 1)), target=-np.ones((3, 2))), "0 or greater"),
        (dict(features=np.zeros((3, 1)), target=np.zeros((3, 2))), "no superpixel"),
        (dict(features=np.zeros((3, 1)), target=np.zeros((3, 2)), n_classes=3), r"\(3, 3\)"),
        (dict(features=np.zeros((3, 1)), target=np.full(3, 4), n_classes=3), "found 4"),
        (
            dict(features=np.zeros((3, 1)), target=np.zeros(3, int), sample_weight=[-1, 1, 1]),
            "sample_weight",
        ),
    ],
)
def test_refuses_what_does_not_fit(arguments, message):
    with pytest.raises(InputError, match=message):
        SuperpixelClassifier().fit(**arguments)


def test_groups_are_needed_to_draw_by_image():
    with pytest.raises(InputError, match="needs groups"):
        SuperpixelClassifier(max_per_image=2).fit(np.zeros((2, 1)), np.array([0, 1]))


def test_refuses_to_predict_unfitted_or_on_other_features(ring):
    with pytest.raises(NotFittedError, match="call fit first"):
        SuperpixelClassifier().predict_proba(np.zeros((1, 1)))
    classifier = SuperpixelClassifier(**QUICK).fit(*ring)
    with pytest.raises(InputError, match="fitted on 3 features, got 2"):
        classifier.predict_proba(np.zeros((4, 2)))


def test_refuses_damaged_arrays(ring):
    arrays = SuperpixelClassifier(**QUICK).fit(*ring).to_arrays()
    for key in arrays:
        with pytest.raises(InputError):
            SuperpixelClassifier.from_arrays({k: v for k, v in arrays.items() if k != key})
    with pytest.raises(InputError, match="weight_0_0 .* must have shape"):
        SuperpixelClassifier.from_arrays({**arrays, "weight_0_0": arrays["weight_0_0"][:, :2]})
