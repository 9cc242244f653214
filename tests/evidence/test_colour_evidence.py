"""What colours say of classes, against sums written out."""

from __future__ import annotations

import numpy as np
import pytest

from rerank.errors import InputError
from rerank.evidence import colour_evidence, informed_by_colours, with_evidence
from rerank.potentials import affinity_weights


def test_it_is_the_smoothed_mutual_information_of_class_and_colour() -> None:
    rng = np.random.default_rng(0)
    p, areas = rng.dirichlet(np.ones(3), size=6), rng.uniform(1, 9, 6)
    kernel = affinity_weights(rng.normal(size=(6, 2)), areas, bandwidth=0.5)
    found = colour_evidence(p, kernel, areas, prior=0.3)
    for i in range(6):
        for c in range(3):
            here = sum(kernel[i, j] * p[j, c] for j in range(6))
            anywhere = sum(areas[j] * p[j, c] for j in range(6)) / areas.sum()
            assert found[i, c] == pytest.approx(np.log((here + 0.3) / (anywhere + 0.3)))


def test_a_doubtful_region_takes_the_class_of_its_colour() -> None:
    colours, areas = np.array([[0.0], [0.0], [9.0], [9.0], [9.0]]), np.ones(5)
    p = np.array([[0.9, 0.1], [0.4, 0.6], [0.1, 0.9], [0.1, 0.9], [0.1, 0.9]])
    after = with_evidence(p, colour_evidence(p, affinity_weights(colours, areas), areas), 1.0)
    assert after[1].argmax() == 0 and (after[[0, 2, 3, 4]].argmax(axis=1) == [0, 1, 1, 1]).all()
    np.testing.assert_allclose(after.sum(axis=1), 1)
    np.testing.assert_allclose(with_evidence(p, np.ones((5, 2)), 0.0), p)


def test_probabilities_are_informed_by_a_weight() -> None:
    rng = np.random.default_rng(1)
    p, colours, areas = rng.dirichlet(np.ones(3), 5), rng.normal(size=(5, 2)), rng.uniform(1, 9, 5)
    evidence = colour_evidence(p, affinity_weights(colours, areas), areas)
    found = informed_by_colours(p, colours, areas, 0.7)
    np.testing.assert_allclose(found, with_evidence(p, evidence, 0.7))
    assert informed_by_colours(p, colours, areas, 0.0) is p


def test_one_colour_and_no_doubt_say_nothing() -> None:
    areas, p = np.ones(4), np.tile([[0.3, 0.7]], (4, 1))
    for colours in (np.zeros((4, 1)), np.arange(4.0)[:, None]):
        found = colour_evidence(p, affinity_weights(colours, areas), areas)
        np.testing.assert_allclose(found, 0, atol=1e-12)


def test_errors() -> None:
    with pytest.raises(InputError, match="must be"):
        colour_evidence(np.ones((3, 2)), np.ones((2, 2)), np.ones(3))
    with pytest.raises(InputError, match="prior must be above 0"):
        colour_evidence(np.ones((1, 2)), np.ones((1, 1)), np.ones(1), prior=0.0)
