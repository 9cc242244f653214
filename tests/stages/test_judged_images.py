"""What is not kept of an image is read again as it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rerank.stages.judged_images import Judged, candidate_beliefs, expected_of_each, read_judged


def test_images_that_are_not_kept_change_nothing(finished: Path, make_graph) -> None:
    job = make_graph(finished).job("calibration")
    name, beliefs = job.folds[0].name, candidate_beliefs(job.recipe)[-1]
    whole = read_judged(job, name)
    kept = np.arange(len(whole.scores)) % 2 == 0
    some = read_judged(job, name, kept)
    for field in ("scores", "network", "change", "quality"):
        np.testing.assert_array_equal(getattr(some, field), getattr(whole, field))
    np.testing.assert_array_equal(some.similarity, whole.similarity[kept])
    np.testing.assert_array_equal(some.counts.unions, whole.counts.unions[kept])
    for judged in (some, whole):
        expected = list(expected_of_each(job, name, judged, beliefs))
        for found, known in zip(zip(*expected), whole.expected[-1]):
            np.testing.assert_array_equal(found, known)
    both = Judged.join([some, whole])
    assert both.kept.sum() == len(both.similarity) == kept.sum() + len(kept)


def test_nothing_need_be_kept(finished: Path, make_graph) -> None:
    job = make_graph(finished).job("calibration")
    name = job.folds[0].name
    none = read_judged(job, name, np.zeros(len(job.ids(name)), dtype=bool))
    count, n_classes = job.recipe.proposals.n_proposals, job.data.n_classes
    assert none.similarity.shape == (0, count, count)
    assert none.counts.unions.shape == none.expected[0].unions.shape == (0, count, n_classes)
