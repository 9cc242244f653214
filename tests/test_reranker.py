"""Door 1 in memory: what it finds is what a recipe over a work folder finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import rerank
from rerank.applications.runs import open_models, run
from rerank.config import build_propose_settings, build_recipe
from rerank.datasets import open_dataset
from rerank.engine.scheduler import ONE_AFTER_ANOTHER
from rerank.errors import ConfigError, DataError, InputError

SETTINGS = (
    "superpixels.n_segments=40",
    "crf.potts_weights=[0.5, 1.0]",
    "proposals.diversities=[0.1, 0.3]",
    "segnet.grid=5",
    "segnet.epochs_cross_entropy=1",
    "segnet.epochs_mixed=1",
    "ranking.candidates=[0.01, 0.1]",
)
N_CLASSES = 12


def maps_of(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Noisy class probabilities around the truth, (H, W, C)."""
    known = np.where(labels == 255, 0, labels)
    logits = rng.normal(size=(*labels.shape, N_CLASSES)) + 1.5 * np.eye(N_CLASSES)[known]
    exp = np.exp(logits)
    return exp / exp.sum(axis=2, keepdims=True)


@pytest.fixture(scope="module")
def given() -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
    """Images, network maps and labels."""
    rng = np.random.default_rng(0)
    samples = list(open_dataset("scenes", None, "train", n_images=20, size=(48, 64)))
    maps = [maps_of(sample.labels, rng) for sample in samples]
    return [s.image for s in samples], maps, [s.labels for s in samples]


@pytest.fixture(scope="module")
def fitted(given: tuple[list[np.ndarray], ...]) -> rerank.Reranker:
    return rerank.Reranker(5, n_folds=3, settings=SETTINGS).fit(*given)


@pytest.mark.slow
def test_it_chooses_as_a_recipe_over_the_same_maps_does(
    given: tuple[list[np.ndarray], ...], fitted: rerank.Reranker, tmp_path: Path
) -> None:
    images, maps, labels = given
    for name in ("images", "labels", "maps"):
        (tmp_path / name).mkdir()
    for index in range(len(images)):
        stem = f"{index:06d}"
        Image.fromarray(images[index]).save(tmp_path / "images" / f"{stem}.png")
        Image.fromarray(labels[index]).save(tmp_path / "labels" / f"{stem}.png")
        np.save(tmp_path / "maps" / f"{stem}.npy", maps[index])
    tree = fitted.recipe_.model_dump(mode="json")
    options = {"n_classes": N_CLASSES}
    tree["dataset"] = {"name": "folder", "train": "all", "evaluate": None, "options": options}
    tree["unary"]["probabilities"] = str(tmp_path / "maps")
    tree["report"] |= {"ablation": False, "generators": False, "n_bootstrap": 5}
    recipe = build_recipe(tree, "own maps")
    run(recipe, tmp_path, tmp_path / "work", execution=ONE_AFTER_ANOTHER)
    models, _ = open_models(tmp_path / "work")
    rng = np.random.default_rng(1)
    for sample in open_dataset("scenes", None, "val", n_images=4, size=(48, 64)):
        network_map = maps_of(sample.labels, rng)
        mine, theirs = (m.predict(sample.image, network_map) for m in (fitted, models))
        np.testing.assert_array_equal(mine.proposals.labelings, theirs.proposals.labelings)
        np.testing.assert_array_equal(mine.scores, theirs.scores)
        assert mine.chosen == theirs.chosen
        np.testing.assert_array_equal(mine.labels, theirs.labels)
        drawn = fitted.propose(sample.image, network_map)
        np.testing.assert_array_equal(drawn.labelings, mine.proposals.labelings)


def test_a_saved_one_predicts_the_same(
    given: tuple[list[np.ndarray], ...], fitted: rerank.Reranker, tmp_path: Path
) -> None:
    fitted.save(tmp_path / "model.h5")
    again = rerank.Reranker.load(tmp_path / "model.h5")
    image, network_map = given[0][0], given[1][0]
    one, two = fitted.predict(image, network_map), again.predict(image, network_map)
    np.testing.assert_array_equal(one.scores, two.scores)
    np.testing.assert_array_equal(one.labels, two.labels)
    assert again.n_proposals == 5 and again.n_folds == 3
    again.save(tmp_path / "copy.h5")
    assert (tmp_path / "copy.h5").read_bytes() == (tmp_path / "model.h5").read_bytes()
    assert (tmp_path / "model.h5").stat().st_size < 8 << 20


