"""The structured SVM: its optimum, its certificate, and how it reads its data."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning

from rerank.errors import InputError
from rerank.ranking import StructuredRankSVM, image_rows
from rerank.ranking.solvers import hinge_problem, hinge_solver

#: Step counts that make the solver stay with the block ascent, and leave it at once.
METHODS = {"ascent": 1e15, "interior point": 0.0}


@pytest.fixture(params=list(METHODS))
def method(request, monkeypatch):
    monkeypatch.setattr(hinge_solver, "EXPECTED_STEPS", METHODS[request.param])
    return request.param


def problem(n_images=12, n_proposals=5, n_columns=4, noise=1.0, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_images * n_proposals, n_columns))
    quality = 1 / (1 + np.exp(-X @ rng.normal(size=n_columns) - noise * rng.normal(size=len(X))))
    return X, quality, np.repeat(np.arange(n_images), n_proposals)


def objective(w, X, quality, groups, C):
    """The objective, image by image."""
    total = 0.5 * w @ w
    for g in np.unique(groups):
        part, q = X[groups == g], quality[groups == g]
        best = q.argmax()
        total += C * max(q[best] - q[m] - w @ (part[best] - part[m]) for m in range(len(q)))
    return total


def slow_optimum(X, quality, groups, C):
    """The quadratic programme with a slack variable for each image, by SLSQP."""
    ids, n_columns = np.unique(groups), X.shape[1]
    rows, right = [], []
    for i, g in enumerate(ids):
        part, q = X[groups == g], quality[groups == g]
        for m in range(len(q)):
            row = np.zeros(n_columns + len(ids))
            row[:n_columns], row[n_columns + i] = part[q.argmax()] - part[m], 1.0
            rows.append(row)
            right.append(q.max() - q[m])
    A, b = np.array(rows), np.array(right)
    weigh = np.concatenate([np.zeros(n_columns), np.full(len(ids), C)])
    inside = np.concatenate([np.ones(n_columns), np.zeros(len(ids))])
    start = np.concatenate([np.zeros(n_columns), np.ones(len(ids))])
    found = minimize(
        lambda z: 0.5 * (inside * z) @ z + weigh @ z,
        start,
        jac=lambda z: inside * z + weigh,
        constraints={"type": "ineq", "fun": lambda z: A @ z - b, "jac": lambda z: A},
        method="SLSQP",
        options={"maxiter": 1000, "ftol": 1e-14},
    )
    return objective(found.x[:n_columns], X, quality, groups, C)


def fit(data, **settings):
    settings = {"scale_columns": False, "random_state": 0, "tol": 1e-8, **settings}
    return StructuredRankSVM(**settings).fit(*data)


@pytest.mark.parametrize("C", [0.01, 1.0, 30.0])
@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_optimum_of_a_slow_solver(method, C, noise):
    data = problem(noise=noise)
    ranker = fit(data, C=C)
    slow = slow_optimum(*data, C)
    assert ranker.primal_objective_ == pytest.approx(slow, rel=1e-6)
    assert ranker.dual_objective_ <= slow * (1 + 1e-9)


def test_optimum_that_pystruct_found():
    """Figures of pystruct 0.3.2 on Python 3.6, by benchmarks/ranking.py's way of running it."""
    t, u = np.arange(720.0), np.arange(90.0)
    X = (np.sin(1.7 * t) + 0.5 * np.cos(0.3 * t * t % 7.0)).reshape(90, 8)
    quality = 1 / (1 + np.exp(-(X[:, 0] - 0.5 * X[:, 1] + 0.7 * np.sin(2.9 * u))))
    data = X, quality, np.repeat(np.arange(15), 6)
    for C, n_slack, one_slack, frank_wolfe in [
        (0.1, 0.21929203843718797, 0.2192919517009582, 0.21929287388377158),
        (10.0, 0.7622075771505901, 0.7622089182668312, 0.7716822006336066),
    ]:
        ranker = fit(data, C=C)
        theirs = min(n_slack, one_slack, frank_wolfe)
        assert ranker.primal_objective_ <= theirs
        assert ranker.primal_objective_ == pytest.approx(theirs, rel=1e-6)


@given(
    n_images=st.integers(1, 8),
    n_proposals=st.integers(1, 6),
    n_columns=st.integers(1, 9),
    C=st.sampled_from([1e-3, 0.1, 1.0, 100.0]),
    rounded=st.booleans(),
    seed=st.integers(0, 10**6),
)
@settings(max_examples=40, deadline=None)
def test_the_certificate_holds(n_images, n_proposals, n_columns, C, rounded, seed):
    X, quality, groups = problem(n_images, n_proposals, n_columns, seed=seed)
    if rounded:
        X, quality = np.round(X), np.round(quality, 1)
    ranker = fit((X, quality, groups), C=C, tol=1e-4)
    value = objective(ranker.coef_, X, quality, groups, C)
    assert ranker.primal_objective_ == pytest.approx(value, rel=1e-9, abs=1e-12)
    assert ranker.duality_gap_ == ranker.primal_objective_ - ranker.dual_objective_
    assert ranker.duality_gap_ <= 1e-4 * value
    # Nothing near the weights is better than the lower bound says.
    rng = np.random.default_rng(0)
    for length in (1e-3, 1e-1, 1.0):
        other = ranker.coef_ + length * rng.normal(size=n_columns)
        assert objective(other, X, quality, groups, C) >= ranker.dual_objective_ - 1e-12


@given(seed=st.integers(0, 10**6))
@settings(max_examples=15, deadline=None)
def test_order_of_proposals_does_not_matter(seed):
    X, quality, groups = problem(8, 4, 3, seed=seed)
    order = np.concatenate([4 * i + np.random.default_rng(seed).permutation(4) for i in range(8)])
    plain = fit((X, quality, groups))
    mixed = fit((X[order], quality[order], groups))
    assert mixed.primal_objective_ == pytest.approx(plain.primal_objective_, rel=1e-7)
    np.testing.assert_allclose(mixed.coef_, plain.coef_, atol=1e-3)


