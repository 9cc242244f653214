"""Folders of masks against labels, compared with scikit-learn."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import jaccard_score

from rerank.applications.folder_evaluation import MaskEvaluation, evaluate_folders
from rerank.cli.main import main
from rerank.datasets import save_labels_png, voc_palette
from rerank.errors import DataError, ManyProblemsError
from rerank.metrics import bootstrap_interval

IDS = ("a", "b", "c", "d", "e", "f")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Labels of 4 classes with void, a good and a bad prediction, both as palette PNGs."""
    rng = np.random.default_rng(0)
    for name in ("labels", "good", "bad"):
        (tmp_path / name).mkdir()
    for index, image_id in enumerate(IDS):
        truth = rng.integers(0, 4, (7 + index, 9))
        for name, wrong in (("good", 0.2), ("bad", 0.5)):
            drawn = np.where(
                rng.random(truth.shape) < wrong, rng.integers(0, 4, truth.shape), truth
            )
            save_labels_png(tmp_path / name / f"{image_id}.png", drawn, voc_palette())
        truth[:2, :3] = 255
        save_labels_png(tmp_path / "labels" / f"{image_id}.png", truth, voc_palette())
    return tmp_path


def read(path: Path) -> Any:
    return np.asarray(Image.open(path)).astype(int)


def test_measures_are_scikit_learns(data: Path) -> None:
    found = evaluate_folders(data / "labels", [data / "bad", data / "good"])
    truths = [read(data / "labels" / f"{name}.png") for name in IDS]
    for folder, evaluation in zip(("bad", "good"), found.evaluations):
        masks = [read(data / folder / f"{name}.png") for name in IDS]
        kept = [(t[t != 255], m[t != 255]) for t, m in zip(truths, masks)]
        every = np.concatenate([t for t, _ in kept]), np.concatenate([m for _, m in kept])
        assert evaluation.per_class == pytest.approx(jaccard_score(*every, average=None))
        assert evaluation.corpus_iou == pytest.approx(jaccard_score(*every, average="macro"))
        images = [jaccard_score(t, m, average="macro") for t, m in kept]
        assert evaluation.image_iou == pytest.approx(np.mean(images))
    assert found.class_names == ("0", "1", "2", "3")
    assert found.evaluations[0].corpus_gain is None
    gain = found.evaluations[1].corpus_gain
    assert gain == bootstrap_interval(found.counts[1], found.counts[0])
    assert gain is not None and gain.low > 0
    assert found.changed(1)[0] + found.changed(1)[1] <= len(IDS) and found.changed(0) == (0, 0)
    assert found.void_share == pytest.approx(6 * 6 / sum(t.size for t in truths))


def test_processes_change_nothing(data: Path) -> None:
    one = evaluate_folders(data / "labels", [data / "good"])
    two = evaluate_folders(data / "labels", [data / "good"], jobs=2)
    np.testing.assert_array_equal(one.counts[0].unions, two.counts[0].unions)
    assert one.image_ids == two.image_ids


def test_groups_are_resampled_whole(data: Path) -> None:
    (data / "groups.txt").write_text(
        "".join(f"{name}.png {k // 3}\n" for k, name in enumerate(IDS))
    )
    settings = MaskEvaluation(groups=data / "groups.txt")
    found = evaluate_folders(data / "labels", [data / "bad", data / "good"], settings)
    assert found.resampled == "2 groups of images"
    assert found.evaluations[1].image_gain == bootstrap_interval(
        found.counts[1], found.counts[0], "image", groups=np.array([0, 0, 0, 1, 1, 1])
    )


@pytest.mark.parametrize(
    "text, expected",
    [
        ("a 1\nb 1\n", "no group for 4 of 6 images: c, d, e, f"),
        ("a 1\na 2\n", "a is in two groups"),
        ("a\n", "'a' is not `name group`"),
        ("a 1\nb 1\nc 1\nd 1\ne 1\nf 1\n", "all images are in one group"),
    ],
)
def test_bad_groups(data: Path, text: str, expected: str) -> None:
    (data / "groups.txt").write_text(text)
    with pytest.raises(DataError, match=expected):
        evaluate_folders(
            data / "labels", [data / "good"], MaskEvaluation(groups=data / "groups.txt")
        )


def test_a_list_or_what_is_common(data: Path) -> None:
    (data / "good" / "a.png").unlink()
    (data / "labels" / "b.png").unlink()
    with pytest.raises(ManyProblemsError) as error:
        evaluate_folders(data / "labels", [data / "bad", data / "good"])
    lines = str(error.value).splitlines()
    assert len(lines) == 3
    assert lines[0].startswith(f"{data / 'bad'}: 1 predictions without labels")
    assert "good: no prediction for 1 of 5 images: a; add them" in lines[1]
    (data / "list.txt").write_text("c\nd.jpg\n")
    only = MaskEvaluation(only=data / "list.txt")
    assert evaluate_folders(data / "labels", [data / "good"], only).image_ids == ("c", "d")
    found = evaluate_folders(
        data / "labels", [data / "bad", data / "good"], MaskEvaluation(common=True)
    )
    assert (found.image_ids, found.n_left_out) == (("c", "d", "e", "f"), 2)


def test_names_that_do_not_match(data: Path) -> None:
    for path in list((data / "good").iterdir()):
        path.rename(path.with_name(f"new_{path.name}"))
    with pytest.raises(ManyProblemsError, match=r"such as a\.png, found such as new_a\.png"):
        evaluate_folders(data / "labels", [data / "good"])
    with pytest.raises(DataError, match="no image is in all folders"):
        evaluate_folders(data / "labels", [data / "good"], MaskEvaluation(common=True))


