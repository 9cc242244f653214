"""The models of a finished run on new images."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rerank.applications.runs import open_models, write_run_file
from rerank.config import build_recipe
from rerank.datasets import open_dataset
from rerank.engine.folds import ALL, FINAL
from rerank.engine.graph import Graph
from rerank.engine.scheduler import run_graph
from rerank.engine.stage import read_image
from rerank.engine.store import Store
from rerank.errors import ConfigError, DataError, StoreError
from rerank.prediction import FinalModels
from rerank.ranking import proposal_beliefs
from rerank.result import Proposals, Result
from rerank.stages import run_data
from rerank.stages.pipeline import open_pipeline
from rerank.stages.ranking import load_scores


@pytest.fixture(scope="module")
def models(finished: Path) -> FinalModels:
    return open_models(finished)[0]


def test_prediction_repeats_what_the_run_found(
    finished: Path, models: FinalModels, make_graph
) -> None:
    assert_repeats(models, make_graph(finished))


def test_nothing_is_fitted_twice_where_no_image_is_held_out(tmp_path: Path, make_graph) -> None:
    graph = make_graph(tmp_path, ["holdout=0", "ranking.compared=[]", "report.ablation=false"])
    run_graph(graph)
    write_run_file(graph, None, finished=True)
    for stage in ("unaries", "segnet", "classifiers", "auxiliary"):
        with graph.reader().open(stage, "fold-00") as file:
            assert "holdout_maps" not in file and not len(file.get("holdout", ()))
    with graph.reader().open("unaries", FINAL) as file:
        assert file["model/temperature"][()] == 1 and file["holdout_ids"].shape == (0,)
    assert_repeats(open_models(tmp_path)[0], graph)


def assert_repeats(models: FinalModels, graph: Graph) -> None:
    with graph.job("pages").open("ranking", ALL) as file:
        scores = load_scores(file, FINAL)["svm"]
    with graph.job("pages").open("proposals", FINAL) as file:
        labelings = [read_image(file, i)["labelings"] for i in range(3)]
    assert graph.data.evaluate is not None
    for index in range(3):
        sample = graph.data.evaluate[index]
        found = models.predict(sample.image, image_id=sample.image_id)
        np.testing.assert_array_equal(found.proposals.labelings, labelings[index])
        # The run keeps features in half precision, a prediction does not.
        np.testing.assert_allclose(found.scores, scores[index], rtol=1e-2, atol=1e-3)
        assert found.labels.shape == sample.labels.shape


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((1, 1, 3), np.uint8),
        np.full((40, 30, 3), 200, np.uint8),
        np.arange(1 * 17 * 3, dtype=np.uint8).reshape(1, 17, 3),
    ],
)
def test_odd_images(models: FinalModels, image: np.ndarray) -> None:
    found = models.predict(image)
    assert found.labels.shape == image.shape[:2]
    assert np.isfinite(found.scores).all()


def test_a_result_says_why_it_was_kept() -> None:
    labelings = np.array([[0, 1], [0, 1], [1, 1]], np.uint8)
    proposals = Proposals(
        np.array([[0, 1]]), labelings, np.zeros(3), np.zeros(3), ("map", "a", "b")
    )
    found = Result(proposals, np.array([0.5, 0.4, 0.25]), 0)
    assert found.kept == (
        "Proposal 0 (map) has the highest score, 0.25 above the next different one, proposal 2."
    )
    np.testing.assert_array_equal(found.labels, [[0, 1]])
    same = Proposals(proposals.superpixels, labelings[:2], np.zeros(2), np.zeros(2), ("a", "b"))
    assert Result(same, np.array([1.0, 0.0]), 0).kept == "All proposals are the same."


def test_what_families_add_is_the_margin(finished: Path, models: FinalModels, make_graph) -> None:
    graph = make_graph(finished)
    for index in range(3):
        found = models.predict(graph.data.evaluate[index].image)
        sums = np.sum(list(found.family_scores.values()), axis=0)
        np.testing.assert_allclose(sums, found.scores, rtol=1e-9, atol=1e-12)
        # Of any choice, such as one that is made jointly.
        for chosen in range(len(found.proposals)):
            other = replace(found, chosen=chosen)
            assert sum(other.contributions.values()) == pytest.approx(other.margin, abs=1e-12)
            assert other.margin == found.scores[chosen] - found.scores[found.reference]
        sizes = [abs(value) for value in found.contributions.values()]
        assert sizes == sorted(sizes, reverse=True)


def test_beliefs_are_those_of_the_ranker(models: FinalModels, finished: Path, make_graph) -> None:
    found = models.predict(make_graph(finished).data.evaluate[0].image)
    weights = proposal_beliefs(found.scores, models.calibration.beliefs.temperature)
    labelings = found.proposals.labelings
    expected = weights @ (labelings == labelings[found.chosen])
    np.testing.assert_allclose(found.agreement, expected, atol=1e-12)
    assert found.disagreement is not None and found.class_beliefs is not None
    assert found.disagreement.shape == found.labels.shape
    np.testing.assert_allclose(found.class_beliefs.sum(axis=1), 1.0)
    other = replace(found, chosen=(found.chosen + 1) % len(labelings))
    np.testing.assert_allclose(
        other.agreement,
        weights @ (labelings == other.proposals.labelings[other.chosen]),
        atol=1e-12,
    )


def test_the_network_stands_in_the_reason() -> None:
    labelings = np.array([[0, 1], [0, 0], [1, 1]], np.uint8)
    proposals = Proposals(
        np.array([[0, 1]]), labelings, np.zeros(3), np.zeros(3), ("map", "network", "b")
    )
    found = Result(proposals, np.array([0.5, 0.2, 0.4]), 0)
    assert found.reference == 1 and found.margin == pytest.approx(0.3)
    assert found.kept.endswith("proposal 2, and 0.3 above the network's own labeling.")
    assert found.contributions == {} and found.agreement is None


def test_unfinished_run(tmp_path: Path, make_graph) -> None:
    with pytest.raises(StoreError, match="not a work folder"):
        open_models(tmp_path / "none")
    graph = make_graph(tmp_path / "w")
    with pytest.raises(StoreError, match="run.json: missing"):
        open_models(tmp_path / "w")
    write_run_file(graph, None)
    with pytest.raises(StoreError, match="finish the run"):
        open_models(tmp_path / "w")
    for name in ("run.json", "run.copy.json"):
        (tmp_path / "w" / name).write_text("{}")
    with pytest.raises(StoreError, match="run.json: damaged .*`rerank run RECIPE --work"):
        open_models(tmp_path / "w")


def maps_of(labels: np.ndarray, n_classes: int, rng: np.random.Generator) -> np.ndarray:
    """Noisy class probabilities around the truth, (H, W, C)."""
    known = np.where(labels == 255, 0, labels)
    logits = rng.normal(size=(*labels.shape, n_classes)) + 2.0 * np.eye(n_classes)[known]
    exp = np.exp(logits)
    return exp / exp.sum(axis=2, keepdims=True)


@pytest.mark.slow
def test_a_run_from_probability_maps(tmp_path: Path) -> None:
    folder = tmp_path / "maps"
    folder.mkdir()
    rng = np.random.default_rng(0)
    options = {"n_images": 6, "size": [48, 64]}
    for split in ("train", "val"):
        for sample in open_dataset("scenes", None, split, **options):
            np.save(folder / f"{sample.image_id}.npy", maps_of(sample.labels, 12, rng))
    tree = {
        "name": "maps",
        "dataset": {"name": "scenes", "options": options},
        "folds": {"n_folds": 2},
        "superpixels": {"n_segments": 30},
        "backbone": {"architecture": "small"},
        "classifiers": {"features": "appearance"},
        "unary": {"source": "probabilities", "probabilities": str(folder)},
        "crf": {"potts_weights": [0.5]},
        "proposals": {"generator": "div_mbest", "n_proposals": 3, "diversities": [0.1]},
        "segnet": {"grid": 4, "epochs_cross_entropy": 1, "epochs_mixed": 1},
        "ranking": {"C": 0.1},
        "report": {"n_bootstrap": 5, "ablation": False},
    }
    recipe = build_recipe(json.loads(json.dumps(tree)), "maps")
    graph = open_pipeline(recipe, Store(tmp_path / "work"))
    run_graph(graph)
    write_run_file(graph, None)
    models, _ = open_models(tmp_path / "work")
    sample = open_dataset("scenes", None, "test", **options)[0]
    with pytest.raises(ConfigError, match="--probabilities"):
        models.predict(sample.image)
    found = models.predict(sample.image, maps_of(sample.labels, 12, rng))
    assert (found.labels == sample.labels).mean() > 0.5
    # A changed map is a changed input.
    before = open_pipeline(recipe, Store(tmp_path / "work")).task("unaries", FINAL).ref
    np.save(folder / f"{graph.data.train.ids[0]}.npy", np.full((48, 64, 12), 1 / 12))
    run_data._map_digest.cache_clear()
    assert open_pipeline(recipe, Store(tmp_path / "work")).task("unaries", FINAL).ref != before
    (folder / f"{graph.data.train.ids[1]}.npy").unlink()
    with pytest.raises(DataError, match="no probability map"):
        open_pipeline(recipe, Store(tmp_path / "work"))
