import numpy as np
import pytest

from rerank.errors import InputError
from rerank.features import energy_features
from rerank.proposals import ProposalSet

GENERATORS = ("div_mbest", "gumbel")


def proposals(energies, bounds, made_by=("div_mbest", "div_mbest"), n_regions=1):
    labelings = np.zeros((len(energies), n_regions), int)
    parameters = ({},) * len(energies)
    return ProposalSet(labelings, np.array(energies), np.array(bounds), made_by, parameters)


def test_columns_by_hand():
    table = energy_features(
        proposals(
            [12.0, 10.0, 20.0, 12.0],
            [9.0, 10.0, np.nan, -np.inf],
            ("div_mbest", "div_mbest", "gumbel", "gumbel"),
            n_regions=2,
        ),
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
    table = energy_features(proposals([3.0], [3.0], ("div_mbest",)), GENERATORS)
    assert table.column("proposal.rank").tolist() == [0]
    assert table.column("proposal.energy_rank").tolist() == [0]


def test_bad_inputs_are_refused():
    with pytest.raises(InputError, match="moo: energies must be finite"):
        energy_features(proposals([1, np.inf], [0, 0]), GENERATORS, "moo")
    with pytest.raises(InputError, match=r"lower_bounds \(2, 1\) must be \(2,\)"):
        energy_features(proposals([1.0, 1.0], [[0.0], [0.0]]), GENERATORS)
    with pytest.raises(InputError, match="moo: generator 'dice' is not among"):
        energy_features(proposals([1, 1], [0, 0], ("gumbel", "dice")), GENERATORS, "moo")
