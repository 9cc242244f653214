"""A dense network in stage 1: what is fitted on what, what is stored, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from rerank.applications.runs import open_models, write_run_file
from rerank.config import Recipe, build_propose_settings, build_recipe
from rerank.datasets import Dataset, fit_map, open_dataset
from rerank.engine.folds import FINAL
from rerank.engine.graph import Graph
from rerank.engine.hdf5 import read_arrays, read_strings
from rerank.engine.scheduler import run_graph
from rerank.engine.stage import read_image
from rerank.engine.store import Store
from rerank.errors import ConfigError, InputError
from rerank.nets import build_backbone
from rerank.potentials import at_temperature, dense_network_unary
from rerank.potentials.dense_network_unary import DenseNetworkTraining, DenseNetworkUnary
from rerank.potentials.network_map import map_to_regions
from rerank.stages.pipeline import STAGES, open_pipeline
from rerank.stages.stored_probabilities import as_stored, read_regions
from rerank.stages.unaries import read_held_out
from rerank.untrained import propose

# Each test here reads one run with networks, which takes long.
pytestmark = pytest.mark.slow

TREE: dict[str, Any] = {
    "name": "dense",
    "dataset": {"name": "scenes", "options": {"n_images": 8, "size": [48, 36]}},
    "folds": {"n_folds": 2},
    "holdout": 0.4,
    "superpixels": {"n_segments": 30},
    "backbone": {"architecture": "squeezenet1_0"},
    "classifiers": {"features": "backbone"},
    "unary": {"source": "dense_network", "features": "appearance", "max_per_image": 20},
    "dense_network": {
        "size": [48, 64],
        "epochs": 2,
        "batch_size": 4,
        "crf_layer": True,
        "crf_epochs": 1,
    },
    "crf": {"potts_weights": [0.5]},
    "proposals": {"generator": "div_mbest", "n_proposals": 3, "diversities": [0.1]},
    "segnet": {"grid": 4, "epochs_cross_entropy": 1, "epochs_mixed": 1},
    "ranking": {"C": 0.1},
    "report": {"n_bootstrap": 5, "n_examples": 2, "ablation": False, "generators": False},
}
SMALL = [
    "backbone.architecture=small",
    "classifiers.features=appearance",
    "dense_network.train_backbone=true",
]


def recipe_with(*overrides: str) -> Recipe:
    return build_recipe(json.loads(json.dumps(TREE)), "dense", overrides)


def save_weights(path: Path, seed: int = 0) -> Path:
    """Random weights of SqueezeNet under the names that rerank reads."""
    state = build_backbone("squeezenet1_0", random_state=seed).layers.state_dict()
    np.savez(path, **{name: value.numpy() for name, value in state.items()})
    return path


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """A finished run with a frozen SqueezeNet; tests read it and change nothing."""
    folder = tmp_path_factory.mktemp("dense")
    weights = save_weights(folder / "net.npz")
    found = open_pipeline(
        recipe_with(
            f"backbone.weights={weights}", "auxiliary.features=deep", "auxiliary.scales=[0.5, 1.0]"
        ),
        Store(folder / "work"),
    )
    write_run_file(found, None)
    run_graph(found)
    return found


def key_of(recipe: Recipe, work: Path, stage: str = "unaries") -> str:
    return open_pipeline(recipe, Store(work)).task(stage, FINAL).ref.key


@pytest.mark.slow
def test_a_run_ends_and_the_next_does_nothing(graph: Graph) -> None:
    again = open_pipeline(graph.recipe, graph.store)
    assert {row.state for row in again.status()} == {"fresh", "dropped"}
    assert run_graph(again) == 0
    with graph.job("pages").open("ranking"):
        pass
    with graph.store.open(graph.task("pages").ref) as file:
        page = bytes(file["files/report.json"][()]).decode()
        rules = bytes(file["files/rules_evaluation.csv"][()]).decode()
        others = bytes(file["files/rules_cross_fitted.csv"][()]).decode()
    assert "a dense network on squeezenet1_0 with a CRF layer" in page
    assert "an auxiliary classifier on deep features at scales 0.5, 1;" in page
    assert "\ndense CRF," in rules and "dense CRF" not in others


def test_a_run_that_was_killed_goes_on_to_the_same_bytes(graph: Graph, tmp_path: Path) -> None:
    """As if it had been killed while the networks of one fold were trained."""
    work = Path(shutil.copytree(graph.store.root, tmp_path / "work"))
    again = open_pipeline(graph.recipe, Store(work))
    ref = again.task("unaries", "fold-01").ref
    before = again.store.path(ref).read_bytes()
    again.store.remove(ref)
    run_graph(again)
    assert again.store.path(ref).read_bytes() == before


def test_prediction_repeats_what_the_run_found(graph: Graph) -> None:
    assert graph.data.evaluate is not None
    models, _ = open_models(graph.store.root)
    sample = graph.data.evaluate[1]
    with graph.job("proposals", FINAL).open("unaries") as file:
        stored = read_regions(file, 1)
        model = DenseNetworkUnary.from_arrays(
            read_arrays(file["model"]), 12, graph.recipe, graph.data.weights.backbone
        )
        assert not any("backbone" in name for name in file["model"])
        assert any("layer" in name for name in file["model"])
    with graph.job("proposals", FINAL).open("superpixels") as file:
        superpixels = read_image(file, 1)["superpixels"]
    with graph.job("pages").open("proposals", FINAL) as file:
        labelings = read_image(file, 1)["labelings"]
    found = model.predict_proba(sample.image, superpixels)
    assert_array_equal(as_stored(found), stored)
    assert_array_equal(models.predict(sample.image).proposals.labelings, labelings)
    assert_allclose(stored.sum(axis=1), 1.0, atol=1e-5)
    assert stored.std() > 0.01


def test_the_inner_fit_has_not_seen_the_held_out_images(graph: Graph) -> None:
    """Stored probabilities of held-out images are those of a network fitted without them."""
    job = graph.job("unaries", FINAL)
    with graph.job("crf_settings", FINAL).open("unaries") as file:
        held = read_strings(file["holdout_ids"])
        stored = read_held_out(file, held, held[0])
        temperature = float(file["model/temperature"][()])
    ids = [image_id for fold in job.other_folds for image_id in fold.image_ids]
    assert 0 < len(held) < len(ids) and set(held) < set(ids)
    assert not set(held) & set(job.part.image_ids)
    fold = next(fold for fold in job.other_folds if held[0] in fold.image_ids)
    with job.open("superpixels", fold.name) as file:
        superpixels = read_image(file, fold.image_ids.index(held[0]))["superpixels"]
    image = job.data.train.image(held[0])

    def fitted_on(kept: list[str]) -> np.ndarray:
        model = DenseNetworkTraining(
            job.recipe, job.data.train, kept, job.data.weights.backbone
        ).fit(np.arange(len(kept)))
        return at_temperature(model.predict_proba(image, superpixels), temperature)

    assert_allclose(fitted_on([i for i in ids if i not in held]), stored, atol=1e-3)
    assert np.abs(fitted_on(ids) - stored).max() > 2e-3


def test_activations_are_kept_once_a_part(monkeypatch: pytest.MonkeyPatch, graph: Graph) -> None:
    calls = []
    kept = dense_network_unary.keep_activations

    def counted(samples: Any, *rest: Any) -> Any:
        calls.append(len(samples))
        return kept(samples, *rest)

    monkeypatch.setattr(dense_network_unary, "keep_activations", counted)
    training = DenseNetworkTraining(
        graph.recipe, graph.data.train, graph.data.train.ids, graph.data.weights.backbone
    )
    one = training.fit(np.array([0, 2, 3]))
    training.fit(np.arange(4))
    assert calls == [len(graph.data.train)]
    alone = DenseNetworkTraining(
        graph.recipe,
        graph.data.train,
        [graph.data.train.ids[i] for i in (0, 2, 3)],
        graph.data.weights.backbone,
    )
    for name, value in alone.fit(np.arange(3)).to_arrays().items():
        assert_array_equal(value, one.to_arrays()[name])


def test_a_backbone_that_is_trained_goes_into_the_file() -> None:
    recipe = recipe_with(*SMALL, "dense_network.crf_layer=false", "unary.dense_crf=true")
    dataset: Dataset = open_dataset("scenes", None, "train", n_images=4, size=(36, 48))
    model = DenseNetworkTraining(recipe, dataset, dataset.ids, None).fit(np.arange(4))
    arrays = model.to_arrays()
    assert any("backbone" in name for name in arrays)
    image = dataset[0].image
    superpixels = np.arange(36 * 48).reshape(36, 48) // 100
    again = DenseNetworkUnary.from_arrays(arrays, 12, recipe, None)
    assert again.refined
    assert_array_equal(
        again.predict_proba(image, superpixels), model.predict_proba(image, superpixels)
    )
    plain = DenseNetworkUnary(model.source).predict_proba(image, superpixels)
    assert np.abs(plain - model.predict_proba(image, superpixels)).max() > 1e-3


def test_only_what_matters_is_in_the_key(tmp_path: Path) -> None:
    weights = [save_weights(tmp_path / f"{seed}.npz", seed) for seed in (0, 1)]

    def key(weight: Path, *overrides: str) -> str:
        return key_of(recipe_with(f"backbone.weights={weight}", *overrides), tmp_path / "w")

    plain = key(weights[0], "dense_network.crf_layer=false")
    for same in (
        "dense_network.crf_epochs=9",
        "unary.hidden=3",
        "unary.n_steps=7",
        "segnet.dropout=0.1",
    ):
        assert key(weights[0], "dense_network.crf_layer=false", same) == plain, same
    for other in (
        "dense_network.epochs=3",
        "dense_network.size=[50, 60]",
        "dense_network.loss=rmi(factor=2)",
        "unary.dense_crf=true",
        "holdout=0.3",
        "random_state=1",
    ):
        assert key(weights[0], "dense_network.crf_layer=false", other) != plain, other
    assert key(weights[1], "dense_network.crf_layer=false") != plain
    first = key(weights[0], "unary.source=classifier")
    assert key(weights[0], "unary.source=classifier", "dense_network.epochs=5") == first


def test_only_what_a_source_reads_decides_its_key() -> None:
    stage = next(stage for stage in STAGES if stage.name == "unaries")
    reads = {"classifier": (), "dense_network": ("weights",), "probabilities": ("maps",)}
    for source, expected in reads.items():
        recipe = recipe_with(*SMALL, f"unary.source={source}", "unary.probabilities=maps")
        assert stage.reads_with(recipe) == expected
        settings = stage.settings(recipe)
        assert ("hidden" in settings) == (source == "classifier")
        assert ("dense_network" in settings) == (source == "dense_network")


@pytest.mark.parametrize(
    "overrides, message",
    [
        ([], "classifiers.features=backbone needs pretrained weights; set backbone.weights"),
        (
            SMALL[1:2],
            "backbone.*squeezenet1_0 has no weights; set backbone.weights, or dense_network",
        ),
        (SMALL[:2], "small has no weights; set dense_network.train_backbone=true"),
        ([*SMALL, "dense_network.loss=dice"], "loss must be ce.*'dice'"),
        (
            [*SMALL, "unary.source=classifier", "unary.dense_crf=true"],
            "unary.dense_crf.*unary.source",
        ),
        (
            ["backbone.weights=any.npz", "dense_network.size=[24, 32]"],
            "24x32 is too small for squeezenet1_0",
        ),
        ([*SMALL, "dense_network.epochs=1"], "dense_network.epochs: .*greater than or equal to 2"),
        ([*SMALL, "dense_network.size=[0, 3]"], "dense_network.size.*got 0"),
        ([*SMALL, "dense_network.sice=3"], "dense_network.sice: unknown key .did you mean size"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overrides: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    save_weights(tmp_path / "any.npz")
    with pytest.raises(ConfigError, match=message):
        open_pipeline(recipe_with(*overrides), Store(tmp_path / "work"))


def test_own_maps_are_refined_before_they_are_averaged() -> None:
    image = np.zeros((12, 20, 3), np.uint8)
    image[:, 10:] = 250
    maps = np.where(image[..., :1] > 0, [[[0.3, 0.7]]], [[[0.7, 0.3]]])
    maps[4, 14] = (0.9, 0.1)
    superpixels = np.zeros((12, 20), np.int64)
    superpixels[:, 10:] = 1
    superpixels[4, 14] = 2

    def refined(given: np.ndarray, where: str = "") -> np.ndarray:
        found = fit_map(given, (12, 20), 2, where)
        return map_to_regions(found, image, superpixels, refined=True)

    assert_allclose(
        map_to_regions(fit_map(maps, (12, 20)), image, superpixels)[2], (0.9, 0.1), rtol=1e-6
    )
    assert refined(maps).argmax(axis=1).tolist() == [0, 1, 1]
    assert_allclose(refined(np.moveaxis(maps, 2, 0)), refined(maps))
    with pytest.raises(InputError, match="here: .*sum to 0.5, not 1"):
        refined(0.5 * maps, "here")


def test_proposals_of_own_maps_are_refined_too() -> None:
    image = np.zeros((24, 40, 3), np.uint8)
    image[:, 20:] = 250
    maps = np.where(image[..., :1] > 0, [[[0.3, 0.7]]], [[[0.7, 0.3]]])
    maps[6:16, 26:34] = (0.6, 0.4)
    common = ["superpixels.n_segments=40", "potts_weight=0", "n_proposals=2", "colours=0"]
    plain, refined = (
        propose(image, maps, build_propose_settings([*common, f"dense_crf={on}"])).proposals
        for on in ("false", "true")
    )
    assert (plain.labels(0)[6:16, 26:34] == 0).any()
    assert_array_equal(refined.labels(0), image[..., 0] > 0)