def _resize(data: Path) -> None:
    Image.fromarray(np.zeros((3, 4), np.uint8)).save(data / "good" / "a.png")


def _out_of_range(data: Path) -> None:
    Image.fromarray(np.full((7, 9), 9, np.uint8)).save(data / "good" / "a.png")


def _void(data: Path) -> None:
    Image.fromarray(np.full((7, 9), 255, np.uint8)).save(data / "good" / "a.png")


def _colours(data: Path) -> None:
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (7, 9, 3)).astype(np.uint8)).save(data / "good" / "a.png")


def _damaged(data: Path) -> None:
    (data / "good" / "a.png").write_bytes(b"no picture")


def _label(data: Path) -> None:
    Image.fromarray(np.full((7, 9), 200, np.uint8)).save(data / "labels" / "a.png")


@pytest.mark.parametrize(
    "spoil, expected",
    [
        (_resize, r"good/a.png: 4x3 pixels, and .*labels/a.png has 9x7; resize"),
        (_out_of_range, r"good/a.png: the values 9 are no class of 4; check --classes"),
        (_void, r"good/a.png: 57 of 57 labelled pixels have 255, which is void"),
        (_colours, r"good/a.png: a mask must hold one label a pixel.* RGB"),
        (_damaged, r"good/a.png: the mask cannot be read"),
        (_label, r"labels/a.png: the labels 200 are no class of 4; give the number of --classes"),
    ],
)
def test_bad_masks_are_one_line_each(
    data: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], None], expected: str
) -> None:
    spoil(data)
    (data / "bad" / "b.png").write_bytes(b"")
    call = ["evaluate", "--labels", data / "labels", data / "good", data / "bad", "--classes", "4"]
    assert main([str(word) for word in call]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and all(line.startswith("rerank: ") for line in lines)
    assert re.search(expected, lines[0])
    assert "bad/b.png" in lines[1]


def test_classes_come_from_a_file(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "names.txt").write_text("sky\nroad\ncar\nman\nhorse\n")
    call = ["evaluate", "--labels", str(data / "labels"), str(data / "good")]
    assert main([*call, "--classes", str(data / "names.txt")]) == 0
    assert "horse       0     -" in capsys.readouterr().out
    (data / "names.txt").rename(data / "classes.txt")
    assert main(call) == 0
    text = capsys.readouterr().out
    assert "6 images, 5 classes; " in text and "PASCAL VOC devkit" in text


def test_labels_of_one_class_are_refused(data: Path) -> None:
    for name in IDS:
        Image.fromarray(np.array([[0, 255]], np.uint8)).save(data / "labels" / f"{name}.png")
        Image.fromarray(np.array([[0, 255]], np.uint8)).save(data / "good" / f"{name}.png")
    with pytest.raises(DataError, match="no class but 0, and 255 is void; give --void none"):
        evaluate_folders(data / "labels", [data / "good"])
    found = evaluate_folders(data / "labels", [data / "good"], MaskEvaluation(void=None))
    assert found.evaluations[0].corpus_iou == 1.0


def test_json_and_csv_hold_the_same_numbers(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [str(data / "bad"), str(data / "good")]
    call = ["evaluate", "--labels", str(data / "labels"), *folders, "--bootstrap", "50"]
    assert main([*call, "--json", "--out", str(data / "out")]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["unit"] == "points" and shown["bootstrap"]["resampled"] == "images"
    with open(data / "out" / "folders.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["folder"] for row in rows] == ["bad", "good"]
    for row, folder in zip(rows, shown["folders"]):
        assert float(row["corpus_iou"]) == folder["corpus_iou"]
    with open(data / "out" / "images.csv") as file:
        images = {row["image"]: float(row["good"]) for row in csv.DictReader(file)}
    assert images == shown["folders"][1]["images"]
    with open(data / "out" / "classes.csv") as file:
        assert [float(row["bad"]) for row in csv.DictReader(file)] == list(
            shown["folders"][0]["class_iou"].values()
        )
    assert main([*call, "--quiet"]) == 0
    assert capsys.readouterr().out == ""


def test_folders_of_one_name_are_told_apart(data: Path) -> None:
    for name in ("x", "y"):
        (data / name).mkdir()
        (data / ("bad" if name == "x" else "good")).rename(data / name / "out")
    found = evaluate_folders(data / "labels", [data / "x" / "out", data / "y" / "out"])
    assert [e.name for e in found.evaluations] == ["x/out", "y/out"]
    with pytest.raises(DataError, match="given twice"):
        evaluate_folders(data / "labels", [data / "x" / "out", data / "x" / "out"])


def test_images_without_a_labelled_pixel(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(np.full((7, 9), 255, np.uint8)).save(data / "labels" / "a.png")
    assert main(["evaluate", "--labels", str(data / "labels"), str(data / "good")]) == 0
    assert "1 images have no labelled pixel" in capsys.readouterr().out


@pytest.mark.parametrize(
    "classes, expected", [("0", "expected 1 to 255"), ("none.txt", "cannot be read as text")]
)
def test_bad_numbers_of_classes(data: Path, classes: str, expected: str) -> None:
    with pytest.raises(DataError, match=expected):
        evaluate_folders(data / "labels", [data / "good"], MaskEvaluation(classes=classes))
