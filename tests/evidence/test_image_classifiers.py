import time

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC

from rerank.errors import InputError, NotFittedError
from rerank.evidence import ImageClassifiers, SizeThresholdClassifiers, size_thresholds
from rerank.evidence.linear_svm import fit_linear_svms


def make_images(n=60, d=8, n_classes=4, seed=0):
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(n_classes, 0.5), n)
    shares[shares < 0.1] = 0
    pooled = shares @ rng.normal(size=(n_classes, d)) + 0.1 * rng.normal(size=(n, d))
    return pooled, shares


@pytest.mark.parametrize("d", [5, 70])
@pytest.mark.parametrize("balanced", [True, False])
def test_machines_agree_with_liblinear(d, balanced):
    rng = np.random.default_rng(d)
    X = rng.normal(size=(40, d)) * 3 + 1
    labels = rng.random((40, 3)) < 0.3
    machines = fit_linear_svms(X, labels, 2.0, balanced, 1e-12, 100)
    assert machines.duality_gap.max() <= 1e-12
    scaled = (X - X.mean(axis=0)) / X.std(axis=0)
    scaled /= np.sqrt((scaled**2).sum(axis=1).mean())
    for t in range(3):
        peer = LinearSVC(
            C=2.0,
            class_weight="balanced" if balanced else None,
            tol=1e-10,
            max_iter=1_000_000,
            random_state=0,
            dual=True,
        )
        peer.fit(scaled, labels[:, t])
        np.testing.assert_allclose(
            machines.decision_function(X)[:, t], peer.decision_function(scaled), atol=1e-5
        )


def test_one_class_problems_score_a_constant():
    X = np.random.default_rng(0).normal(size=(6, 3))
    labels = np.array([[True, False, k % 2 == 0] for k in range(6)])
    machines = fit_linear_svms(X, labels, 1.0, True, 1e-6, 100)
    scores = machines.decision_function(X + 7)
    assert (scores[:, 0] == 1).all() and (scores[:, 1] == -1).all()
    assert len(set(scores[:, 2])) == 6


def test_columns_without_variance_count_for_nothing():
    X = np.random.default_rng(0).normal(size=(9, 2))
    labels = np.arange(9)[:, None] % 3 == 0
    plain = fit_linear_svms(X, labels, 1.0, True, 1e-10, 100)
    padded = fit_linear_svms(np.column_stack([X, np.full(9, 1e6)]), labels, 1.0, True, 1e-10, 100)
    np.testing.assert_allclose(padded.coef[:, :2], plain.coef, rtol=1e-6)
    assert (padded.coef[:, 2] == 0).all()
    flat = fit_linear_svms(np.ones((9, 2)), labels, 1.0, True, 1e-10, 100)
    assert np.isfinite(flat.decision_function(X)).all()


def test_too_few_steps_are_reported():
    X = np.random.default_rng(0).normal(size=(30, 4))
    with pytest.warns(ConvergenceWarning, match="machines have a duality gap above"):
        fit_linear_svms(X, X[:, :1] > 0, 1e4, True, 1e-9, 1)


def test_image_classifiers_learn_and_come_back():
    pooled, shares = make_images(200)
    classifiers = ImageClassifiers(background=0).fit(pooled[:150], shares[:150])
    scores = classifiers.decision_function(pooled[150:])
    assert scores.shape == (50, 3) and classifiers.classes_.tolist() == [1, 2, 3]
    assert ((scores > 0) == (shares[150:, 1:] > 0)).mean() > 0.8
    back = ImageClassifiers.from_arrays(classifiers.to_arrays())
    np.testing.assert_array_equal(
        back.decision_function(pooled), classifiers.decision_function(pooled)
    )
    assert ImageClassifiers().fit(pooled, shares).decision_function(pooled).shape == (200, 4)


