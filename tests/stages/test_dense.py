"""A dense network in stage 1: what is fitted on what, what is stored, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from rerank.config import Recipe, build_recipe
from rerank.datasets import Dataset, open_dataset
from rerank.errors import ConfigError, InputError
from rerank.folds import FINAL
from rerank.hdf5 import read_arrays, read_strings
from rerank.nets import build_backbone
from rerank.potentials import at_temperature
from rerank.stages import PIPELINE, Workflow, dense
from rerank.stages.base import read_image
from rerank.stages.dense import DenseTraining, DenseUnary
from rerank.stages.predict import Predictor, write_run_file
from rerank.stages.propose import propose_image
from rerank.stages.unaries import pool_own_map
from rerank.store import Store

TREE: dict[str, Any] = {
    "name": "dense",
    "dataset": {"name": "scenes", "options": {"n_images": 8, "size": [48, 36]}},
    "folds": {"n_folds": 2},
    "superpixels": {"n_segments": 30},
    "unary": {"source": "dense", "features": "appearance", "holdout": 0.4, "max_per_image": 20},
    "dense": {"size": [48, 64], "epochs": 2, "batch_size": 4, "crf_layer": True, "crf_epochs": 1},
    "crf": {"potts_weights": [0.5]},
    "proposals": {"generator": "div_mbest", "n_proposals": 3, "diversities": [0.1]},
    "segnet": {"grid": 4, "epochs_cross_entropy": 1, "epochs_mixed": 1},
    "ranking": {"C": 0.1},
    "report": {"n_bootstrap": 5, "n_examples": 2, "ablation": False, "generators": False},
}
SMALL = ["backbone.architecture=small", "dense.train_backbone=true"]


def recipe_with(*overrides: str) -> Recipe:
    return build_recipe(json.loads(json.dumps(TREE)), "dense", overrides)


def save_weights(path: Path, seed: int = 0) -> Path:
    """Random weights of SqueezeNet under the names that rerank reads."""
    state = build_backbone("squeezenet1_0", random_state=seed).layers.state_dict()
    np.savez(path, **{name: value.numpy() for name, value in state.items()})
    return path


@pytest.fixture(scope="module")
def workflow(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """A finished run with a frozen SqueezeNet; tests read it and change nothing."""
    folder = tmp_path_factory.mktemp("dense")
    weights = save_weights(folder / "net.npz")
    found = Workflow(
        recipe_with(
            f"backbone.weights={weights}", "posterior.features=deep", "posterior.scales=[0.5, 1.0]"
        ),
        Store(folder / "work"),
    )
    write_run_file(found)
    found.run(quiet=True)
    return found


def key_of(recipe: Recipe, work: Path, stage: str = "unaries") -> str:
    return Workflow(recipe, Store(work)).task(stage, FINAL).ref.key


def test_a_run_ends_and_the_next_does_nothing(workflow: Workflow) -> None:
    again = Workflow(workflow.recipe, workflow.store)
    assert {row.state for row in again.status()} == {"fresh"}
    assert again.run(quiet=True) == 0
    with workflow.job("pages").open("ranking"):
        pass
    with workflow.store.open(workflow.task("pages").ref) as file:
        page = bytes(file["files/report.html"][()]).decode()
        rules = bytes(file["files/rules_evaluation.csv"][()]).decode()
        others = bytes(file["files/rules_cross_fitted.csv"][()]).decode()
    assert "a dense network on squeezenet1_0 with a CRF layer" in page
    assert "a second classifier on deep features at scales 0.5, 1;" in page
    assert "\ndense CRF," in rules and "dense CRF" not in others


def test_a_run_that_was_killed_goes_on_to_the_same_bytes(
    workflow: Workflow, tmp_path: Path
) -> None:
    """As if it had been killed while the networks of one fold were trained."""
    work = Path(shutil.copytree(workflow.store.root, tmp_path / "work"))
    again = Workflow(workflow.recipe, Store(work))
    ref = again.task("unaries", "fold-01").ref
    with again.store.open(ref) as file:
        before = {name: value.tobytes() for name, value in read_arrays(file["model"]).items()}
        seen = read_image(file, 0)["probabilities"]
    again.store.remove(ref)
    assert again.run(quiet=True) == 1
    with again.store.open(ref) as file:
        assert before == {
            name: value.tobytes() for name, value in read_arrays(file["model"]).items()
        }
        assert_array_equal(read_image(file, 0)["probabilities"], seen)


def test_prediction_repeats_what_the_run_found(workflow: Workflow) -> None:
    assert workflow.evaluate is not None
    predictor = Predictor(str(workflow.store.root))
    sample = workflow.evaluate[1]
    with workflow.job("proposals", FINAL).open("unaries") as file:
        stored = read_image(file, 1)["probabilities"]
        model = DenseUnary.from_arrays(
            read_arrays(file["model"]), 12, workflow.recipe, workflow.weights
        )
        assert not any("backbone" in name for name in file["model"])
        assert any("layer" in name for name in file["model"])
    with workflow.job("proposals", FINAL).open("superpixels") as file:
        superpixels = read_image(file, 1)["superpixels"]
    with workflow.job("pages").open("proposals", FINAL) as file:
        labelings = read_image(file, 1)["labelings"]
    found = model.predict_proba(sample.image, superpixels)
    assert_array_equal(found.astype(np.float32), stored)
    assert_array_equal(predictor.predict(sample.image).labelings, labelings)
    assert_allclose(stored.sum(axis=1), 1.0, atol=1e-5)
    assert stored.std() > 0.01


def test_the_inner_fit_has_not_seen_the_held_out_images(workflow: Workflow) -> None:
    """Stored probabilities of held-out images are those of a network fitted without them."""
    job = workflow.job("unaries", "fold-00")
    with workflow.job("crf_settings", "fold-00").open("unaries") as file:
        held = read_strings(file["holdout_ids"])
        stored = file["holdout/000000/probabilities"][()]
        temperature = float(file["model/temperature"][()])
    ids = [image_id for fold in job.other_folds for image_id in fold.image_ids]
    assert 0 < len(held) < len(ids) and set(held) < set(ids)
    assert not set(held) & set(job.part.image_ids)
    with job.open("superpixels", "fold-01") as file:
        index = job.parts[1].image_ids.index(held[0])
        superpixels = read_image(file, index)["superpixels"]
    image = job.train.image(held[0])

    def fitted_on(kept: list[str]) -> np.ndarray:
        model = DenseTraining(job.recipe, job.train, kept, job.weights).fit(np.arange(len(kept)))
        return at_temperature(model.predict_proba(image, superpixels), temperature)

    assert_allclose(fitted_on([i for i in ids if i not in held]), stored, atol=1e-6)
    assert np.abs(fitted_on(ids) - stored).max() > 1e-4


def test_activations_are_kept_once_a_part(
    monkeypatch: pytest.MonkeyPatch, workflow: Workflow
) -> None:
    calls = []
    kept = dense.keep_activations

    def counted(samples: Any, *rest: Any) -> Any:
        calls.append(len(samples))
        return kept(samples, *rest)

    monkeypatch.setattr(dense, "keep_activations", counted)
    training = DenseTraining(workflow.recipe, workflow.train, workflow.train.ids, workflow.weights)
    one = training.fit(np.array([0, 2, 3]))
    training.fit(np.arange(4))
    assert calls == [len(workflow.train)]
    alone = DenseTraining(
        workflow.recipe,
        workflow.train,
        [workflow.train.ids[i] for i in (0, 2, 3)],
        workflow.weights,
    )
    for name, value in alone.fit(np.arange(3)).to_arrays().items():
        assert_array_equal(value, one.to_arrays()[name])


def test_a_backbone_that_is_trained_goes_into_the_file() -> None:
    recipe = recipe_with(*SMALL, "dense.crf_layer=false", "unary.dense_crf=true")
    dataset: Dataset = open_dataset("scenes", None, "train", n_images=4, size=(36, 48))
    model = DenseTraining(recipe, dataset, dataset.ids, None).fit(np.arange(4))
    arrays = model.to_arrays()
    assert any("backbone" in name for name in arrays)
    image = dataset[0].image
    superpixels = np.arange(36 * 48).reshape(36, 48) // 100
    again = DenseUnary.from_arrays(arrays, 12, recipe, None)
    assert again.refined
    assert_array_equal(
        again.predict_proba(image, superpixels), model.predict_proba(image, superpixels)
    )
    plain = DenseUnary(model.source).predict_proba(image, superpixels)
    assert np.abs(plain - model.predict_proba(image, superpixels)).max() > 1e-3


def test_only_what_matters_is_in_the_key(tmp_path: Path) -> None:
    weights = [save_weights(tmp_path / f"{seed}.npz", seed) for seed in (0, 1)]

    def key(weight: Path, *overrides: str) -> str:
        return key_of(recipe_with(f"backbone.weights={weight}", *overrides), tmp_path / "w")

    plain = key(weights[0], "dense.crf_layer=false")
    for same in ("dense.crf_epochs=9", "unary.hidden=3", "unary.n_steps=7", "segnet.dropout=0.1"):
        assert key(weights[0], "dense.crf_layer=false", same) == plain, same
    for other in (
        "dense.epochs=3",
        "dense.size=[50, 60]",
        "dense.loss=rmi(factor=2)",
        "unary.dense_crf=true",
        "unary.holdout=0.3",
        "random_state=1",
    ):
        assert key(weights[0], "dense.crf_layer=false", other) != plain, other
    assert key(weights[1], "dense.crf_layer=false") != plain
    first = key(weights[0], "unary.source=classifier")
    assert key(weights[0], "unary.source=classifier", "dense.epochs=5") == first


def test_settings_of_other_sources_are_as_they_were() -> None:
    """What lies in users' work folders stays valid."""
    stage = next(stage for stage in PIPELINE if stage.name == "unaries")
    names = {
        "source",
        "features",
        "hidden",
        "n_steps",
        "weight_decay",
        "class_balance",
        "n_members",
        "max_per_image",
        "holdout",
    }
    for source in ("classifier", "probabilities"):
        settings = stage.settings(recipe_with(f"unary.source={source}"))
        assert set(settings) == {"unary", "random_state"} and set(settings["unary"]) == names
        assert "weights" not in stage.reads_with(recipe_with(f"unary.source={source}"))
    assert stage.version == 2 and stage.reads_with(recipe_with()) == ("weights",)
    settings = stage.settings(recipe_with("unary.source=probabilities", "unary.dense_crf=true"))
    assert settings["unary"]["dense_crf"] is True


