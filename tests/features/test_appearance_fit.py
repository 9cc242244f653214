import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank.errors import InputError
from rerank.features import appearance_features

CLASSES = ("bg", "cow", "dog")


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000))
def test_agrees_with_loops(seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, (4, 7)).astype(np.uint8)
    labels[0] = 1
    areas = rng.random(7) + 0.2
    values = rng.normal(size=(7, 2)) * [1, 50] + [3, 0]
    table = appearance_features(labels, areas, values, 3, ("L", "a"), CLASSES, "moo")
    mean = np.average(values, axis=0, weights=areas)
    z = (values - mean) / np.sqrt(np.average((values - mean) ** 2, axis=0, weights=areas))
    for m, row in enumerate(labels):
        separations, explained = [], 0.0
        for c, name in enumerate(CLASSES):
            inside = row == c
            if not inside.any():
                got = [
                    table.column(f"proposal.{f}[{name}]")[m]
                    for f in ("separation", "uniformity", "inside_L", "spread_a")
                ]
                assert got == [0, 0, 0, 0]
                continue
            centre = np.average(z[inside], axis=0, weights=areas[inside])
            variance = np.average((z[inside] - centre) ** 2, axis=0, weights=areas[inside])
            outside = (
                np.average(z[~inside], axis=0, weights=areas[~inside])
                if (~inside).any()
                else centre
            )
            difference = centre - outside
            explained += areas[inside].sum() / areas.sum() * (centre**2).mean()
            separations.append(np.sqrt((difference**2).mean()))
            expected = {
                "separation": separations[-1],
                "uniformity": 1 - variance.mean(),
                "inside_L": difference[0],
                "inside_a": difference[1],
                "spread_L": np.sqrt(variance[0]),
                "spread_a": np.sqrt(variance[1]),
            }
            for feature, value in expected.items():
                assert table.column(f"proposal.{feature}[{name}]")[m] == pytest.approx(
                    value, abs=1e-7
                )
        several = len(separations) > 1
        np.testing.assert_allclose(
            table.values[m, :3],
            [explained, np.mean(separations) * several, min(separations) * several],
            atol=1e-7,
        )


def test_a_value_that_all_regions_share_is_zero():
    table = appearance_features(
        np.array([[0, 1, 1]]), np.ones(3), np.full((3, 1), 1e6), 2, ("L",), ("a", "b")
    )
    assert table.column("proposal.separation[b]").tolist() == [0]


def test_no_values_at_all():
    table = appearance_features(np.array([[0, 1]]), np.ones(2), np.zeros((2, 0)), 2, (), ("a", "b"))
    assert (table.values == 0).all() and table.shape == (1, 7)


def test_bad_inputs_are_refused():
    labels, areas = np.array([[0, 1]]), np.ones(2)
    with pytest.raises(InputError, match="2 names for 1 values"):
        appearance_features(labels, areas, np.ones((2, 1)), 2, ("L", "a"), ("a", "b"))
    with pytest.raises(InputError, match="moo: region_values must be finite"):
        appearance_features(labels, areas, np.full((2, 1), np.nan), 2, ("L",), ("a", "b"), "moo")
    with pytest.raises(InputError, match="must be"):
        appearance_features(labels, areas, np.ones((3, 1)), 2, ("L",), ("a", "b"))
    with pytest.raises(InputError, match="0..1, found"):
        appearance_features(labels + 1, areas, np.ones((2, 1)), 2, ("L",), ("a", "b"))
