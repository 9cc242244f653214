from __future__ import annotations

import numpy as np
import pytest

from rerank.crf import PottsEnergy
from rerank.errors import InputError
from rerank.proposals import perturb_and_map


def isolated(unary):
    return PottsEnergy(unary, np.zeros((0, 2), dtype=int), np.zeros(0))


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_isolated_nodes_are_samples_of_the_softmax(scale):
    unary = np.tile([0.0, 0.7, 1.5], (400, 1))
    found = perturb_and_map(isolated(unary), 25, scale=scale, random_state=0)
    share = np.bincount(found.labelings.ravel(), minlength=3) / found.labelings.size
    expected = np.exp(-unary[0] / scale)
    np.testing.assert_allclose(share, expected / expected.sum(), atol=0.015)


def test_regions_share_their_noise():
    regions = np.repeat([0, 1, 2], 5)
    found = perturb_and_map(isolated(np.zeros((15, 4))), 20, regions=regions, random_state=1)
    blocks = found.labelings.reshape(20, 3, 5)
    assert (blocks == blocks[:, :, :1]).all()
    assert (blocks[:, 0, 0] != blocks[:, 1, 0]).any()
    whole = perturb_and_map(
        isolated(np.zeros((15, 4))), 20, regions=np.zeros(15, int), random_state=1
    )
    assert (whole.labelings == whole.labelings[:, :1]).all()
    assert len(whole.distinct()) == 4


def test_no_noise_gives_the_map():
    rng = np.random.default_rng(2)
    energy = PottsEnergy(rng.normal(size=(6, 2)), np.array([[0, 1], [2, 3]]), np.ones(2))
    found = perturb_and_map(energy, 3, scale=0.0, random_state=0)
    assert len(found.distinct()) == 1
    assert (found.gaps == 0).all()


def test_seeds_decide():
    rng = np.random.default_rng(3)
    energy = PottsEnergy(
        rng.normal(size=(30, 4)), np.stack([np.arange(29), np.arange(1, 30)], 1), rng.random(29)
    )
    first, again, other = (perturb_and_map(energy, 5, random_state=s).labelings for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"n_proposals": 0}, "n_proposals must be"),
        ({"scale": -1.0}, "scale must be"),
        ({"iterations": 0}, "iterations must be"),
        ({"regions": np.array([0, 2])}, "regions must use every number"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(InputError, match=message):
        perturb_and_map(isolated(np.zeros((2, 2))), **{"n_proposals": 2, **arguments})
