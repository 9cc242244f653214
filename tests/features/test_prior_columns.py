import numpy as np
import pytest

from rerank.errors import InputError
from rerank.features import cooccurrence_score, prior_features


def test_cooccurrence_score_by_hand():
    log_ratio = np.array([[0.0, 1.0, 2.0], [1.0, 0.0, -3.0], [2.0, -3.0, 0.0]])
    painted = np.array([[1, 1, 0], [1, 1, 1], [0, 0, 1], [0, 0, 0]], bool)
    np.testing.assert_allclose(cooccurrence_score(painted, log_ratio), [1, 0, 0, 0])
    with pytest.raises(InputError, match="painted"):
        cooccurrence_score(np.ones((2, 3)), np.zeros((2, 2)))


def test_columns_of_both_priors():
    log_ratio = np.array([[0.0, 1.0, 2.0], [1.0, 0.0, -3.0], [2.0, -3.0, 0.0]])
    painted = np.array([[0.5, 0.5, 0.0], [0.2, 0.3, 0.5]])
    location = np.array([[-1.0, -0.5, 0.0], [-0.2, -0.3, -1.0]])
    table = prior_features(location, log_ratio, painted, ("a", "b", "c"))
    expected = {
        "location_log_prob": [-1.5, -1.5],
        "location[b]": [-0.5, -0.3],
        "mean_location[b]": [-1, -1],
        "mean_location[c]": [0, -2],
        "cooccurrence": [1, 0],
        "company[a]": [1, 1.5],
        "company[c]": [0, -0.5],
    }
    for name, column in expected.items():
        np.testing.assert_allclose(table.column(f"proposal.{name}"), column, atol=1e-12)
    assert prior_features(None, log_ratio, painted, ("a", "b", "c")).shape == (2, 4)
    assert prior_features(location, None, painted, ("a", "b", "c")).shape == (2, 7)
    with pytest.raises(InputError, match="needs a location or"):
        prior_features(None, None, painted, ("a", "b", "c"))
