"""Rankers and columns with names."""

import numpy as np
import pytest
from sklearn.base import clone

from rerank.errors import InputError, LeakError
from rerank.features import FeatureTable
from rerank.ranking import (
    BoostingRanker,
    PairwiseRankSVM,
    RidgeRanker,
    StructuredRankSVM,
    SymmetricKLRanker,
)

RANKERS = [
    BoostingRanker(max_iter=5, min_samples_leaf=5, random_state=0),
    PairwiseRankSVM(C=0.1, random_state=0),
    RidgeRanker(alpha=0.1),
    StructuredRankSVM(C=1.0, random_state=0),
    SymmetricKLRanker(),
]
NAMES = ("a", "b", "c", "d")


def name(ranker):
    return type(ranker).__name__


def make_table(values, names=NAMES):
    return FeatureTable(
        values,
        names,
        ("proposal",) * len(names),
        np.repeat([f"image{k}" for k in range(len(values) // 5)], 5),
    )


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    values = rng.standard_normal((60, 4))
    quality = 1 / (1 + np.exp(-values[:, 0] + values[:, 1] + rng.standard_normal(60)))
    return values, quality, np.repeat(np.arange(12), 5)


class Frame:
    """As much of a data frame as a ranker looks at."""

    def __init__(self, values, columns):
        self.values, self.columns, self.iloc = values, columns, None
        self.shape, self.dtype = values.shape, values.dtype

    def __array__(self, dtype=None, copy=None):
        return self.values


@pytest.mark.parametrize("ranker", RANKERS, ids=name)
def test_a_table_is_scored_as_its_values(ranker, problem):
    values, quality, groups = problem
    named = clone(ranker).fit(make_table(values), quality, groups)
    plain = clone(ranker).fit(values, quality, groups)
    assert tuple(named.feature_names_in_) == NAMES
    assert not hasattr(plain, "feature_names_in_")
    scores = named.decision_function(make_table(values))
    np.testing.assert_array_equal(scores, plain.decision_function(values))
    np.testing.assert_array_equal(scores, named.decision_function(values))
    np.testing.assert_array_equal(
        named.choose(make_table(values), groups), plain.choose(values, groups)
    )
    assert named.score(make_table(values), quality, groups) == plain.score(values, quality, groups)
    assert not hasattr(named.fit(values, quality, groups), "feature_names_in_")


@pytest.mark.parametrize("ranker", RANKERS, ids=name)
@pytest.mark.parametrize(
    "names, message",
    [
        (("a", "x", "c", "d"), "X lacks 1 of the 4 columns that the ranker was fitted on: 'b'"),
        (("a", "b", "c"), "X lacks 1 of the 4 columns .*: 'd'"),
        (("c", "x", "y", "z", "b"), "X lacks 2 of the 4 columns .*: 'a', 'd'"),
    ],
)
def test_a_missing_column_is_an_error_that_names_it(ranker, names, message, problem):
    values, quality, groups = problem
    fitted = clone(ranker).fit(make_table(values), quality, groups)
    given = np.resize(values, (60, len(names)))
    for call in (fitted.decision_function, lambda X: fitted.choose(X, groups)):
        with pytest.raises(InputError, match=message):
            call(make_table(given, names))
        with pytest.raises(InputError, match=message):
            call(Frame(given, list(names)))


@pytest.mark.parametrize("ranker", RANKERS, ids=name)
def test_columns_are_found_by_name_among_others(ranker, problem):
    values, quality, groups = problem
    fitted = clone(ranker).fit(make_table(values), quality, groups)
    scores = fitted.decision_function(values)
    more = np.column_stack([np.full(60, 7.0), values[:, ::-1]])
    names = ("constant", "d", "c", "b", "a")
    for X in (make_table(more, names), Frame(more, list(names))):
        np.testing.assert_array_equal(fitted.decision_function(X), scores)
        np.testing.assert_array_equal(fitted.choose(X, groups), fitted.choose(values, groups))
        assert fitted.score(X, quality, groups) == fitted.score(values, quality, groups)


def test_a_ranker_without_the_constant_columns_chooses_from_rows_that_have_them(problem):
    values, quality, groups = problem
    whole = make_table(np.insert(values, 2, 7.0, axis=1), ("a", "b", "constant", "c", "d"))
    fitted = StructuredRankSVM(random_state=0).fit(whole.drop_constant_columns(), quality, groups)
    assert tuple(fitted.feature_names_in_) == NAMES
    np.testing.assert_array_equal(fitted.choose(whole, groups), fitted.choose(values, groups))


def test_only_the_columns_of_fit_must_be_finite(problem):
    values, quality, groups = problem
    fitted = RidgeRanker().fit(make_table(values), quality, groups)
    more = np.column_stack([np.full(60, np.nan), values])
    names = ["new", *NAMES]
    np.testing.assert_array_equal(
        fitted.decision_function(Frame(more, names)), fitted.decision_function(values)
    )
    more[17, 3] = np.inf
    with pytest.raises(InputError, match="row 17, column 'c' is inf"):
        fitted.decision_function(Frame(more, names))


def test_two_columns_of_one_name_are_refused(problem):
    values, quality, groups = problem
    with pytest.raises(InputError, match="X has two columns named 'b'"):
        RidgeRanker().fit(Frame(values, list("abbd")), quality, groups)


def test_data_frames_have_names_only_where_they_are_strings(problem):
    values, quality, groups = problem
    fitted = RidgeRanker().fit(Frame(values, list(NAMES)), quality, groups)
    assert tuple(fitted.feature_names_in_) == NAMES
    fitted.decision_function(Frame(values, range(4)))
    assert not hasattr(
        RidgeRanker().fit(Frame(values, range(4)), quality, groups), "feature_names_in_"
    )


@pytest.mark.parametrize("ranker", RANKERS, ids=name)
def test_constant_and_leaking_columns_of_a_table_are_refused(ranker, problem):
    values, quality, groups = problem
    constant = values.copy()
    constant[:, 2] = 7.0
    with pytest.raises(InputError, match="constant.*'c'"):
        clone(ranker).fit(make_table(constant), quality, groups)
    leaking = values.copy()
    leaking[:, 3] = 2.0 - 3.0 * quality
    with pytest.raises(LeakError, match="'d'"):
        clone(ranker).fit(make_table(leaking), quality, groups)
    hidden = values.copy()
    hidden[:, 3] = quality + np.repeat(np.random.default_rng(1).standard_normal(12), 5)
    with pytest.raises(LeakError, match="'d'"):
        clone(ranker).fit(make_table(hidden), quality, groups)