def test_size_thresholds_are_percentiles_where_the_class_is():
    shares = np.array([[0.0, 0.0], [0.1, 0.0], [0.2, 0.0], [0.3, 0.0], [0.4, 0.0], [0.5, 0.0]])
    np.testing.assert_allclose(size_thresholds(shares), [[0.18, 0.26, 0.34, 0.42], [1, 1, 1, 1]])


def test_size_classifiers_label_by_threshold():
    pooled, shares = make_images(120, n_classes=3)
    shares[:, 2] = 0
    sizes = SizeThresholdClassifiers().fit(pooled, shares)
    scores = sizes.decision_function(pooled)
    assert scores.shape == (120, 12) and sizes.thresholds_.shape == (3, 4)
    assert (scores[:, 8:] == -1).all()
    alone = fit_linear_svms(
        pooled, shares[:, [1]] >= sizes.thresholds_[1, 2], 1.0, True, 1e-10, 100
    )
    np.testing.assert_allclose(scores[:, 4 + 2], alone.decision_function(pooled)[:, 0], atol=0.02)
    back = SizeThresholdClassifiers.from_arrays(sizes.to_arrays())
    np.testing.assert_array_equal(back.decision_function(pooled), scores)
    np.testing.assert_array_equal(back.thresholds_, sizes.thresholds_)


@pytest.mark.parametrize("percentiles", [(50.0,), (75.0, 25.0), (0.0, 10.0, 50.0, 90.0, 100.0)])
def test_any_number_of_percentiles(percentiles):
    pooled, shares = make_images(120, n_classes=3)
    sizes = SizeThresholdClassifiers(percentiles).fit(pooled, shares)
    n_sizes = len(percentiles)
    scores = sizes.decision_function(pooled)
    assert scores.shape == (120, 3 * n_sizes) and sizes.thresholds_.shape == (3, n_sizes)
    order = np.argsort(percentiles)
    assert (np.diff(sizes.thresholds_[:, order], axis=1) > 0).all()
    back = SizeThresholdClassifiers.from_arrays(sizes.to_arrays())
    np.testing.assert_array_equal(back.percentiles_, percentiles)
    np.testing.assert_array_equal(back.decision_function(pooled), scores)


def test_bad_inputs_are_refused():
    pooled, shares = make_images()
    with pytest.raises(NotFittedError, match="ImageClassifiers"):
        ImageClassifiers().decision_function(pooled)
    with pytest.raises(InputError, match="must be"):
        ImageClassifiers().fit(pooled[1:], shares)
    with pytest.raises(InputError, match="at most 1"):
        ImageClassifiers().fit(pooled, shares * 3)
    with pytest.raises(InputError, match="background"):
        ImageClassifiers(background=4).fit(pooled, shares)
    with pytest.raises(InputError, match="class_weight"):
        SizeThresholdClassifiers(class_weight="even").fit(pooled, shares)
    with pytest.raises(InputError, match="each once"):
        SizeThresholdClassifiers((50.0, 50.0)).fit(pooled, shares)
    with pytest.raises(InputError, match="at least one"):
        SizeThresholdClassifiers(()).fit(pooled, shares)
    with pytest.raises(InputError, match="0..100"):
        SizeThresholdClassifiers((50.0, 101.0)).fit(pooled, shares)
    with pytest.raises(InputError, match="C must be"):
        ImageClassifiers(C=0.0).fit(pooled, shares)
    with pytest.raises(InputError, match="finite"):
        ImageClassifiers().fit(np.where(pooled > 1, np.nan, pooled), shares)
    with pytest.raises(InputError, match="\\(N, 8\\)"):
        ImageClassifiers().fit(pooled, shares).decision_function(pooled[:, 1:])


def test_a_hundred_and_five_machines_are_fast(record_property):
    pooled, shares = make_images(276, 512, 21)
    start = time.process_time()
    ImageClassifiers().fit(pooled, shares)
    sizes = SizeThresholdClassifiers().fit(pooled, shares)
    record_property("seconds_for_105_classifiers", time.process_time() - start)
    assert sizes.duality_gap_.max() <= sizes.tol