@pytest.mark.parametrize(
    "overrides, message",
    [
        (
            [],
            "backbone.*squeezenet1_0 has no weights; set backbone.weights, or dense.train_backbone",
        ),
        (["backbone.architecture=small"], "small has no weights; set dense.train_backbone=true"),
        ([*SMALL, "dense.loss=dice"], "loss must be ce.*'dice'"),
        (
            [*SMALL, "unary.source=classifier", "unary.dense_crf=true"],
            "unary.dense_crf.*unary.source",
        ),
        (
            ["backbone.weights=any.npz", "dense.size=[24, 32]"],
            "24x32 is too small for squeezenet1_0",
        ),
        ([*SMALL, "dense.epochs=1"], "dense.epochs: .*greater than or equal to 2"),
        ([*SMALL, "dense.size=[0, 3]"], "dense.size.*got 0"),
        ([*SMALL, "dense.sice=3"], "dense.sice: unknown key .did you mean size"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overrides: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    save_weights(tmp_path / "any.npz")
    with pytest.raises(ConfigError, match=message):
        Workflow(recipe_with(*overrides), Store(tmp_path / "work"))


def test_own_maps_are_refined_before_they_are_pooled() -> None:
    image = np.zeros((12, 20, 3), np.uint8)
    image[:, 10:] = 250
    maps = np.where(image[..., :1] > 0, [[[0.3, 0.7]]], [[[0.7, 0.3]]])
    maps[4, 14] = (0.9, 0.1)
    superpixels = np.zeros((12, 20), np.int64)
    superpixels[:, 10:] = 1
    superpixels[4, 14] = 2
    plain = recipe_with("unary.source=probabilities")
    refined = recipe_with("unary.source=probabilities", "unary.dense_crf=true")
    assert_allclose(pool_own_map(plain, maps, image, superpixels, 2)[2], (0.9, 0.1))
    found = pool_own_map(refined, maps, image, superpixels, 2)
    assert found.argmax(axis=1).tolist() == [0, 1, 1]
    first = np.moveaxis(maps, 2, 0)
    assert_allclose(pool_own_map(refined, first, image, superpixels, 2), found)
    with pytest.raises(InputError, match="here: .*sum to 1"):
        pool_own_map(refined, 2 * maps, image, superpixels, 2, "here")


def test_proposals_of_own_maps_are_refined_too() -> None:
    image = np.zeros((24, 40, 3), np.uint8)
    image[:, 20:] = 250
    maps = np.where(image[..., :1] > 0, [[[0.3, 0.7]]], [[[0.7, 0.3]]])
    maps[6:16, 26:34] = (0.6, 0.4)
    tree = {
        "name": "p",
        "dataset": {"name": "folder"},
        "superpixels": {"n_segments": 40},
        "crf": {"potts_weights": [0.0]},
        "proposals": {"n_proposals": 2},
    }
    plain, refined = (
        propose_image(image, maps, build_recipe(tree, "p", [f"unary.dense_crf={on}"])).labels(0)
        for on in ("false", "true")
    )
    assert (plain[6:16, 26:34] == 0).any()
    assert_array_equal(refined, image[..., 0] > 0)
