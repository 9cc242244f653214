"""The auxiliary models: a second classifier and a dense network that only stage 2 uses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from rerank.applications.runs import open_models, write_run_file
from rerank.config import Recipe, build_recipe
from rerank.engine.folds import FINAL
from rerank.engine.graph import Graph
from rerank.engine.hdf5 import read_arrays, read_strings
from rerank.engine.scheduler import run_graph
from rerank.engine.stage import read_image
from rerank.engine.store import Store
from rerank.errors import ConfigError
from rerank.potentials.dense_network_unary import DenseNetworkTraining, at_temperature
from rerank.stages.auxiliary import read_auxiliary, read_held_out_auxiliary
from rerank.stages.pipeline import open_pipeline

# Each test here reads one run with networks, which takes long.
pytestmark = pytest.mark.slow

TREE: dict[str, Any] = {
    "name": "second",
    "dataset": {"name": "scenes", "options": {"n_images": 8, "size": [48, 36]}},
    "folds": {"n_folds": 2},
    "superpixels": {"n_segments": 30},
    "backbone": {"architecture": "small"},
    "classifiers": {"features": "appearance"},
    "holdout": 0.4,
    "unary": {"features": "appearance", "n_steps": 20, "max_per_image": 20},
    "auxiliary": {"dense_network": True},
    "dense_network": {"size": [48, 64], "epochs": 2, "batch_size": 4, "train_backbone": True},
    "crf": {"potts_weights": [0.5]},
    "proposals": {"generator": "div_mbest", "n_proposals": 3, "diversities": [0.1]},
    "segnet": {"grid": 4, "epochs_cross_entropy": 1, "epochs_mixed": 1},
    "ranking": {"C": 0.1},
    "report": {"n_bootstrap": 5, "n_examples": 2, "ablation": False, "generators": False},
}


def recipe_with(*overrides: str) -> Recipe:
    return build_recipe(TREE, "second", overrides)


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """A finished run with both models; tests read it and change nothing."""
    found = open_pipeline(
        recipe_with("auxiliary.features=appearance"),
        Store(tmp_path_factory.mktemp("second") / "work"),
    )
    write_run_file(found, None)
    run_graph(found)
    return found


@pytest.mark.slow
def test_fusion_uses_both_and_stage_1_neither(graph: Graph) -> None:
    with graph.job("crf_settings", FINAL).open("fusion") as file:
        names = read_strings(file["model/names"])
    assert {
        "superpixel",
        "auxiliary",
        "auxiliary_dense_network",
        "auxiliary_dense_network_image",
        "auxiliary_dense_network_similar",
    } <= set(names)
    without = open_pipeline(recipe_with("auxiliary.dense_network=false"), Store(graph.store.root))
    for stage in ("unaries", "segnet", "classifiers"):
        assert without.task(stage, FINAL).ref == graph.task(stage, FINAL).ref
    assert without.task("auxiliary", FINAL).ref != graph.task("auxiliary", FINAL).ref
    with graph.store.open(graph.task("pages").ref) as file:
        page = bytes(file["files/report.json"][()]).decode()
    assert (
        "an auxiliary classifier on appearance features; a dense network on small, trained" in page
    )
    assert run_graph(open_pipeline(graph.recipe, graph.store)) == 0


def test_its_settings_matter_only_where_it_is_asked_for(tmp_path: Path) -> None:
    def key(*overrides: str) -> str:
        return (
            open_pipeline(recipe_with(*overrides), Store(tmp_path)).task("auxiliary", FINAL).ref.key
        )

    assert key("dense_network.epochs=3") != key()
    off = "auxiliary.dense_network=false"
    assert key(off, "dense_network.epochs=3") == key(off) != key()


def test_a_backbone_without_weights_has_to_be_trained(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match="^auxiliary.dense_network needs .* dense_network.train_backbone=true"
    ):
        open_pipeline(recipe_with("dense_network.train_backbone=false"), Store(tmp_path)).task(
            "auxiliary"
        )


def test_a_prediction_asks_both_as_the_run_did(graph: Graph) -> None:
    assert graph.data.evaluate is not None
    models, _ = open_models(graph.store.root)
    image = graph.data.evaluate[1].image
    with graph.job("fusion", FINAL).open("auxiliary") as file:
        stored = read_auxiliary(file, 1)
    with graph.job("proposals", FINAL).open("superpixels") as file:
        superpixels = read_image(file, 1)["superpixels"]
    with graph.job("pages").open("proposals", FINAL) as file:
        labelings = read_image(file, 1)["labelings"]
    found = models._auxiliary.predict(image, superpixels)
    assert found.classifier is not None and found.dense_network is not None
    assert stored.classifier is not None and stored.dense_network is not None
    assert_array_equal(found.classifier, stored.classifier)
    assert_array_equal(found.dense_network, stored.dense_network)
    assert found.classifier.std() > 0.01 and found.dense_network.std() > 0.01
    assert_array_equal(models.predict(image).proposals.labelings, labelings)


def test_held_out_images_are_new_to_the_network_that_is_asked_of_them(graph: Graph) -> None:
    with graph.job("fusion", FINAL).open("unaries") as file:
        held = read_strings(file["holdout_ids"])
    with graph.job("fusion", FINAL).open("auxiliary") as file:
        stored = read_held_out_auxiliary(file, held, held[0]).dense_network
        temperature = float(read_arrays(file["dense_network/model"])["temperature"])
    job = graph.job("auxiliary", FINAL)
    ids = [image_id for fold in job.other_folds for image_id in fold.image_ids]
    fold = next(fold for fold in job.other_folds if held[0] in fold.image_ids)
    with job.open("superpixels", fold.name) as file:
        superpixels = read_image(file, fold.image_ids.index(held[0]))["superpixels"]

    def fitted_on(kept: list[str]) -> np.ndarray:
        model = DenseNetworkTraining(
            job.recipe, job.data.train, kept, job.data.weights.backbone
        ).fit(np.arange(len(kept)))
        return at_temperature(
            model.predict_proba(job.data.train.image(held[0]), superpixels), temperature
        )

    np.testing.assert_allclose(fitted_on([i for i in ids if i not in held]), stored, atol=1e-3)
    assert np.abs(fitted_on(ids) - stored).max() > 2e-3


@pytest.mark.slow
def test_a_network_alone_is_an_auxiliary_model_too(tmp_path: Path) -> None:
    found = open_pipeline(recipe_with(), Store(tmp_path))
    run_graph(found)
    with found.job("fusion", FINAL).open("auxiliary") as file:
        opinion = read_auxiliary(file, 0)
    assert opinion.classifier is None and opinion.dense_network is not None
    with found.job("crf_settings", FINAL).open("fusion") as file:
        names = read_strings(file["model/names"])
    assert "auxiliary_dense_network" in names and "auxiliary" not in names
