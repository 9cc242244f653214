import numpy as np
import pytest

from rerank.errors import InputError
from rerank.features import energy_features

GENERATORS = ("div_mbest", "gumbel")


def test_columns_by_hand():
    table = energy_features(
        np.array([12.0, 10.0, 20.0, 12.0]),
        np.array([9.0, 10.0, np.nan, -np.inf]),
        2,
        np.array([0, 0, 1, 1]),
        GENERATORS,
        "moo",
    )
    expected = {
        "energy": [12, 10, 20, 12],
        "energy_per_region": [6, 5, 10, 6],
        "above_best": [2, 0, 10, 2],
        "above_best_per_region": [1, 0, 5, 1],
        "energy_rank": [1 / 3, 0, 1, 1 / 3],
        "rank": [0, 1 / 3, 2 / 3, 1],
        "has_bound": [1, 1, 0, 0],
        "gap": [1.5, 0, 0, 0],
        "certified": [0, 1, 0, 0],
        "made_by_div_mbest": [1, 1, 0, 0],
        "made_by_gumbel": [0, 0, 1, 1],
    }
    assert table.columns == tuple(f"proposal.{name}" for name in expected)
    np.testing.assert_allclose(table.values, np.array(list(expected.values())).T)


def test_one_proposal():
    table = energy_features(np.array([3.0]), np.array([3.0]), 1, np.array([0]), GENERATORS)
    assert table.column("proposal.rank").tolist() == [0]
    assert table.column("proposal.energy_rank").tolist() == [0]


def test_bad_inputs_are_refused():
    zeros = np.zeros(2, int)
    with pytest.raises(InputError, match="moo: energies must be finite"):
        energy_features(np.array([1, np.inf]), np.zeros(2), 1, zeros, GENERATORS, "moo")
    with pytest.raises(InputError, match="must all be"):
        energy_features(np.ones(2), np.zeros(3), 1, zeros, GENERATORS)
    with pytest.raises(InputError, match="0..1, found 0 to 2"):
        energy_features(np.ones(2), np.zeros(2), 1, np.array([0, 2]), GENERATORS)
