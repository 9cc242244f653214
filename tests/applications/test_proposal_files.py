"""Folders of network maps to proposals."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rerank.applications.dense_crf_files import refine_files
from rerank.applications.folder_evaluation import MaskEvaluation, evaluate_folders
from rerank.applications.proposal_files import propose_files
from rerank.config import build_propose_settings
from rerank.datasets import open_dataset
from rerank.errors import ConfigError, DataError


def test_propose_files_and_their_errors(tmp_path: Path) -> None:
    images, maps = tmp_path / "images", tmp_path / "maps"
    images.mkdir()
    maps.mkdir()
    settings = ["superpixels.n_segments=30", "n_proposals=3"]
    with pytest.raises(DataError, match="no images"):
        propose_files(maps, images, tmp_path / "out", settings, quiet=True)
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(images / "a.png")
    with pytest.raises(DataError, match="no probability maps"):
        propose_files(maps, images, tmp_path / "out", settings, quiet=True)
    np.save(maps / "b.npy", np.full((20, 30, 2), 0.5))
    with pytest.raises(DataError, match=r"a.png: no prob.*\n.*b.npy: no"):
        propose_files(maps, images, tmp_path / "out", settings, quiet=True)
    (maps / "b.npy").rename(maps / "a.npy")
    found = propose_files(maps, images, tmp_path / "out", settings, quiet=True)
    assert len(found.segmentations) == 1 and found.report is None
    np.save(maps / "a.npy", np.full((20, 36, 2), 0.5))
    with pytest.raises(DataError, match=r"a.npy: expected \(20, 30, C\).*aspect"):
        propose_files(maps, images, tmp_path / "out", settings, quiet=True)
    bad = np.full((20, 30, 2), 0.5)
    bad[3, 4, 0] = np.nan
    np.save(maps / "a.npy", bad)
    with pytest.raises(Exception, match="a.npy.*(NaN|finite)"):
        propose_files(maps, images, tmp_path / "out", settings, quiet=True)
    (maps / "a.npy").write_bytes(b"nothing")
    with pytest.raises(DataError, match="a.npy: not a NumPy array"):
        propose_files(maps, images, tmp_path / "out", settings, quiet=True)


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """Folders of three drawn images, noisy maps of them, and their labels."""
    scenes = open_dataset("scenes", None, "test", n_images=3, size=(40, 56))
    rng = np.random.default_rng(0)
    for kind in ("images", "maps", "labels"):
        (tmp_path / kind).mkdir()
    for name, sample in zip("abc", scenes):
        truth = np.minimum(sample.labels, scenes.n_classes - 1)
        scores = 1.5 * np.eye(scenes.n_classes)[truth] + rng.normal(size=(40, 56, scenes.n_classes))
        Image.fromarray(sample.image).save(tmp_path / "images" / f"{name}.png")
        Image.fromarray(sample.labels.astype(np.uint8)).save(tmp_path / "labels" / f"{name}.png")
        np.save(tmp_path / "maps" / f"{name}.npy", scores)
    return tmp_path


SETTINGS = ["n_proposals=4", "superpixels.n_segments=40"]


def test_labels_give_the_table(labelled: Path) -> None:
    maps, images, labels, out = (labelled / k for k in ("maps", "images", "labels", "out"))
    found = propose_files(maps, images, out, SETTINGS, quiet=True, labels=labels)
    assert found.report is not None
    rules = {e.name: e for e in found.report.evaluations}
    assert list(rules) == ["argmax", "dense CRF", "MAP", "choice", "oracle"]
    # Judged pixel by pixel, from the files and the map, by another command's functions.
    (labelled / "argmax").mkdir()
    for name in "abc":
        own = np.load(maps / f"{name}.npy").argmax(axis=2).astype(np.uint8)
        Image.fromarray(own).save(labelled / "argmax" / f"{name}.png")
    refine_files(maps, images, labelled / "crf", quiet=True)
    n_classes = str(len(found.report.class_names))
    judged = evaluate_folders(
        labels, [labelled / "argmax", labelled / "crf", out], MaskEvaluation(n_classes), quiet=True
    )
    for rule, other in zip(("argmax", "dense CRF", "choice"), judged.evaluations):
        assert rules[rule].corpus_iou == pytest.approx(other.corpus_iou)
        assert rules[rule].image_iou == pytest.approx(other.image_iou)
    assert rules["choice"].corpus_gain is not None and rules["argmax"].corpus_gain is None
    assert rules["oracle"].image_iou >= max(
        r.image_iou for r in rules.values() if r.name in ("argmax", "MAP", "choice")
    )


def test_jobs_and_labels_change_no_file(labelled: Path) -> None:
    maps, images, labels = (labelled / k for k in ("maps", "images", "labels"))
    first, second = labelled / "one", labelled / "two"
    alone = propose_files(maps, images, first, SETTINGS, quiet=True)
    both = propose_files(maps, images, second, SETTINGS, quiet=True, jobs=2, labels=labels)
    assert [p.name for p in alone.segmentations] == [p.name for p in both.segmentations]
    for path in first.rglob("*.*"):
        assert path.read_bytes() == (second / path.relative_to(first)).read_bytes(), path
    with (first / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == ["a", "b", "c"]
    assert {"margin_over_network", "confidence", "kept", "changed", "change_1"} <= set(rows[0])
    assert np.array(Image.open(first / "a_disagreement.png")).dtype == np.uint8


def test_labels_are_checked_before_anything_is_computed(labelled: Path) -> None:
    maps, images, labels, out = (labelled / k for k in ("maps", "images", "labels", "out"))
    (labels / "a.png").unlink()
    Image.fromarray(np.zeros((9, 56), np.uint8)).save(labels / "b.png")
    Image.fromarray(np.full((40, 56), 77, np.uint8)).save(labels / "c.png")
    with pytest.raises(DataError) as error:
        propose_files(maps, images, out, SETTINGS, quiet=True, labels=labels)
    lines = str(error.value).splitlines()
    assert len(lines) == 3 and not out.exists()
    assert "a.png: no label" in lines[0] and "56x9 pixels" in lines[1] and "77" in lines[2]
    for path in list(labels.iterdir()):
        path.rename(labels / f"other_{path.stem}_x.png")
    with pytest.raises(DataError, match="no mask is called like an image"):
        propose_files(maps, images, out, SETTINGS, quiet=True, labels=labels)


def test_void_and_the_names_of_classes(labelled: Path) -> None:
    maps, images, labels, out = (labelled / k for k in ("maps", "images", "labels", "out"))
    for path in labels.iterdir():
        values = np.array(Image.open(path))
        values[:5] = 99
        Image.fromarray(values).save(path)
    with pytest.raises(DataError, match="99"):
        propose_files(maps, images, out, SETTINGS, quiet=True, labels=labels)
    n_classes = np.load(maps / "a.npy").shape[2]
    names = [f"kind{k}" for k in range(n_classes)]
    (labels / "classes.txt").write_text("\n".join(names))
    found = propose_files(maps, images, out, SETTINGS, quiet=True, labels=labels, void=99)
    assert found.report is not None and found.report.class_names == tuple(names)
    with (out / "a_scores.csv").open() as file:
        assert next(csv.DictReader(file))["classes"].startswith("kind")
    # The pixels of that label count nowhere: with other values there, the table is the same.
    for path in labels.glob("*.png"):
        values = np.array(Image.open(path))
        values[:5] = 255
        Image.fromarray(values).save(path)
    other = propose_files(maps, images, out, SETTINGS, quiet=True, labels=labels)
    assert str(other.report) == str(found.report)
    (labels / "classes.txt").write_text("one")
    with pytest.raises(DataError, match="names 1 classes, and the maps have"):
        propose_files(maps, images, out, SETTINGS, quiet=True, labels=labels)


@pytest.mark.parametrize("name", ["ranking.C", "fusion.enabled", "unary.features", "diversities"])
def test_settings_of_a_run_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"^--set {name}=1: {name.split('.')[0]}: unknown key"):
        build_propose_settings([f"{name}=1"])
