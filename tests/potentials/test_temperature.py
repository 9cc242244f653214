from __future__ import annotations

import numpy as np
import pytest

from rerank.errors import InputError
from rerank.potentials import at_temperature, choose_temperature


def test_the_temperature_is_that_which_was_put_in() -> None:
    rng = np.random.default_rng(0)
    truth = rng.dirichlet(np.ones(4), 300)
    histogram = np.array([rng.multinomial(1000, row) for row in truth])
    for temperature in (0.5, 3.0):
        # Too sharp by that factor, where it is above 1.
        given = at_temperature(truth, 1 / temperature)
        found = choose_temperature([given[:100], given[100:]], [histogram[:100], histogram[100:]])
        assert found == pytest.approx(temperature, rel=0.05)
    with pytest.raises(InputError, match="no superpixel has a labelled pixel"):
        choose_temperature([truth], [0 * histogram])
    certain = at_temperature(np.array([[0.0, 1.0]]), 1.0)
    assert (certain > 0).all() and certain.sum() == pytest.approx(1.0)
