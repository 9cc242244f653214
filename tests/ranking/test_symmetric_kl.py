"""Eq. 17 of Cogswell et al. 2014."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank.errors import InputError
from rerank.features import FeatureTable, segnet_divergences
from rerank.ranking import SymmetricKLRanker, choose_smoothing, symmetric_kl


def distributions(rng, *shape):
    values = rng.uniform(size=shape) ** 4
    return values / values.sum(axis=-1, keepdims=True)


def slow(p, q, smoothing, penalty):
    """Eq. 17 cell by cell, after mixing with the uniform distribution."""
    n_classes, total = p.shape[-1], 0.0
    for a, b in zip(p.reshape(-1, n_classes), q.reshape(-1, n_classes)):
        total += penalty * b[0]
        a, b = ((1 - smoothing) * v + smoothing / n_classes for v in (a, b))
        for x, y in zip(a, b):
            total += x * np.log(x / y) + y * np.log(y / x)
    return total


@pytest.mark.parametrize("smoothing", [1e-6, 0.01, 0.5])
def test_the_equation_by_loops(smoothing):
    rng = np.random.default_rng(0)
    p, q = distributions(rng, 3, 5, 4), distributions(rng, 6, 3, 5, 4)
    q[0] = np.eye(4)[rng.integers(0, 4, size=(3, 5))]
    terms = symmetric_kl(p, q, smoothing)
    expected = [slow(p, m, smoothing, 0.02) for m in q]
    np.testing.assert_allclose(terms.divergence(), expected)
    np.testing.assert_allclose(
        terms.divergence(0.0) + 0.5 * terms.background, [slow(p, m, smoothing, 0.5) for m in q]
    )


@given(seed=st.integers(0, 10**6), smoothing=st.floats(1e-6, 1.0))
@settings(max_examples=30, deadline=None)
def test_divergences_are_positive_and_swap_with_their_arguments(seed, smoothing):
    rng = np.random.default_rng(seed)
    p, q = distributions(rng, 4, 3), distributions(rng, 1, 4, 3)
    forward, backward = symmetric_kl(p, q, smoothing), symmetric_kl(q[0], p[None], smoothing)
    assert forward.kl_forward[0] >= -1e-12 and forward.kl_backward[0] >= -1e-12
    np.testing.assert_allclose(forward.kl_forward, backward.kl_backward, atol=1e-12)
    itself = symmetric_kl(p, p[None], smoothing)
    np.testing.assert_allclose(itself.divergence(0.0), 0.0, atol=1e-12)


def test_cells_without_labels_do_not_count():
    rng = np.random.default_rng(0)
    p, q = distributions(rng, 4, 3), distributions(rng, 2, 4, 3)
    q[1, 2:] = 0.0
    terms, half = symmetric_kl(p, q, 0.01), symmetric_kl(p[:2], q[1:, :2], 0.01)
    assert terms.divergence()[1] == pytest.approx(half.divergence()[0])


def test_the_ranker_reads_the_three_columns():
    rng = np.random.default_rng(0)
    terms = symmetric_kl(distributions(rng, 13, 13, 5), distributions(rng, 7, 13, 13, 5))
    groups, none = np.zeros(7), np.zeros(7)
    plain = SymmetricKLRanker(background_penalty=0.5).fit(terms.columns(), none, groups)
    np.testing.assert_allclose(plain.decision_function(terms.columns()), -terms.divergence(0.5))
    assert plain.choose(terms.columns(), groups).tolist() == [int(terms.divergence(0.5).argmin())]
    wide = np.column_stack([rng.normal(size=7), terms.columns()[:, ::-1]])
    names = ["energy", "background", "kl_backward", "kl_forward"]
    table = FeatureTable(wide, names, "kl")
    for columns, X in [((3, 2, 1), wide), (("kl_forward", "kl_backward", "background"), table)]:
        named = SymmetricKLRanker(background_penalty=0.5, columns=columns).fit(X, none, groups)
        assert named.column_indices_ == (3, 2, 1)
        np.testing.assert_allclose(named.decision_function(X), -terms.divergence(0.5))


def rule_terms(p, q, groups, smoothings):
    """Divergences (N, S) and background mass (N,) of proposals, image by image."""
    terms = [
        [symmetric_kl(p[image], row[None], smoothing) for smoothing in smoothings]
        for image, row in zip(np.unique(groups, return_inverse=True)[1], q)
    ]
    divergences = [[(t.kl_forward + t.kl_backward)[0] for t in row] for row in terms]
    return np.array(divergences), np.array([row[0].background[0] for row in terms])


def test_smoothing_and_penalty_are_chosen_by_quality():
    rng = np.random.default_rng(1)
    p = distributions(rng, 8, 3, 4, 3)
    q = np.eye(3)[rng.integers(0, 3, size=(40, 3, 4))]
    groups = np.repeat(np.arange(8), 5)
    quality = rng.uniform(size=40)
    smoothings, penalties = [1e-6, 0.1, 0.9], [0.0, 0.5, 20.0]
    divergences, background = rule_terms(p, q, groups, smoothings)
    found = choose_smoothing(divergences, background, quality, groups, smoothings, penalties)
    means = np.zeros((3, 3))
    for s, smoothing in enumerate(smoothings):
        for k, penalty in enumerate(penalties):
            for i in range(8):
                part = slice(5 * i, 5 * i + 5)
                divergence = symmetric_kl(p[i], q[part], smoothing).divergence(penalty)
                means[s, k] += quality[part][divergence.argmin()] / 8
    np.testing.assert_allclose(found.mean_quality, means)
    s, k = np.unravel_index(means.argmax(), means.shape)
    assert (found.smoothing, found.background_penalty) == (smoothings[s], penalties[k])
    scores = found.scores(divergences, background)
    by_hand = [
        -symmetric_kl(p[i], q[5 * i : 5 * i + 5], smoothings[s]).divergence(penalties[k])
        for i in range(8)
    ]
    np.testing.assert_allclose(scores, np.concatenate(by_hand))


def test_columns_of_the_table_have_the_same_divergences():
    rng = np.random.default_rng(2)
    p, q = distributions(rng, 3, 4, 5), distributions(rng, 6, 3, 4, 5)
    smoothings = (1e-6, 1e-2, 0.3)
    expected = [symmetric_kl(p, q, smoothing).divergence(0.0) for smoothing in smoothings]
    np.testing.assert_allclose(segnet_divergences(p, q, smoothings), np.transpose(expected))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"q": np.full((2, 3, 4), 0.25)}, r"q must have shape \(M, ...\)"),
        ({"q": np.full((2, 2, 4), 0.2)}, "q must sum to 1 over the classes; one cell sums to 0.8"),
        ({"p": np.zeros((2, 4))}, "p must sum to 1 over the classes; one cell sums to 0.0"),
        (
            {"p": np.array([[2.0, -1, 0, 0]] * 2)},
            "p must not be negative, its lowest value is -1.0",
        ),
        ({"p": np.full((2, 4), np.nan)}, "p must be finite"),
        ({"smoothing": 0.0}, r"smoothing must be in \(0, 1\], got 0.0"),
        ({"background": 4}, "background must be one of the 4 classes, got 4"),
    ],
)
def test_unusable_input(change, message):
    good = {"p": np.full((2, 4), 0.25), "q": np.full((3, 2, 4), 0.25)}
    with pytest.raises(InputError, match=message):
        symmetric_kl(**{**good, **change})


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"background_penalty": -1.0}, "background_penalty must be a finite number of 0 or more"),
        ({"columns": (0, 1)}, "columns must say where"),
        ({"columns": (0, 1, 3)}, "column 3 does not exist, X has 3 columns"),
        ({"columns": ("a", "b", "z")}, "no column of X is named 'z'; 3 have names"),
    ],
)
def test_unusable_settings(settings, message):
    with pytest.raises(InputError, match=message):
        table = FeatureTable(np.eye(3), tuple("abc"), "kl")
        SymmetricKLRanker(**settings).fit(table, [0, 0, 0], [0, 0, 0])


def test_columns_without_names_cannot_be_found_by_name():
    with pytest.raises(InputError, match="no column of X is named 'a'; 0 have names"):
        SymmetricKLRanker(columns=("a", "b", "c")).fit(np.eye(3), [0, 0, 0], [0, 0, 0])


@pytest.mark.parametrize(
    "change, message",
    [
        ({"divergences": np.zeros((4, 3))}, r"divergences must be \(N, 2\)"),
        ({"background": np.zeros(3)}, r"background \(N,\), got \(4, 2\) and \(3,\)"),
        ({"background": np.full(4, np.nan)}, "background must be finite"),
        ({"smoothings": []}, "at least one smoothing"),
        ({"background_penalties": []}, "one background penalty"),
        ({"quality": np.zeros(3)}, r"quality must have shape \(4,\)"),
    ],
)
def test_unusable_choices_of_smoothing(change, message):
    good = {
        "divergences": np.zeros((4, 2)),
        "background": np.zeros(4),
        "quality": np.zeros(4),
        "groups": [0, 0, 1, 1],
        "smoothings": [0.1, 0.2],
    }
    with pytest.raises(InputError, match=message):
        choose_smoothing(**{**good, **change})
