"""The rule of Eq. 17: what it is chosen on, and that its scores are those of the SegNet's maps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from rerank.engine.stage import read_image
from rerank.features import coarsen_labelings
from rerank.nets import cell_overlap
from rerank.ranking import symmetric_kl
from rerank.ranking.ranking_table import join, proposal_quality
from rerank.stages.ranking_rows import load_parts
from rerank.stages.segnet import read_map
from rerank.tuning.ranker_choice import fit_rule


def test_terms_are_those_of_the_maps(finished: Path, make_graph) -> None:
    job = make_graph(finished).job("ranking")
    folds, _ = load_parts(job)
    recipe, part = job.recipe, folds[0]
    smoothings = recipe.features.rule_smoothings
    grid = (recipe.segnet.grid, recipe.segnet.grid)
    own = make_graph(finished).job("features", part.name)
    with (
        own.open("superpixels") as regions,
        own.open("proposals") as proposals,
        own.open("segnet") as segnet,
    ):
        overlap = cell_overlap(read_image(regions, 0)["superpixels"], grid)
        labelings = read_image(proposals, 0)["labelings"]
        coarse = coarsen_labelings(labelings, overlap, grid, job.data.n_classes)
        segnet_map = read_map(segnet, 0)
    for k, smoothing in enumerate(smoothings):
        expected = symmetric_kl(segnet_map, coarse, smoothing).divergence(0.0)
        np.testing.assert_allclose(part.kl["kl"][0, :, 1 + k], expected, rtol=1e-5)
    background = job.data.train.background
    mass = 0.0 if background is None else coarse[..., background].sum(axis=(1, 2))
    np.testing.assert_allclose(part.kl["kl"][0, :, 0], mass, rtol=1e-6)


def test_settings_come_from_the_training_part_alone(finished: Path, make_graph) -> None:
    """Another quality of the judged images changes nothing, another one of the others does."""
    job = make_graph(finished).job("ranking")
    folds, _ = load_parts(job)
    train, part = join(folds[1:]), folds[0]
    rng = np.random.default_rng(0)

    def shuffled(table):
        counts = table.counts
        unions = np.maximum(counts.unions, 1)
        drawn = (rng.uniform(size=unions.shape) * unions).astype(np.int64)
        return replace(table, counts=replace(counts, intersections=drawn, unions=unions))

    expected = fit_rule(train, "kl", job.recipe)(part)
    np.testing.assert_array_equal(fit_rule(train, "kl", job.recipe)(shuffled(part)), expected)
    others = [fit_rule(shuffled(train), "kl", job.recipe)(part) for _ in range(20)]
    assert any(not np.array_equal(other, expected) for other in others)
    quality = proposal_quality(train.counts, job.recipe.ranking.loss)
    assert len(quality) == len(train.table)
