import numpy as np
import pytest

from rerank.errors import InputError
from rerank.features import departs_too_far, expected_qualities, similarity_matrix
from rerank.features.risk import RISK_SCALARS, TEMPERATURES
from rerank.ranking import expected_quality


@pytest.mark.parametrize("scale", [0.1, 10.0, 1e5])
def test_agrees_with_minimum_bayes_risk(scale):
    rng = np.random.default_rng(0)
    energies, similarity = scale * rng.normal(size=6), rng.random((6, 6))
    found = expected_qualities(energies, similarity)
    for k, temperature in enumerate(TEMPERATURES):
        np.testing.assert_allclose(found[:, k], expected_quality(energies, similarity, temperature))


def test_columns_stand_in_both_groups_where_similarity_is_given(make_case):
    plain, m = make_case().table(), len(make_case().proposals)
    similarity = np.random.default_rng(1).random((m, m))
    case = make_case(similarity=similarity)
    table = case.table()
    new = [name for name in table.columns if name not in plain.columns]
    assert new == [f"{group}.{name}" for group in ("proposal", "summary") for name in RISK_SCALARS]
    expected = expected_qualities(case.proposals.energies, similarity)
    for group in ("proposal", "summary"):
        names = [f"{group}.{name}" for name in RISK_SCALARS]
        np.testing.assert_allclose(table.select(columns=names).values, expected)
    np.testing.assert_array_equal(table.drop(new).values, plain.values)


def test_bad_inputs_are_refused(make_case):
    with pytest.raises(InputError, match=r"similarity \(M, M\)"):
        expected_qualities(np.zeros(3), np.zeros((3, 2)))
    with pytest.raises(InputError, match="finite"):
        expected_qualities([0.0, np.nan], np.eye(2))
    with pytest.raises(InputError, match="cow: similarity must be"):
        make_case(similarity=np.zeros((1, 2))).table()


def test_the_matrix_agrees_with_loops():
    rng = np.random.default_rng(2)
    labels, areas = rng.integers(0, 3, (4, 6)), rng.integers(1, 9, 6).astype(float)
    found = similarity_matrix(labels, areas, 4)
    for m in range(4):
        for k in range(4):
            there = [c for c in range(4) if c in labels[m] or c in labels[k]]
            both = [areas[(labels[m] == c) & (labels[k] == c)].sum() for c in there]
            either = [areas[(labels[m] == c) | (labels[k] == c)].sum() for c in there]
            assert found[m, k] == pytest.approx(np.divide(both, either).mean())
    np.testing.assert_array_equal(np.diag(found), 1)


def test_other_truths_judge_as_they_would_among_the_labelings():
    rng = np.random.default_rng(3)
    labels, truths = rng.integers(0, 4, (3, 8)), rng.integers(0, 4, (5, 8))
    areas = rng.integers(1, 9, 8).astype(float)
    together = similarity_matrix(np.concatenate([labels, truths]), areas, 4)
    np.testing.assert_array_equal(similarity_matrix(labels, areas, 4, truths), together[:3, 3:])


def test_a_sure_network_lets_no_small_object_go() -> None:
    areas = np.array([90.0, 10.0])
    own, erased = np.array([0, 1]), np.array([0, 0])
    sure = np.array([[0.99, 0.01], [0.03, 0.97]])
    unsure = np.array([[0.7, 0.3], [0.45, 0.55]])
    assert departs_too_far(erased, own, sure, areas)
    assert not departs_too_far(erased, own, unsure, areas)
    assert not departs_too_far(own, own, sure, areas)


def test_how_far_a_labeling_departs_is_the_expected_iou_of_pixels() -> None:
    """The formula, spelled out pixel by pixel."""
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(200):
        areas = rng.integers(1, 9, 6)
        probabilities = rng.dirichlet(np.full(3, rng.choice([0.1, 1.0])), 6)
        own, other = probabilities.argmax(axis=1), rng.integers(0, 3, 6)
        expected = []
        for labels in (own, other):
            ious = []
            for c in np.union1d(own, other):
                shared = union = 0.0
                for a, p, x in zip(areas, probabilities[:, c], labels):
                    shared += a * p * (x == c)
                    union += a * ((x == c) + p * (x != c))
                ious.append(shared / union)
            expected.append(np.mean(ious))
        wanted = expected[0] - expected[1] > 0.9 * (1 - expected[0]) ** 1.75
        assert departs_too_far(other, own, probabilities, areas) == wanted
        seen.add(bool(wanted))
    assert seen == {True, False}
