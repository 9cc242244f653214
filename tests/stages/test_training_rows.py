"""Models are fitted on what fits in memory, spread over the images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerank.engine.graph import Graph
from rerank.engine.scheduler import run_graph
from rerank.stages import training_rows
from rerank.stages.training_rows import drawn_rows, images_that_fit, rows_that_fit


@given(counts=st.lists(st.integers(0, 40), min_size=1, max_size=30), memory=st.integers(1, 200))
def test_the_largest_number_of_each_that_fits(counts: list[int], memory: int) -> None:
    rows = np.array(counts)
    found = rows_that_fit(rows, 1 << 20, memory)
    fitting = [np.minimum(rows, k) for k in range(1, 41) if np.minimum(rows, k).sum() <= memory]
    expected = fitting[-1] if fitting else np.minimum(rows, 1)
    assert (found == expected).all()


def test_all_that_fits_is_read() -> None:
    assert (drawn_rows(5, 5, 0) == np.arange(5)).all()
    assert images_that_fit(np.zeros(7), 1 << 20, 7).all()


def test_each_group_keeps_its_share_of_images() -> None:
    groups = np.arange(20) < 4
    kept = images_that_fit(groups, 1 << 20, 10)
    assert (kept[groups].sum(), kept[~groups].sum()) == (2, 8)
    assert [images_that_fit(groups, 1 << 20, 0)[g].sum() for g in (groups, ~groups)] == [1, 1]


def test_draws_are_of_each_image_alone() -> None:
    one, other = drawn_rows(100, 10, 3), drawn_rows(100, 10, 4)
    assert len(set(one)) == 10 and (np.diff(one) > 0).all()
    assert (one == drawn_rows(100, 10, 3)).all() and (one != other).any()


@pytest.mark.slow
def test_a_run_in_little_memory(
    finished: Path,
    tmp_path: Path,
    make_graph: Callable[..., Graph],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Models are of fewer rows and images, and all results are there."""
    monkeypatch.setattr(training_rows, "_MIB", 1 << 10)
    graph = make_graph(tmp_path / "little", ["training_memory=8", "shard_size=3"])
    run_graph(graph)
    whole = make_graph(finished)
    for stage in ("unaries", "segnet"):
        with (
            graph.reader().open(stage, "final") as little,
            whole.reader().open(stage, "final") as all_of_it,
        ):
            names = set(little["model"])
            assert names == set(all_of_it["model"])
            assert any((little["model"][n][()] != all_of_it["model"][n][()]).any() for n in names)
    assert not {row.state for row in graph.status()} - {"fresh", "dropped"}
