"""A dense network that stage 2 hears beside the second classifier."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from rerank.config import Recipe, build_recipe
from rerank.errors import ConfigError
from rerank.folds import FINAL
from rerank.hdf5 import read_arrays, read_strings
from rerank.stages import Workflow
from rerank.stages.base import read_image
from rerank.stages.dense import DenseTraining, at_temperature
from rerank.stages.posterior import read_held_out, read_posterior
from rerank.stages.predict import Predictor, write_run_file
from rerank.store import Store

TREE: dict[str, Any] = {
    "name": "second",
    "dataset": {"name": "scenes", "options": {"n_images": 8, "size": [48, 36]}},
    "folds": {"n_folds": 2},
    "superpixels": {"n_segments": 30},
    "backbone": {"architecture": "small"},
    "unary": {"features": "appearance", "holdout": 0.4, "n_steps": 20, "max_per_image": 20},
    "posterior": {"dense": True},
    "dense": {"size": [48, 64], "epochs": 2, "batch_size": 4, "train_backbone": True},
    "crf": {"potts_weights": [0.5]},
    "proposals": {"generator": "div_mbest", "n_proposals": 3, "diversities": [0.1]},
    "segnet": {"grid": 4, "epochs_cross_entropy": 1, "epochs_mixed": 1},
    "ranking": {"C": 0.1},
    "report": {"n_bootstrap": 5, "n_examples": 2, "ablation": False, "generators": False},
}


def recipe_with(*overrides: str) -> Recipe:
    return build_recipe(TREE, "second", overrides)


@pytest.fixture(scope="module")
def workflow(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """A finished run with both models; tests read it and change nothing."""
    found = Workflow(
        recipe_with("posterior.features=appearance"),
        Store(tmp_path_factory.mktemp("second") / "work"),
    )
    write_run_file(found)
    found.run(quiet=True)
    return found


def test_fusion_hears_both_and_stage_1_neither(workflow: Workflow) -> None:
    with workflow.job("crf_settings", FINAL).open("fusion") as file:
        names = read_strings(file["model/names"])
    assert {
        "superpixel",
        "auxiliary",
        "auxiliary_dense_network",
        "auxiliary_dense_network_image",
        "auxiliary_dense_network_similar",
    } <= set(names)
    without = Workflow(recipe_with("posterior.dense=false"), Store(workflow.store.root))
    for stage in ("unaries", "segnet", "classifiers"):
        assert without.task(stage, FINAL).ref == workflow.task(stage, FINAL).ref
    assert without.task("posterior", FINAL).ref != workflow.task("posterior", FINAL).ref
    with workflow.store.open(workflow.task("pages").ref) as file:
        page = bytes(file["files/report.html"][()]).decode()
    assert "a second classifier on appearance features; a dense network on small, trained" in page
    assert Workflow(workflow.recipe, workflow.store).run(quiet=True) == 0


def test_its_settings_matter_only_where_it_is_asked_for(tmp_path: Path) -> None:
    def key(*overrides: str) -> str:
        return Workflow(recipe_with(*overrides), Store(tmp_path)).task("posterior", FINAL).ref.key

    assert key("dense.epochs=3") != key()
    off = "posterior.dense=false"
    assert key(off, "dense.epochs=3") == key(off) != key()


def test_a_backbone_without_weights_has_to_be_trained(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="^posterior.dense needs .* dense.train_backbone=true"):
        Workflow(recipe_with("dense.train_backbone=false"), Store(tmp_path)).task("posterior")


def test_a_prediction_asks_both_as_the_run_did(workflow: Workflow) -> None:
    assert workflow.evaluate is not None
    predictor = Predictor(str(workflow.store.root))
    image = workflow.evaluate[1].image
    with workflow.job("fusion", FINAL).open("posterior") as file:
        stored = read_posterior(file, 1)
    with workflow.job("proposals", FINAL).open("superpixels") as file:
        superpixels = read_image(file, 1)["superpixels"]
    with workflow.job("pages").open("proposals", FINAL) as file:
        labelings = read_image(file, 1)["labelings"]
    found = predictor._second.ask(image, superpixels)
    assert found.classifier is not None and found.dense_network is not None
    assert stored.classifier is not None and stored.dense_network is not None
    # Features wait in the store in half precision.
    np.testing.assert_allclose(found.classifier, stored.classifier, atol=1e-3)
    assert_array_equal(found.dense_network, stored.dense_network)
    assert found.classifier.std() > 0.01 and found.dense_network.std() > 0.01
    assert_array_equal(predictor.predict(image).labelings, labelings)


def test_held_out_images_are_new_to_the_network_that_is_asked_of_them(workflow: Workflow) -> None:
    with workflow.job("fusion", "fold-00").open("unaries") as file:
        held = read_strings(file["holdout_ids"])
    with workflow.job("fusion", "fold-00").open("posterior") as file:
        stored = read_held_out(file, "holdout/000000/probabilities").dense_network
        temperature = float(read_arrays(file["dense/model"])["temperature"])
    job = workflow.job("posterior", "fold-00")
    ids = [image_id for fold in job.other_folds for image_id in fold.image_ids]
    with job.open("superpixels", "fold-01") as file:
        superpixels = read_image(file, job.parts[1].image_ids.index(held[0]))["superpixels"]

    def fitted_on(kept: list[str]) -> np.ndarray:
        model = DenseTraining(job.recipe, job.train, kept, job.weights).fit(np.arange(len(kept)))
        return at_temperature(
            model.predict_proba(job.train.image(held[0]), superpixels), temperature
        )

    np.testing.assert_allclose(fitted_on([i for i in ids if i not in held]), stored, atol=1e-6)
    assert np.abs(fitted_on(ids) - stored).max() > 1e-4


def test_a_network_alone_is_a_second_opinion_too(tmp_path: Path) -> None:
    found = Workflow(recipe_with(), Store(tmp_path))
    found.run(quiet=True)
    with found.job("fusion", FINAL).open("posterior") as file:
        opinion = read_posterior(file, 0)
    assert opinion.classifier is None and opinion.dense_network is not None
    with found.job("crf_settings", FINAL).open("fusion") as file:
        names = read_strings(file["model/names"])
    assert "auxiliary_dense_network" in names and "auxiliary" not in names
