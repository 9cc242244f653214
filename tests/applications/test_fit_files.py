"""`rerank fit`: folders in, one file of models out, which predicts as `Reranker` does."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import rerank
from rerank.applications.fit_files import FitFolders, fit_files, open_labelled
from rerank.cli.main import main
from rerank.datasets import open_dataset
from rerank.engine.scheduler import ONE_AFTER_ANOTHER
from rerank.errors import ConfigError, DataError, InputError

N_IMAGES, N_CLASSES = 20, 12
SETTINGS = [
    "superpixels.n_segments=40",
    "crf.potts_weights=[0.5, 1.0]",
    "crf.prior_exponents=[0.0]",
    "proposals.n_proposals=5",
    "proposals.diversities=[0.1, 0.3]",
    "proposals.pool_images=4",
    "proposals.final_pool_images=4",
    "ranking.candidates=[0.01, 0.1]",
    "folds.n_folds=2",
    "report.n_bootstrap=20",
]
SET = [part for setting in SETTINGS for part in ("--set", setting)]


def noisy(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    known = np.where(labels == 255, 0, labels)
    logits = rng.normal(size=(*labels.shape, N_CLASSES)) + 1.5 * np.eye(N_CLASSES)[known]
    exp = np.exp(logits)
    return (exp / exp.sum(axis=2, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("own")
    rng = np.random.default_rng(0)
    for name in ("images", "labels", "maps", "other"):
        (root / name).mkdir()
    scenes = open_dataset("scenes", None, "train", n_images=N_IMAGES, size=(48, 64))
    for index, sample in enumerate(scenes):
        stem = f"{index:06d}"
        Image.fromarray(sample.image).save(root / "images" / f"{stem}.png")
        Image.fromarray(sample.labels).save(root / "labels" / f"{stem}.png")
        for name in ("maps", "other"):
            np.save(root / name / f"{stem}.npy", noisy(sample.labels, rng))
    return root


def folders(root: Path, *auxiliary: str) -> FitFolders:
    return FitFolders(
        root / "maps", root / "images", root / "labels", tuple(root / a for a in auxiliary)
    )


def arguments(root: Path, out: Path) -> list[str]:
    names = {"probabilities": "maps", "images": "images", "labels": "labels"}
    given = [part for name, at in names.items() for part in (f"--{name}", str(root / at))]
    return ["fit", *given, "--out", str(out), "--jobs", "1"]


@pytest.fixture
def copy(own: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(own, tmp_path / "copy"))


def test_one_file_predicts_as_the_class_does(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "model.h5"
    assert main([*arguments(own, model), "--auxiliary", str(own / "other"), *SET]) == 0
    shown = capsys.readouterr().out
    for words in ("20 images, 12 classes, 2 folds", "gain over argmax", "oracle", str(model)):
        assert words in shown
    reranker = rerank.Reranker.load(model)
    names = [str(own / "images" / f"00000{k}.png") for k in range(2)]
    predict = ["predict", "--model", str(model), "--out", str(tmp_path / "out"), *names]
    maps = ["--probabilities", str(own / "maps")]
    assert main([*predict, *maps, "--auxiliary", str(own / "other"), "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    image = np.array(Image.open(own / "images" / "000001.png"))
    found = reranker.predict(
        image, np.load(own / "maps" / "000001.npy"), [np.load(own / "other" / "000001.npy")]
    )
    written = np.array(Image.open(tmp_path / "out" / "000001_segmentation.png"))
    np.testing.assert_array_equal(written, found.labels)
    assert main([*predict, *maps]) == 2
    assert "maps of 1 auxiliary networks, got 0" in capsys.readouterr().err
    assert main([*predict, "--auxiliary", str(own / "other")]) == 2
    assert "--auxiliary goes with --probabilities" in capsys.readouterr().err


def test_arrays_and_folders_fit_the_same(own: Path, tmp_path: Path) -> None:
    report = fit_files(folders(own), tmp_path / "m.h5", None, SETTINGS, ONE_AFTER_ANOTHER)
    ids = [f"{k:06d}" for k in range(N_IMAGES)]
    images = [np.array(Image.open(own / "images" / f"{i}.png")) for i in ids]
    labels = [np.array(Image.open(own / "labels" / f"{i}.png")) for i in ids]
    maps = [np.load(own / "maps" / f"{i}.npy") for i in ids]
    fitted = rerank.Reranker(5, n_folds=2, settings=SETTINGS).fit(images, maps, labels)
    assert report.chosen == fitted.report_.chosen
    for one, two in zip(report.evaluations, fitted.report_.evaluations):
        assert (one.corpus_iou, one.image_iou) == (two.corpus_iou, two.image_iou)
    again = rerank.Reranker.load(tmp_path / "m.h5")
    np.testing.assert_array_equal(
        again.predict(images[3], maps[3]).scores, fitted.predict(images[3], maps[3]).scores
    )


def test_the_table_as_json(own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arguments(own, tmp_path / "m.h5"), "--json", "--seed", "3", *SET]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["rule"] for row in found["rules"]] == [
        "argmax",
        "MAP",
        "fusion MAP",
        "choice",
        "gated choice",
        "oracle",
    ]
    assert found["n_images"] == N_IMAGES and found["unit"] == "points"
    assert found["rules"][0]["corpus_gain"] is None


def test_all_problems_at_once(copy: Path) -> None:
    (copy / "labels" / "000001.png").unlink()
    (copy / "maps" / "000002.npy").unlink()
    (copy / "other" / "000003.npy").unlink()
    with pytest.raises(DataError) as error:
        open_labelled(folders(copy, "other"))
    lines = str(error.value).splitlines()
    assert len(lines) == 3
    for line, stem in zip(lines, ("labels/000001", "maps/000002", "other/000003")):
        assert stem in line


def test_labels_that_do_not_fit(copy: Path) -> None:
    Image.fromarray(np.zeros((10, 12), np.uint8)).save(copy / "labels" / "000001.png")
    Image.fromarray(np.full((48, 64), 77, np.uint8)).save(copy / "labels" / "000004.png")
    with pytest.raises(DataError) as error:
        open_labelled(folders(copy))
    first, second = str(error.value).splitlines()
    assert "000001" in first and "000004" in second and "77" in second


def test_what_cannot_be_fitted(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--classes 5: 5 classes, and the maps .* have 12"):
        open_labelled(folders(copy), "5")
    with pytest.raises(ConfigError, match="expected a number, or a file of names"):
        open_labelled(folders(copy), "absent.txt")
    (tmp_path / "names.txt").write_text("\n".join(f"thing {k}" for k in range(N_CLASSES)))
    assert open_labelled(folders(copy), str(tmp_path / "names.txt")).class_names[2] == "thing 2"
    with pytest.raises(DataError, match="absent: no such folder; --images names one"):
        fit_files(folders(copy)._replace(images=copy / "absent"), tmp_path / "m.h5")
    with pytest.raises(DataError, match="name a file in a folder that exists"):
        fit_files(folders(copy), tmp_path / "absent" / "m.h5")
    with pytest.raises(ConfigError, match="a fit is of network maps"):
        fit_files(
            folders(copy), tmp_path / "m.h5", None, ["unary.source=classifier", "holdout=0.2"]
        )
    for stem in ("000000", "000001"):
        for name in ("images", "labels", "maps"):
            next((copy / name).glob(f"{stem}.*")).unlink()
    with pytest.raises(InputError, match="at least 20 labelled images, got 18"):
        fit_files(folders(copy), tmp_path / "m.h5")


@pytest.mark.slow
def test_the_recipe_runs_untouched(own: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    given = ["--data-root", str(own), "--work", str(work), "--jobs", "1"]
    few = ["--set", "report.n_bootstrap=5", "--set", "dataset.options={n_classes: 12}"]
    assert main(["run", "own_maps", *given, *few, *SET[:-2]]) == 0
    assert (work / "report" / "report.html").is_file()
    # Nothing is written that nothing reads.
    assert not list((work / "auxiliary_features").rglob("*.h5"))
    for stage in ("segnet", "upsampling"):
        sizes = [path.stat().st_size for path in (work / stage).rglob("*.h5")]
        assert sizes and max(sizes) < 1 << 15
    image = str(own / "images" / "000000.png")
    out = ["--out", str(tmp_path / "out"), "--probabilities", str(own / "maps"), image]
    assert main(["predict", "--work", str(work), *out]) == 0
