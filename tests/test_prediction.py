"""New images through a finished run, and probability maps of one's own."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from rerank.applications.proposal_files import propose_files, propose_image
from rerank.config import build_recipe
from rerank.datasets import open_dataset
from rerank.engine.folds import ALL, FINAL
from rerank.engine.stage import read_image
from rerank.engine.store import Store
from rerank.errors import ConfigError, DataError, StoreError
from rerank.prediction import Predictor, predict_files
from rerank.stages import Workflow
from rerank.stages.ranking import load_scores


@pytest.fixture(scope="module")
def predictor(finished: Path) -> Predictor:
    return Predictor(str(finished))


def test_prediction_repeats_what_the_run_found(
    finished: Path, predictor: Predictor, make_workflow
) -> None:
    workflow: Workflow = make_workflow(finished)
    assert workflow.evaluate is not None
    with workflow.job("pages").open("ranking", ALL) as file:
        scores = load_scores(file, FINAL)["svm"]
    with workflow.job("pages").open("proposals", FINAL) as file:
        labelings = [read_image(file, i)["labelings"] for i in range(3)]
    for index in range(3):
        sample = workflow.evaluate[index]
        found = predictor.predict(sample.image, sample.image_id)
        np.testing.assert_array_equal(found.labelings, labelings[index])
        # The run keeps features in half precision, a prediction does not.
        np.testing.assert_allclose(found.scores, scores[index], rtol=1e-2, atol=1e-3)
        assert found.labels().shape == sample.labels.shape


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((1, 1, 3), np.uint8),
        np.full((40, 30, 3), 200, np.uint8),
        np.arange(1 * 17 * 3, dtype=np.uint8).reshape(1, 17, 3),
    ],
)
def test_odd_images(predictor: Predictor, image: np.ndarray) -> None:
    found = predictor.predict(image)
    assert found.labels().shape == image.shape[:2]
    assert np.isfinite(found.scores).all()


def test_files(finished: Path, tmp_path: Path) -> None:
    image = open_dataset("scenes", None, "test", n_images=1, size=(48, 64))[0].image
    Image.fromarray(image).save(tmp_path / "a.png")
    Image.fromarray(image).convert("L").save(tmp_path / "grey.png")
    Image.fromarray(image).convert("RGBA").save(tmp_path / "alpha.png")
    images = [tmp_path / name for name in ("a.png", "grey.png", "alpha.png")]
    written = predict_files(str(finished), images, tmp_path / "out", quiet=True)
    assert [path.name for path in written] == [f"{i.stem}_segmentation.png" for i in images]
    with Image.open(written[0]) as picture:
        assert picture.mode == "P" and picture.size == (64, 48)
    with (tmp_path / "out" / "a_scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 5 == len(list((tmp_path / "out" / "a_proposals").iterdir()))
    chosen = [row for row in rows if row["chosen"] == "1"]
    assert len(chosen) == 1
    assert float(chosen[0]["score"]) == max(float(row["score"]) for row in rows)
    assert (tmp_path / "out" / "a_overlay.png").exists()


def test_bad_files(finished: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    with pytest.raises(DataError, match="broken.png"):
        predict_files(str(finished), [broken], tmp_path / "out", quiet=True)
    with pytest.raises(DataError, match="absent.png"):
        predict_files(str(finished), [tmp_path / "absent.png"], tmp_path / "out", quiet=True)
    with pytest.raises(DataError, match="two images are called a"):
        predict_files(
            str(finished),
            [tmp_path / "x" / "a.png", tmp_path / "a.png"],
            tmp_path / "out",
            quiet=True,
        )


def test_unfinished_run(tmp_path: Path, make_workflow) -> None:
    from rerank.prediction import write_run_file

    with pytest.raises(StoreError, match="not a work folder"):
        Predictor(str(tmp_path / "none"))
    workflow = make_workflow(tmp_path / "w")
    with pytest.raises(StoreError, match="run.json: missing"):
        Predictor(str(tmp_path / "w"))
    write_run_file(workflow)
    with pytest.raises(StoreError, match="finish the run"):
        Predictor(str(tmp_path / "w"))
    (tmp_path / "w" / "run.json").write_text("{}")
    with pytest.raises(StoreError, match="not readable"):
        Predictor(str(tmp_path / "w"))


def maps_of(labels: np.ndarray, n_classes: int, rng: np.random.Generator) -> np.ndarray:
    """Noisy class probabilities around the truth, (H, W, C)."""
    known = np.where(labels == 255, 0, labels)
    logits = rng.normal(size=(*labels.shape, n_classes)) + 2.0 * np.eye(n_classes)[known]
    exp = np.exp(logits)
    return exp / exp.sum(axis=2, keepdims=True)


def test_propose_finds_more_than_the_map_itself() -> None:
    recipe = build_recipe(
        {
            "name": "p",
            "dataset": {"name": "folder"},
            "superpixels": {"n_segments": 60},
            "proposals": {"n_proposals": 6},
        },
        "p",
    )
    sample = open_dataset("scenes", None, "val", n_images=1, size=(48, 64))[0]
    maps = maps_of(sample.labels, 12, np.random.default_rng(0))
    found = propose_image(sample.image, maps, recipe)
    channels_first = propose_image(sample.image, np.moveaxis(maps, 2, 0), recipe)
    np.testing.assert_array_equal(found.labelings, channels_first.labelings)
    assert len(np.unique(found.labelings, axis=0)) > 1
    assert (found.labels() == sample.labels).mean() > 0.7


def test_propose_files_and_their_errors(tmp_path: Path) -> None:
    images, maps = tmp_path / "images", tmp_path / "maps"
    images.mkdir()
    maps.mkdir()
    settings = ["superpixels.n_segments=30", "proposals.n_proposals=3"]
    with pytest.raises(DataError, match="no images"):
        propose_files(maps, images, tmp_path / "out", settings, quiet=True)
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(images / "a.png")
    with pytest.raises(DataError, match="no probability maps"):
        propose_files(maps, images, tmp_path / "out", settings, quiet=True)
    np.save(maps / "b.npy", np.full((20, 30, 2), 0.5))
    with pytest.raises(DataError, match="a.png: no probability map"):
        propose_files(maps, images, tmp_path / "out", settings, quiet=True)
    (maps / "b.npy").rename(maps / "a.npy")
    assert len(propose_files(maps, images, tmp_path / "out", settings, quiet=True)) == 1
    np.save(maps / "a.npy", np.full((20, 31, 2), 0.5))
    with pytest.raises(Exception, match="a.npy"):
        propose_files(maps, images, tmp_path / "out", settings, quiet=True)
    bad = np.full((20, 30, 2), 0.5)
    bad[3, 4, 0] = np.nan
    np.save(maps / "a.npy", bad)
    with pytest.raises(Exception, match="a.npy.*(NaN|finite)"):
        propose_files(maps, images, tmp_path / "out", settings, quiet=True)
    (maps / "a.npy").write_bytes(b"nothing")
    with pytest.raises(DataError, match="a.npy: not a NumPy array"):
        propose_files(maps, images, tmp_path / "out", settings, quiet=True)


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
        "unary": {
            "source": "probabilities",
            "features": "appearance",
            "probabilities": str(folder),
        },
        "crf": {"potts_weights": [0.5]},
        "proposals": {"generator": "div_mbest", "n_proposals": 3, "diversities": [0.1]},
        "segnet": {"grid": 4, "epochs_cross_entropy": 1, "epochs_mixed": 1},
        "ranking": {"C": 0.1},
        "report": {"n_bootstrap": 5, "ablation": False},
    }
    recipe = build_recipe(json.loads(json.dumps(tree)), "maps")
    workflow = Workflow(recipe, Store(tmp_path / "work"))
    workflow.run(quiet=True)
    from rerank.prediction import write_run_file

    write_run_file(workflow)
    predictor = Predictor(str(tmp_path / "work"))
    sample = open_dataset("scenes", None, "test", **options)[0]
    with pytest.raises(ConfigError, match="--probabilities"):
        predictor.predict(sample.image)
    found = predictor.predict(sample.image, "x", maps_of(sample.labels, 12, rng))
    assert (found.labels() == sample.labels).mean() > 0.5
    # A changed map is a changed input.
    np.save(folder / f"{workflow.train.ids[0]}.npy", np.full((48, 64, 12), 1 / 12))
    Workflow(recipe, Store(tmp_path / "work"))
    (folder / f"{workflow.train.ids[1]}.npy").unlink()
    with pytest.raises(DataError, match="no probability map"):
        from rerank.stages import workflow as module

        module._file_digest.cache_clear()
        Workflow(recipe, Store(tmp_path / "work"))


def test_a_ranker_without_ranges_is_of_an_older_version(copy: Path, make_workflow) -> None:
    path = make_workflow(copy).store.path(make_workflow(copy).task("ranking", ALL).ref)
    with h5py.File(path, "a") as file:
        del file["model/lowest"]
    with pytest.raises(StoreError, match="older rerank.*finish the run again"):
        Predictor(str(copy))
