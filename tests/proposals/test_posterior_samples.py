from __future__ import annotations

import numpy as np
import pytest

from rerank.crf import PottsEnergy
from rerank.errors import InputError
from rerank.proposals import PosteriorSamples, ProposalContext, build_generator, run_generator

NO_EDGES = (np.zeros((0, 2), dtype=int), np.zeros(0))


def context(unary, areas=None, edges=NO_EDGES):
    return ProposalContext(PottsEnergy(np.asarray(unary, dtype=float), *edges), areas)


def test_class_noise_samples_the_softmax_of_the_log_probabilities():
    # Both regions have the same probabilities; their costs are these times their areas.
    areas = np.array([1.0, 3.0])
    costs = np.array([0.0, 0.7, 1.5])
    unary = (areas / areas.mean())[:, None] * costs
    rows = PosteriorSamples(1.0).sample(context(unary, areas), 6000, random_state=0)
    assert (rows[:, 0] == rows[:, 1]).all()
    expected = np.exp(-costs) / np.exp(-costs).sum()
    np.testing.assert_allclose(np.bincount(rows[:, 0]) / 6000, expected, atol=0.02)


def test_region_noise_moves_regions_apart():
    # Two pairs of nodes, joined strongly within and not at all between.
    edges = (np.array([[0, 1], [2, 3]]), np.array([9.0, 9.0]))
    made = PosteriorSamples(0.0, 1.0, n_regions=2).sample(
        context(np.zeros((4, 3)), edges=edges), 300, random_state=0
    )
    assert (made[:, 0] == made[:, 1]).all() and (made[:, 2] == made[:, 3]).all()
    assert 0.2 < (made[:, 0] == made[:, 2]).mean() < 0.46


def test_without_noise_it_is_the_map():
    rng = np.random.default_rng(1)
    image = context(rng.normal(size=(9, 3)))
    found = run_generator(PosteriorSamples(0.0), image, 4)
    assert (found.labelings == image.map_result.labeling).all()


def test_the_first_rows_are_those_of_fewer():
    rng = np.random.default_rng(2)
    image = context(rng.normal(size=(9, 3)))
    generator = PosteriorSamples(1.0, 0.5, n_regions=3)
    many, few = (run_generator(generator, image, n, 7).labelings for n in (6, 2))
    np.testing.assert_array_equal(many[:2], few)
    assert build_generator(generator.describe()) == generator


@pytest.mark.parametrize(
    "settings", [{"class_noise": -1.0}, {"region_noise": -0.1}, {"n_regions": 0}, {"iterations": 0}]
)
def test_bad_settings_are_refused(settings):
    with pytest.raises(InputError, match=next(iter(settings))):
        PosteriorSamples(**settings)


def test_classes_that_no_sample_takes_are_left_out():
    costs = np.array([0.0, 40.0, 0.7, 1.5, 6.5])
    rows = PosteriorSamples(1.0).sample(context(np.tile(costs, (2, 1))), 6000, random_state=0)
    assert set(np.unique(rows)) <= {0, 2, 3, 4}
    expected = np.exp(-costs) / np.exp(-costs).sum()
    np.testing.assert_allclose(np.bincount(rows[:, 0], minlength=5) / 6000, expected, atol=0.02)
