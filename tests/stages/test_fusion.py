"""Which images the fusion is fitted on."""

from __future__ import annotations

import numpy as np
import pytest

from rerank.config import load_recipe
from rerank.evidence import RegionSignals
from rerank.stages.fusion import FittedImages


def signals(value: float) -> RegionSignals:
    """A quarter of a MiB of one number."""
    return RegionSignals(("a",), np.full((1 << 15, 2, 1), value, np.float32))


def added(memory: int, count: int) -> FittedImages:
    found = FittedImages(count, load_recipe("scenes", [f"training_memory={memory}"]))
    for place in range(count):
        found.add(str(place), signals(place), np.zeros((1, 2), np.int32))
    return found


def test_all_that_fit_come_in_the_wanted_order() -> None:
    found = added(3, 8)
    assert [s.values.flat[0] for s in found.chosen(())[0]] == list(range(8))
    order = [str(place) for place in reversed(range(8))]
    assert [s.values.flat[0] for s in found.chosen(order)[0]] == list(range(8))[::-1]


@pytest.mark.parametrize("memory", [1, 2])
def test_no_more_than_fit_are_kept(memory: int) -> None:
    kept = [int(s.values.flat[0]) for s in added(memory, 40).chosen(())[0]]
    assert len(kept) == 4 * memory - 1 and sorted(set(kept)) == kept
    # They are a random draw, and not the first or the last.
    assert kept[0] < 20 < kept[-1]
