"""What every ranker promises, one test for all of them."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.exceptions import NotFittedError as SklearnNotFittedError
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.utils.validation import check_is_fitted

from rerank.errors import InputError, NotFittedError, RerankError
from rerank.ranking import (
    BoostingRanker,
    MinimumBayesRiskRanker,
    PairwiseRankSVM,
    RidgeRanker,
    StructuredRankSVM,
    SymmetricKLRanker,
)

LEARNERS = [
    BoostingRanker(max_iter=20, min_samples_leaf=5, random_state=0),
    PairwiseRankSVM(C=0.1, random_state=0),
    PairwiseRankSVM(C=0.1, pairs="all", max_pairs=5, random_state=0),
    RidgeRanker(alpha=0.1),
    StructuredRankSVM(C=1.0, tol=1e-6, random_state=0),
    StructuredRankSVM(
        C=1.0, tol=1e-6, random_state=0, column_groups=[0, 0, 1, 1, 1, 2], scale_loss=True
    ),
]
RULES = [SymmetricKLRanker(), MinimumBayesRiskRanker(), MinimumBayesRiskRanker(temperature=2.0)]
LINEAR = [r for r in LEARNERS if not isinstance(r, BoostingRanker)]


def problem(n_images=12, n_proposals=5, n_columns=6, seed=0):
    """Rows whose quality is a noiseless function of the first two columns."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_images * n_proposals, n_columns))
    quality = 1 / (1 + np.exp(-(X[:, 0] - 2 * X[:, 1])))
    groups = np.repeat(rng.permutation(100)[:n_images], n_proposals)
    return X, quality, groups


def name(ranker):
    return type(ranker).__name__


@pytest.mark.parametrize("ranker", LEARNERS + RULES, ids=name)
def test_scores_and_choice_agree(ranker):
    X, quality, groups = problem()
    fitted = clone(ranker)
    assert fitted.fit(X, quality, groups) is fitted
    assert fitted.n_features_in_ == 6
    scores = fitted.decision_function(X)
    assert scores.shape == (60,) and scores.dtype == np.float64
    rows = fitted.choose(X, groups)
    assert rows.dtype == np.int64
    _, first = np.unique(groups, return_index=True)
    assert groups[rows].tolist() == groups[np.sort(first)].tolist()
    for row in rows:
        members = np.flatnonzero(groups == groups[row])
        assert row == members[np.argmax(scores[members])]
    assert fitted.score(X, quality, groups) == pytest.approx(quality[rows].mean())


@pytest.mark.parametrize("ranker", LEARNERS, ids=name)
def test_learns_a_linear_quality(ranker):
    fitted = clone(ranker).fit(*problem(n_images=40))
    X, quality, groups = problem(n_images=40, seed=1)
    oracle = quality.reshape(40, 5).max(axis=1).mean()
    assert fitted.score(X, quality, groups) > oracle - 0.3 * (oracle - quality.mean())


@pytest.mark.parametrize("ranker", LEARNERS + RULES, ids=name)
def test_equal_seeds_give_equal_scores(ranker):
    X, quality, groups = problem()
    first = clone(ranker).fit(X, quality, groups).decision_function(X)
    assert np.array_equal(first, clone(ranker).fit(X, quality, groups).decision_function(X))


@pytest.mark.parametrize("ranker", LINEAR, ids=name)
def test_rows_of_an_image_need_not_be_neighbours(ranker):
    X, quality, groups = problem()
    images = groups.reshape(12, 5)[:, 0]
    # All first proposals, then all second ones: images and their rows keep their order.
    order = np.arange(60).reshape(12, 5).T.ravel()
    plain = clone(ranker).fit(X, quality, groups)
    mixed = clone(ranker).fit(X[order], quality[order], groups[order])
    np.testing.assert_allclose(mixed.coef_, plain.coef_, rtol=1e-9, atol=1e-12)
    rows = mixed.choose(X[order], groups[order])
    assert groups[order][rows].tolist() == images.tolist()
    assert order[rows].tolist() == plain.choose(X, groups).tolist()


