from __future__ import annotations

import numpy as np
import pytest

from rerank.potentials import PerceptronTraining, SuperpixelClassifier
from rerank.potentials.perceptron import Perceptron
from rerank.potentials.principal_inputs import EVEN, GAIN, on_features, principal_inputs, project
from rerank.potentials.standardised_rows import StandardisedRows


@pytest.fixture(scope="module")
def rows() -> StandardisedRows:
    """40 features that six hidden causes of falling strength make, and a little noise."""
    rng = np.random.default_rng(0)
    causes = rng.normal(size=(3000, 6)) * [8, 5, 3, 2, 1.5, 1]
    features = causes @ rng.normal(size=(6, 40)) + 0.01 * rng.normal(size=(3000, 40)) + 7
    return StandardisedRows.of(features.astype(np.float32), np.arange(0, 3000, 2))


def test_spans_the_leading_singular_vectors(rows):
    every = rows.take(np.arange(rows.rows.size)).astype(np.float64)
    singular, expected = np.linalg.svd(every, full_matrices=False)[1:]
    directions = principal_inputs(rows, 4, np.random.default_rng(1)).astype(np.float64)
    inside = expected[:4].T @ (expected[:4] @ directions)
    np.testing.assert_allclose(inside, directions, atol=1e-3 * np.abs(directions).max())
    inputs = every @ directions
    np.testing.assert_allclose(inputs.T @ inputs, np.diag((inputs**2).sum(axis=0)), atol=0.5)
    variance = (inputs**2).mean(axis=0)
    assert variance.mean() == pytest.approx(GAIN**2, rel=1e-3)
    kept = singular[:4] ** (2 * (1 - EVEN))
    np.testing.assert_allclose(variance / variance[0], kept / kept[0], rtol=1e-3)


def test_inputs_are_those_of_the_rows_and_fold_back(rows):
    directions = principal_inputs(rows, 5, np.random.default_rng(1))
    inputs = project(rows, directions)
    some = np.array([3, 0, 1499])
    np.testing.assert_allclose(inputs.take(some), rows.take(some) @ directions, atol=1e-5)
    rng = np.random.default_rng(2)
    model = Perceptron(
        (rng.normal(size=(3, 5)).astype(np.float32), rng.normal(size=(2, 3)).astype(np.float32)),
        (rng.normal(size=3).astype(np.float32), np.zeros(2, np.float32)),
    )
    np.testing.assert_allclose(
        on_features(model, directions).logits(rows.take(some)),
        model.logits(inputs.take(some)),
        atol=1e-4,
    )


def test_as_many_components_as_columns_of_any_rank():
    features = np.repeat(np.random.default_rng(0).normal(size=(20, 2)), 4, axis=1)
    rows = StandardisedRows.of(features.astype(np.float32), np.arange(20))
    assert np.isfinite(principal_inputs(rows, 8, np.random.default_rng(0))).all()


def test_a_classifier_on_components_predicts_from_features(rows):
    labels = (rows.features[:, 0] > 7).astype(int)
    features = rows.features[:2000], labels[:2000]

    def fit(n_components: int | None) -> SuperpixelClassifier:
        training = PerceptronTraining(dropout=0.0, learning_rate=0.02, n_components=n_components)
        return SuperpixelClassifier(hidden=16, n_steps=200, training=training, random_state=0).fit(
            *features
        )

    found = fit(6)
    assert found.to_arrays()["weight_0_0"].shape == (16, 40)
    assert (found.predict(rows.features[2000:]) == labels[2000:]).mean() > 0.95
    every, plain = fit(40).to_arrays(), fit(None).to_arrays()
    assert all(np.array_equal(every[name], plain[name]) for name in plain)
