"""Images are read one after another as they are read together, and no more than are wanted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from rerank.engine.stage import Job
from rerank.stages.ranking_rows import (
    columns_of,
    image_bytes,
    load_folds,
    load_part,
    sampled_images,
)


def test_some_images_and_columns_are_those_of_the_whole(finished: Path, make_graph) -> None:
    job = make_graph(finished).job("ranking")
    name = job.folds[0].name
    whole, columns = load_part(job, name), columns_of(job, ("summary",))
    kept = np.arange(len(whole.image_ids)) % 2 == 1
    some = load_part(job, name, columns, kept)
    rows = np.repeat(kept, job.recipe.proposals.n_proposals)
    assert set(columns.groups) == {"summary"} and some.table.columns == columns.names
    np.testing.assert_array_equal(
        some.table.values, whole.table.select(groups="summary").values[rows]
    )
    np.testing.assert_array_equal(some.counts.unions, whole.counts.unions[kept])
    np.testing.assert_array_equal(some.similarity, whole.similarity[kept])
    np.testing.assert_array_equal(some.kl["kl"], whole.kl["kl"][kept])
    assert some.image_ids == tuple(np.array(whole.image_ids)[kept])


def test_as_many_images_of_each_fold_are_read_as_fit(finished: Path, make_graph) -> None:
    job: Job = make_graph(finished).job("ranking")
    sizes = {part.name: len(part.image_ids) for part in job.folds}
    assert {name: rows.sum() for name, rows in sampled_images(job, 1).items()} == sizes
    # Of 1 MiB an image no more than `training_memory` are read, and one of each fold is.
    small = replace(job, recipe=job.recipe.model_copy(update={"training_memory": 6}))
    drawn = sampled_images(small, 1 << 20)
    assert sum(rows.sum() for rows in drawn.values()) <= 6
    assert all(rows.any() for rows in drawn.values())
    other = small.recipe.model_copy(update={"random_state": 1})
    again = sampled_images(replace(small, recipe=other), 1 << 20)
    assert any((again[name] != rows).any() for name, rows in drawn.items())


def test_bytes_of_an_image_are_those_of_its_arrays(finished: Path, make_graph) -> None:
    job = make_graph(finished).job("ranking")
    fold = load_folds(job)[0]
    n_columns = len(columns_of(job).names)
    count = len(fold.image_ids)
    arrays = [fold.counts.unions, fold.counts.intersections, fold.similarity, fold.energies]
    held = sum(array.nbytes for array in (*arrays, *fold.kl.values())) / count
    table = job.recipe.proposals.n_proposals * n_columns * 4
    assert held + table <= image_bytes(job, n_columns) * 1.05