@pytest.mark.slow
def test_processes_and_one_after_another_fit_the_same(
    given: tuple[list[np.ndarray], ...], fitted: rerank.Reranker, tmp_path: Path
) -> None:
    again = rerank.Reranker(5, n_folds=3, settings=SETTINGS).fit(*given, n_jobs=2)
    for name, reranker in (("one", fitted), ("two", again)):
        reranker.save(tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_the_report_is_over_the_network(fitted: rerank.Reranker) -> None:
    report = fitted.report_
    names = [e.name for e in report.evaluations]
    assert names == ["argmax", "MAP", "fusion MAP", "choice", "gated choice", "oracle"]
    assert report.n_images == 20 and report.n_folds == 3
    network, oracle = report.evaluations[0], report.evaluations[-1]
    assert network.corpus_gain is None and oracle.image_gain is not None
    assert oracle.image_iou >= max(e.image_iou for e in report.evaluations)
    assert any("20 images are few" in note for note in report.notes)
    assert "gain over argmax" in str(report)


def test_maps_of_a_further_network_are_signals(
    given: tuple[list[np.ndarray], ...], tmp_path: Path
) -> None:
    images, maps, labels = given
    rng = np.random.default_rng(3)
    others = [maps_of(mask, rng) for mask in labels]
    reranker = rerank.Reranker(4, n_folds=2, settings=SETTINGS)
    reranker.fit(images, maps, labels, auxiliary=[others])
    weights = reranker.report_.chosen["weights of the signals"]
    # Of two networks that are equally good both count, and about the same.
    assert weights["auxiliary_map_1"] + weights["auxiliary_map_1_similar"] > 0.1
    one = reranker.predict(images[0], maps[0], auxiliary=[others[0]])
    two = reranker.predict(images[0], maps[0], auxiliary=[others[1]])
    assert (one.energies != two.energies).any()
    reranker.save(tmp_path / "m.h5")
    again = rerank.Reranker.load(tmp_path / "m.h5")
    found = again.predict(images[0], maps[0], auxiliary=[others[0]])
    np.testing.assert_array_equal(found.scores, one.scores)
    drawn = again.propose(images[0], maps[0], [others[0]])
    np.testing.assert_array_equal(drawn.labelings, one.proposals.labelings)
    with pytest.raises(ConfigError, match="maps of 1 auxiliary networks, got 0; .*--auxiliary"):
        again.predict(images[0], maps[0])
    with pytest.raises(InputError, match="auxiliary map 1"):
        again.predict(images[0], maps[0], [others[0][:5]])


def test_files_that_are_no_reranker(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="absent.h5: cannot be read"):
        rerank.Reranker.load(tmp_path / "absent.h5")
    (tmp_path / "bad.h5").write_bytes(b"nothing")
    with pytest.raises(DataError, match="bad.h5: not a saved reranker"):
        rerank.Reranker.load(tmp_path / "bad.h5")


def test_before_fit(given: tuple[list[np.ndarray], ...], tmp_path: Path) -> None:
    reranker = rerank.Reranker(4)
    image, network_map = given[0][0], given[1][0]
    with pytest.raises(NotFittedError, match="call fit"):
        reranker.predict(image, network_map)
    with pytest.raises(NotFittedError, match="call fit"):
        reranker.save(tmp_path / "m.h5")
    settings = build_propose_settings(["n_proposals=4"])
    np.testing.assert_array_equal(
        reranker.propose(image, network_map).labelings,
        rerank.propose(image, network_map, settings).proposals.labelings,
    )
    assert clone(reranker).get_params()["n_proposals"] == 4


def test_bad_input(given: tuple[list[np.ndarray], ...]) -> None:
    images, maps, labels = given
    fit = rerank.Reranker(3, n_folds=2).fit
    with pytest.raises(InputError, match="20 images and 19 maps"):
        fit(images, maps[:-1], labels)
    with pytest.raises(InputError, match="20 images and 19 label maps"):
        fit(images, maps, labels[:-1])
    with pytest.raises(InputError, match="image 0: expected .H, W, 3. uint8"):
        fit([images[0] / 255.0, *images[1:]], maps, labels)
    with pytest.raises(InputError, match="image 1: .*labels must be 0..11 or 255"):
        fit(images, maps, [labels[0], labels[1] + np.uint8(100), *labels[2:]])
    with pytest.raises(InputError, match="no images"):
        fit([], [], [])
    with pytest.raises(InputError, match="at least 20 labelled images, got 19; `rerank propose`"):
        fit(images[1:], maps[1:], labels[1:])
    with pytest.raises(InputError, match="20 images and 19 maps of auxiliary network 1"):
        fit(images, maps, labels, [maps[1:]])
    with pytest.raises(InputError, match="map of auxiliary network 1, 3: "):
        fit(images, maps, labels, [[*maps[:3], maps[3][:10], *maps[4:]]])
    with pytest.raises(ConfigError, match="n_jobs must be None, -1 or at least 1, got -2"):
        fit(*given, n_jobs=-2)
    with pytest.raises(ConfigError, match="50 folds need at least 50 training images"):
        rerank.Reranker(3, n_folds=50).fit(images, maps, labels)
    with pytest.raises(ConfigError, match="--set colour=1: colour: unknown key"):
        rerank.Reranker(3, settings=["colour=1"]).fit(images, maps, labels)
    with pytest.raises(InputError, match="map 3"):
        fit(images, [*maps[:3], maps[3][:10], *maps[4:]], labels)


def test_propose_finds_more_than_the_map_itself() -> None:
    sample = open_dataset("scenes", None, "val", n_images=1, size=(48, 64))[0]
    settings = build_propose_settings(["superpixels.n_segments=60", "n_proposals=6"])
    maps = maps_of(sample.labels, np.random.default_rng(0))
    found = rerank.propose(sample.image, maps, settings)
    channels_first = rerank.propose(sample.image, np.moveaxis(maps, 2, 0), settings)
    np.testing.assert_array_equal(found.proposals.labelings, channels_first.proposals.labelings)
    assert len(np.unique(found.proposals.labelings, axis=0)) > 1
    assert (found.labels == sample.labels).mean() > 0.7


def test_the_networks_own_labeling_is_a_proposal_pixel_for_pixel(
    given: tuple[list[np.ndarray], ...], fitted: rerank.Reranker
) -> None:
    images, maps, _ = given
    settings = build_propose_settings(["superpixels.n_segments=20", "n_proposals=2"])
    for image, network_map in zip(images[:3], maps[:3]):
        own = network_map.argmax(axis=2)
        for proposals in (
            rerank.propose(image, network_map, settings).proposals,
            rerank.propose(image, np.moveaxis(network_map, 2, 0), settings).proposals,
            fitted.predict(image, network_map).proposals,
        ):
            assert proposals.network is not None
            assert proposals.generators[0] == "map"
            np.testing.assert_array_equal(proposals.labels(proposals.network), own)


def test_too_few_proposals_for_the_network_and_map() -> None:
    with pytest.raises(ConfigError, match="n_proposals"):
        build_propose_settings(["n_proposals=1"])
    with pytest.raises(ConfigError, match="set it to 3 or more"):
        rerank.Reranker(2)._recipe()


def test_the_choice_without_training_has_the_highest_expected_iou(
    given: tuple[list[np.ndarray], ...],
) -> None:
    images, maps, _ = given
    settings = build_propose_settings(["superpixels.n_segments=30", "n_proposals=8"])
    found = rerank.propose(images[0], maps[0], settings)
    assert {"map", "network", "div_mbest", "posterior_samples"} >= set(found.proposals.generators)
    assert found.chosen == found.scores.argmax()
    assert (found.scores >= 0).all() and (found.scores <= 1).all()
    assert 0 <= found.confidence <= 1
    assert found.disagreement is not None and found.disagreement.shape == images[0].shape[:2]
    # Nearly all truths at one labeling: it is chosen without a doubt.
    sure = np.eye(N_CLASSES)[maps[0].argmax(axis=2)]
    settings = build_propose_settings(
        ["potts_weight=0", "samples.class_noise=0.01", "samples.region_noise=0"]
    )
    found = rerank.propose(images[0], sure, settings)
    own = found.proposals.network
    assert own is not None and (found.labels == found.proposals.labels(own)).all()
    assert found.confidence == 1.0 and found.disagreement is not None
    assert found.disagreement.max() == 0.0


def test_inference_is_of_divmbest_alone() -> None:
    with pytest.raises(ConfigError, match="generator=div_mbest"):
        build_propose_settings(["inference=icm"])
    assert build_propose_settings(["inference=icm", "generator=div_mbest"]).inference == "icm"
