"""Minimum Bayes risk among the proposals of an image."""

from __future__ import annotations

import numpy as np
import pytest

from rerank.errors import InputError
from rerank.ranking import MinimumBayesRiskRanker, expected_quality, minimum_bayes_risk_columns


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    sizes = [3, 1, 4]
    similarities = [rng.uniform(size=(m, m)) for m in sizes]
    return rng.normal(size=8), similarities, np.repeat([5, 2, 9], sizes)


def test_expectation_by_loops(data):
    energies, similarities, groups = data
    for temperature in (0.1, 1.0, 50.0):
        columns = minimum_bayes_risk_columns(energies, similarities, groups)
        ranker = MinimumBayesRiskRanker(temperature=temperature).fit(columns, np.zeros(8), groups)
        scores = ranker.decision_function(columns)
        for similarity, g in zip(similarities, [5, 2, 9]):
            energy = energies[groups == g]
            mass = [np.exp(-e / temperature) for e in energy]
            expected = [sum(w * s for w, s in zip(mass, row)) / sum(mass) for row in similarity]
            np.testing.assert_allclose(scores[groups == g], expected)
            np.testing.assert_allclose(expected_quality(energy, similarity, temperature), expected)


def test_low_temperature_is_map_and_high_is_the_medoid():
    similarity = np.array([[1.0, 0.1, 0.1], [0.1, 1.0, 0.8], [0.1, 0.8, 1.0]])
    assert expected_quality([0.0, 5.0, 6.0], similarity, 1e-3).argmax() == 0
    assert expected_quality([0.0, 5.0, 6.0], similarity, 1e6).argmax() == 1


def test_rows_of_an_image_need_not_be_neighbours(data):
    energies, similarities, groups = data
    together = minimum_bayes_risk_columns(energies, similarities, groups)
    # Stable within the images, so that each keeps its own order; images 5, 2, 9 as before.
    order = np.array([0, 3, 4, 1, 5, 6, 2, 7])
    apart = minimum_bayes_risk_columns(energies[order], similarities, groups[order])
    np.testing.assert_array_equal(apart, together[order])


def test_temperature_is_chosen_by_quality():
    # The lowest energy is always the best proposal: a low temperature must be found.
    rng = np.random.default_rng(0)
    similarities = [np.eye(4) + 0.5 * rng.uniform(size=(4, 4)) for _ in range(30)]
    energies = rng.normal(size=120)
    groups = np.repeat(np.arange(30), 4)
    columns = minimum_bayes_risk_columns(energies, similarities, groups)
    ranker = MinimumBayesRiskRanker().fit(columns, -energies, groups)
    assert ranker.temperature_ < 0.1
    assert ranker.score(columns, -energies, groups) == pytest.approx(
        -energies.reshape(30, 4).min(axis=1).mean()
    )


def test_images_may_have_more_proposals_than_in_training(data):
    ranker = MinimumBayesRiskRanker(temperature=1.0).fit(
        minimum_bayes_risk_columns(*data), np.zeros(8), data[2]
    )
    more = minimum_bayes_risk_columns(np.zeros(6), [np.eye(6)], np.zeros(6))
    np.testing.assert_allclose(ranker.decision_function(more), 1 / 6)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda d: (d[0][:-1], d[1], d[2]), r"energies must have shape \(8,\), got \(7,\)"),
        (lambda d: (d[0], d[1][:-1], d[2]), "similarities holds 2 arrays for 3 images"),
        (
            lambda d: (d[0], [d[1][0], np.eye(2), d[1][2]], d[2]),
            r"similarities\[1\] must have shape \(1, 1\)",
        ),
        (lambda d: (np.where(np.arange(8) == 2, np.nan, d[0]), d[1], d[2]), "X must be finite"),
    ],
)
def test_unusable_input(data, change, message):
    with pytest.raises(InputError, match=message):
        minimum_bayes_risk_columns(*change(data))


def test_unusable_columns():
    with pytest.raises(InputError, match="3 columns are not an even number"):
        MinimumBayesRiskRanker().fit(np.zeros((2, 3)), [0, 0], [0, 0])
    with pytest.raises(InputError, match="no finite energy in row 1"):
        MinimumBayesRiskRanker().fit(np.array([[1.0, 0.0], [1.0, np.inf]]), [0, 0], [0, 0])
    with pytest.raises(InputError, match="temperature must be a finite number above 0"):
        MinimumBayesRiskRanker(temperature=0.0).fit(np.zeros((2, 2)), [0, 0], [0, 0])