@pytest.mark.parametrize("ranker", LINEAR, ids=name)
def test_shifting_an_image_changes_nothing(ranker):
    X, quality, groups = problem()
    shift = np.random.default_rng(2).normal(size=(12, 6)).repeat(5, axis=0)
    plain = clone(ranker).fit(X, quality, groups)
    moved = clone(ranker).fit(X + 10 * shift, quality, groups)
    np.testing.assert_allclose(moved.coef_, plain.coef_, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("ranker", LINEAR, ids=name)
def test_units_of_columns_change_nothing(ranker):
    X, quality, groups = problem()
    units = np.array([1e-3, 1e4, 1.0, 7.0, 0.1, 50.0])
    plain = clone(ranker).fit(X, quality, groups)
    scaled = clone(ranker).fit(X * units, quality, groups)
    np.testing.assert_allclose(scaled.coef_ * units, plain.coef_, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("ranker", LINEAR, ids=name)
def test_constant_columns_weigh_nothing(ranker):
    X, quality, groups = problem()
    X[:, 3] = 0.1
    X[:, 4] = groups
    fitted = clone(ranker).fit(X, quality, groups)
    assert fitted.coef_[3] == 0 and fitted.coef_[4] == 0
    assert fitted.coef_[0] > 0 > fitted.coef_[1]


@pytest.mark.parametrize("ranker", LEARNERS + RULES, ids=name)
def test_one_proposal_an_image(ranker):
    X, quality, _ = problem()
    fitted = clone(ranker).fit(X, quality, np.arange(60))
    assert fitted.choose(X, np.arange(60)).tolist() == list(range(60))
    if hasattr(fitted, "coef_"):
        assert not fitted.coef_.any()


@pytest.mark.parametrize("ranker", LINEAR, ids=name)
def test_equal_quality_teaches_nothing_and_ties_go_to_the_lowest_row(ranker):
    X, _, groups = problem()
    fitted = clone(ranker).fit(X, np.full(60, 0.25), groups)
    assert not fitted.coef_.any()
    assert fitted.choose(X, groups).tolist() == list(range(0, 60, 5))


@pytest.mark.parametrize("ranker", LEARNERS + RULES, ids=name)
def test_unusable_input(ranker):
    X, quality, groups = problem()
    with pytest.raises(NotFittedError, match="call fit first"):
        clone(ranker).decision_function(X)
    with pytest.raises(NotFittedError, match="call fit first"):
        clone(ranker).choose(X, groups)
    with pytest.raises(InputError, match=r"quality must have shape \(60,\)"):
        clone(ranker).fit(X, quality[:-1], groups)
    with pytest.raises(InputError, match="groups has 59 entries and X has 60 rows"):
        clone(ranker).fit(X, quality, groups[:-1])
    with pytest.raises(InputError, match=r"X must have shape \(N, D\)"):
        clone(ranker).fit(X[:, 0], quality, groups)
    with pytest.raises(InputError, match="X must be real numbers"):
        clone(ranker).fit(X.astype(str), quality, groups)
    with pytest.raises(InputError, match="quality must be finite"):
        clone(ranker).fit(X, np.where(np.arange(60) == 3, np.nan, quality), groups)
    bad = X.copy()
    bad[17, 2] = np.nan
    with pytest.raises(InputError, match="row 17, column 2"):
        clone(ranker).fit(bad, quality, groups)
    fitted = clone(ranker).fit(X, quality, groups)
    with pytest.raises(InputError, match="row 17, column 2"):
        fitted.decision_function(bad)
    with pytest.raises(InputError, match="groups has 59 entries"):
        fitted.choose(X, groups[:-1])


@pytest.mark.parametrize("ranker", LEARNERS + RULES[:1], ids=name)
def test_another_number_of_columns_is_refused(ranker):
    X, quality, groups = problem()
    fitted = clone(ranker).fit(X, quality, groups)
    with pytest.raises(InputError, match="X has 5 columns, the ranker was fitted with 6"):
        fitted.decision_function(X[:, :5])


@pytest.mark.parametrize("ranker", LEARNERS + RULES, ids=name)
def test_parameters_survive_cloning(ranker):
    copy = clone(ranker)
    assert copy.get_params() == ranker.get_params()
    assert repr(copy) == repr(ranker)


@pytest.mark.parametrize(
    "ranker, name, values",
    [
        (StructuredRankSVM(random_state=0), "C", [1e-6, 1.0]),
        (PairwiseRankSVM(random_state=0), "C", [1e-9, 1.0]),
        (RidgeRanker(), "alpha", [1e9, 0.1]),
    ],
)
def test_grid_search_chooses_a_setting_on_images_that_fit_did_not_see(ranker, name, values):
    X, quality, groups = problem(n_images=30)
    X[:, 2:] *= 30.0
    folds = GroupKFold(5)
    ranker = clone(ranker).set_params(scale_columns=False)
    with sklearn.config_context(enable_metadata_routing=True):
        search = GridSearchCV(ranker, {name: values}, cv=folds).fit(X, quality, groups=groups)
    marks = np.array(
        [
            [
                clone(ranker)
                .set_params(**{name: value})
                .fit(X[seen], quality[seen], groups[seen])
                .score(X[unseen], quality[unseen], groups[unseen])
                for seen, unseen in folds.split(X, quality, groups)
            ]
            for value in values
        ]
    )
    np.testing.assert_array_equal(search.cv_results_["mean_test_score"], marks.mean(axis=1))
    best = int(marks.mean(axis=1).argmax())
    assert search.best_index_ == best
    # The winner is fitted once more on all images.
    whole = clone(ranker).set_params(**{name: values[best]}).fit(X, quality, groups)
    np.testing.assert_array_equal(search.best_estimator_.coef_, whole.coef_)
    np.testing.assert_array_equal(search.best_estimator_.choose(X, groups), whole.choose(X, groups))


def test_an_unfitted_ranker_raises_scikit_learns_error():
    X, _, groups = problem()
    for kind in (NotFittedError, SklearnNotFittedError, RerankError):
        with pytest.raises(kind, match="call fit first"):
            RidgeRanker().choose(X, groups)
    with pytest.raises(SklearnNotFittedError):
        check_is_fitted(RidgeRanker())
    copy = pickle.loads(pickle.dumps(NotFittedError("call fit first")))
    assert type(copy) is NotFittedError
