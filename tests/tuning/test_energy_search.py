from __future__ import annotations

import numpy as np
import pytest

from rerank.config import build_recipe
from rerank.crf import map_inference
from rerank.metrics import IntersectionUnion, corpus_iou, mean_image_iou, region_intersection_union
from rerank.potentials.energy_settings import EnergySettings, potts_energy
from rerank.superpixels import adjacency_graph
from rerank.tuning import energy_search
from rerank.tuning.energy_search import HoldoutImage, choose_energy, prior_bias

CELLS, CLASSES = 14, 3


def noisy_images(count):
    """Blobs of three classes seen through noise that also underrates the last one."""
    rng = np.random.default_rng(0)
    superpixels = np.arange(CELLS**2).reshape(CELLS, CELLS).repeat(3, 0).repeat(3, 1)
    down, across = np.indices((CELLS, CELLS))
    made = []
    for _ in range(count):
        centres = rng.uniform(2, CELLS - 2, size=(2, 2))
        truth = np.zeros((CELLS, CELLS), dtype=int)
        for label, centre in enumerate(centres, start=1):
            truth[(down - centre[0]) ** 2 + (across - centre[1]) ** 2 < 12] = label
        colours = np.array([40, 120, 200])[truth] + rng.normal(0, 12, truth.shape)
        image = np.clip(colours, 0, 255).astype(np.uint8).repeat(3, 0).repeat(3, 1)
        graph = adjacency_graph(superpixels, np.stack([image] * 3, axis=2))
        logits = 1.5 * np.eye(CLASSES)[truth.ravel()] + rng.normal(size=(CELLS**2, CLASSES))
        logits[:, 2] -= 1.0
        p = np.exp(logits)
        made.append(
            HoldoutImage(
                {"unary": p / p.sum(axis=1, keepdims=True)},
                graph,
                np.zeros((CELLS**2, 1)),
                9 * np.eye(CLASSES, dtype=int)[truth.ravel()],
            )
        )
    return made


def score(images, settings):
    counts = IntersectionUnion.stack(
        [
            region_intersection_union(
                i.histogram,
                map_inference(potts_energy(i.probabilities["unary"], i.graph, settings)).labeling,
            )
            for i in images
        ]
    )
    return corpus_iou(counts).mean + mean_image_iou(counts)


@pytest.mark.parametrize("parameters", ["search", "structured_svm"])
def test_chosen_settings_help_on_other_images(parameters):
    images = noisy_images(16)
    seen, unseen = images[:8], images[8:]
    recipe = build_recipe(
        {"name": "x", "dataset": {"name": "scenes"}, "crf": {"parameters": parameters}}, "test"
    )
    choice = choose_energy(seen, "unary", np.array([0.7, 0.15, 0.15]), recipe.crf)
    found = choice.settings
    tried = choice.tried["pair_scores" if parameters == "search" else "learner_scores"]
    assert found.potts_weight > 0 and found.contrast_scale in recipe.crf.contrast_scales
    assert tried.max() <= score(seen, found) + 1e-12
    assert score(unseen, found) > score(unseen, EnergySettings(0.0)) + 0.1
    if parameters == "structured_svm":
        # The class that the probabilities underrate is the one that gains.
        assert int(np.argmax(found.class_bias)) == 2


@pytest.mark.parametrize("better_on, chosen", [([], 0), ([3], 0), (range(8), 1), (range(12), 1)])
def test_usual_settings_stay_where_images_cannot_tell(better_on, chosen):
    """One image in twelve is not drawn in a third of the resamples."""
    unions = np.full((12, 2), 100)
    usual = IntersectionUnion(np.full((12, 2), 50), unions)
    other = IntersectionUnion(usual.intersections.copy(), unions)
    other.intersections[list(better_on)] += 5
    assert energy_search._best([usual, other], 0) == chosen
    assert energy_search._best([other, usual], 1) == 1 - chosen
    assert energy_search._best([usual, other], None) == int(len(better_on) > 0)


def test_preferred_settings_give_way_to_clearly_better_ones():
    crf = {"potts_weights": [0.0, 1.0], "contrast_scales": [1.0], "preferred": [0.0, 1.0]}
    recipe = build_recipe({"name": "x", "dataset": {"name": "scenes"}, "crf": crf}, "test")
    choice = choose_energy(noisy_images(12), "unary", np.array([0.7, 0.15, 0.15]), recipe.crf)
    assert choice.settings.potts_weight == 1.0


def test_prior_bias_favours_rare_classes_and_spares_absent_ones():
    bias = np.array(prior_bias(np.array([0.9, 0.1, 0.0]), 0.5))
    assert bias.sum() == pytest.approx(0)
    assert bias[1] - bias[0] == pytest.approx(0.5 * np.log(9))
    assert bias[2] == pytest.approx(bias[0])
    assert prior_bias(np.array([0.9, 0.1]), 0) == (0.0, 0.0)
