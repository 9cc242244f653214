from __future__ import annotations

import numpy as np
import pytest

from rerank.crf import icm


@pytest.mark.parametrize("tables", [None, "metric", "any"])
def test_no_single_change_of_the_answer_is_better(random_energy, tables):
    rng = np.random.default_rng(0)
    for _ in range(150):
        energy = random_energy(rng, 7, 4, tables, seeds=False)
        result = icm(energy)
        for node in range(7):
            changed = np.repeat(result.labeling[None], 4, axis=0)
            changed[:, node] = range(4)
            assert energy.evaluate(changed).min() >= result.energy - 1e-10


def test_starts_where_it_is_told(grid_energy):
    energy = grid_energy(np.random.default_rng(1), 8, 9, 4, 4.0)
    flat = icm(energy, np.full(72, 3))
    assert (flat.labeling == 3).all()
    assert (icm(energy).labeling != 3).any()


def test_does_not_write_to_its_start(grid_energy):
    energy = grid_energy(np.random.default_rng(2), 5, 6, 3, 0.5)
    start = np.zeros(30, dtype=np.int64)
    assert (icm(energy, start).labeling != 0).any()
    assert (start == 0).all()


def test_sweeps_are_limited(grid_energy):
    energy = grid_energy(np.random.default_rng(3), 12, 13, 4, 2.0)
    assert icm(energy, max_sweeps=1).iterations == 1
    assert icm(energy).energy <= icm(energy, max_sweeps=1).energy