def test_separable_images_are_ranked_without_a_slack(method):
    X, quality, groups = problem(n_images=20, n_columns=60, noise=0.0)
    ranker = fit((X, quality, groups), C=1e4, tol=1e-6)
    chosen = ranker.choose(X, groups)
    assert quality[chosen].tolist() == quality.reshape(20, 5).max(axis=1).tolist()
    # The hard margin: the objective no longer depends on C.
    other = fit((X, quality, groups), C=1e6, tol=1e-6)
    assert other.primal_objective_ == pytest.approx(ranker.primal_objective_, rel=1e-4)
    assert 0.5 * ranker.coef_ @ ranker.coef_ == pytest.approx(ranker.primal_objective_, rel=1e-4)


def test_images_of_different_sizes(method):
    X, quality, _ = problem(n_images=10, n_proposals=4)
    groups = np.repeat(np.arange(8), [1, 9, 3, 1, 11, 2, 6, 7])
    ranker = fit((X, quality, groups), C=2.0)
    assert ranker.primal_objective_ == pytest.approx(
        slow_optimum(X, quality, groups, 2.0), rel=1e-6
    )


def test_equal_quality_ties_to_the_lowest_row():
    X = np.array([[0.0], [1.0], [2.0]])
    ranker = fit((X, [0.5, 0.5, 0.0], [0, 0, 0]), C=1.0)
    # The best is row 0: row 1, equally good, must not score higher, so that w = 0 is optimal up to
    # the loss of row 2.
    assert ranker.coef_[0] == pytest.approx(-0.25, rel=1e-4)


def test_scaled_objective():
    X, quality, groups = problem()
    X = X * [1.0, 10.0, 0.01, 1.0]
    ranker = fit((X, quality, groups), C=0.5, scale_columns=True)
    inverse = ranker.coef_ / ranker.scaled_coef_
    value = objective(ranker.scaled_coef_, X * inverse, quality, groups, 0.5)
    assert ranker.primal_objective_ == pytest.approx(value)
    centred = X.reshape(12, 5, 4) - X.reshape(12, 5, 4).mean(axis=1, keepdims=True)
    np.testing.assert_allclose(1 / inverse, np.sqrt((centred**2).sum(axis=(0, 1)) / (60 - 12)))


def test_scaled_loss_is_free_of_units():
    X, quality, groups = problem()
    plain = fit((X, quality, groups), scale_loss=True)
    small = fit((X, 1e-3 * quality, groups), scale_loss=True)
    np.testing.assert_allclose(small.coef_, plain.coef_, rtol=1e-3, atol=1e-4)


def test_gap_that_stays_open_is_told():
    with pytest.warns(ConvergenceWarning, match="after 2 passes the duality gap is"):
        ranker = fit(problem(n_images=40, n_columns=6), max_passes=2)
    assert ranker.n_passes_ == 2
    assert ranker.duality_gap_ > 1e-8 * ranker.primal_objective_


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"C": 0.0}, "C must be a finite number above 0, got 0.0"),
        ({"C": np.nan}, "C must be a finite number above 0"),
        ({"C": "much"}, "C must be a finite number above 0, got 'much'"),
        ({"tol": -1.0}, "tol must be a finite number above 0"),
        ({"max_passes": 0}, "max_passes must be 1 or more, got 0"),
    ],
)
def test_unusable_settings(settings, message):
    with pytest.raises(InputError, match=message):
        fit(problem(), **settings)


class Watched:
    """A matrix that can only be sliced, and remembers the largest slice."""

    def __init__(self, values):
        self.values, self.shape, self.dtype, self.most = values, values.shape, values.dtype, 0

    def __getitem__(self, part):
        self.most = max(self.most, part.stop - part.start)
        return self.values[part]


@pytest.mark.parametrize("scale_columns", [True, False])
def test_a_matrix_on_disk_is_read_in_blocks(tmp_path, monkeypatch, method, scale_columns):
    X, quality, groups = problem(n_images=30)
    X = X.astype(np.float32)
    kept = fit((X, quality, groups), scale_columns=scale_columns)
    monkeypatch.setattr(hinge_problem, "KEPT_BYTES", 0)
    monkeypatch.setattr(image_rows, "BLOCK_BYTES", 8 * 4 * 20)
    watched = Watched(X)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        dataset = file.create_dataset("x", data=X)
        for source in (dataset, watched):
            read = fit((source, quality, groups), scale_columns=scale_columns)
            assert read.primal_objective_ == pytest.approx(kept.primal_objective_, rel=1e-7)
            np.testing.assert_allclose(read.coef_, kept.coef_, rtol=1e-3, atol=1e-4)
            assert read.choose(source, groups).tolist() == kept.choose(X, groups).tolist()
    assert watched.most == 20


def test_rows_on_disk_must_be_neighbours():
    X, quality, _groups = problem()
    with pytest.raises(InputError, match="must be neighbours where X is read from disk"):
        fit((Watched(X), quality, np.tile(np.arange(12), 5)))


def test_idle_constraints_are_dropped(monkeypatch):
    data = problem(n_images=60, n_columns=40, noise=0.2)
    kept = fit(data, C=1.0)
    monkeypatch.setattr(hinge_solver, "MOST_BYTES", 0)
    monkeypatch.setattr(hinge_solver, "EXPECTED_STEPS", 1e15)
    dropped = fit(data, C=1.0)
    assert dropped.primal_objective_ == pytest.approx(kept.primal_objective_, rel=1e-7)
