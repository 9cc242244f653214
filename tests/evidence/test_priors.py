import numpy as np
import pytest

from rerank.errors import InputError, NotFittedError
from rerank.evidence import CooccurrencePrior, LocationPrior


def make_targets(n=10):
    """Class 0 above class 1, with noise; class 2 in no image."""
    rng = np.random.default_rng(0)
    labels = np.repeat([[0], [0], [1], [1]], 3, axis=1)
    labels = np.where(rng.random((n, 4, 3)) < 0.1, rng.integers(0, 2, (n, 4, 3)), labels)
    return np.eye(3)[labels]


def test_location_prior_knows_above_from_below():
    targets = make_targets()
    prior = LocationPrior(smoothing=2.0, blur=0.0).fit(targets)
    counts = targets.sum(axis=0)
    frequency = counts.sum(axis=(0, 1)) / counts.sum()
    np.testing.assert_allclose(prior.probabilities_, (counts + 2 * frequency) / 12)
    assert (prior.probabilities_[0, :, 0] > 0.5).all()
    assert (prior.probabilities_[..., 2] == 0).all()
    overlap = np.zeros((12, 2))
    overlap[:6, 0] = overlap[6:, 1] = 1
    regions = prior.transform(overlap)
    np.testing.assert_allclose(regions[0], prior.probabilities_[:2].mean(axis=(0, 1)))
    np.testing.assert_allclose(regions.sum(axis=1), 1)
    back = LocationPrior.from_arrays(prior.to_arrays())
    np.testing.assert_array_equal(back.transform(overlap), regions)


def test_blur_spreads_and_cells_of_void_count_for_nothing():
    targets = make_targets()
    sharp = LocationPrior(blur=0.0).fit(targets).probabilities_
    soft = LocationPrior(blur=2.0).fit(targets).probabilities_
    assert np.abs(soft[0] - soft[3]).max() < np.abs(sharp[0] - sharp[3]).max()
    np.testing.assert_allclose(soft.sum(axis=2), 1)
    void = np.concatenate([targets, np.zeros((5, 4, 3, 3))])
    np.testing.assert_allclose(LocationPrior(blur=0.0).fit(void).probabilities_, sharp)


def test_cooccurrence_prior_by_hand():
    # Cow and grass always come together, boat alone; a fourth class never comes.
    shares = np.array([[0.5, 0.5, 0, 0], [0.2, 0.8, 0, 0], [0, 0, 1.0, 0], [0, 0, 1.0, 0]])
    prior = CooccurrencePrior(smoothing=1.0).fit(shares)
    together = np.log((2 + 0.25) / (5 * 0.25))
    apart = np.log(0.25 / (5 * 0.25))
    expected = np.zeros((4, 4))
    expected[0, 1] = expected[1, 0] = together
    expected[[0, 1], 2] = expected[2, [0, 1]] = apart
    np.testing.assert_allclose(prior.log_ratio_, expected)
    back = CooccurrencePrior.from_arrays(prior.to_arrays())
    np.testing.assert_array_equal(back.log_ratio_, prior.log_ratio_)


def test_bad_inputs_are_refused():
    with pytest.raises(NotFittedError):
        LocationPrior().transform(np.ones((1, 1)))
    with pytest.raises(NotFittedError):
        CooccurrencePrior().to_arrays()
    with pytest.raises(InputError, match="\\(N, gh, gw, C\\)"):
        LocationPrior().fit(np.ones((2, 2)))
    with pytest.raises(InputError, match="not all 0"):
        LocationPrior().fit(np.zeros((1, 2, 2, 3)))
    with pytest.raises(InputError, match="smoothing"):
        LocationPrior(smoothing=0).fit(make_targets())
    with pytest.raises(InputError, match="smoothing"):
        CooccurrencePrior(smoothing=0).fit(np.ones((2, 2)))
    with pytest.raises(InputError, match="class_shares"):
        CooccurrencePrior().fit(np.ones(2))
