"""`rerank rank` on folders: choices, tables, models, several annotators, and what is refused."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rerank.applications.mask_ranking import MaskRanking, rank_files
from rerank.cli.main import main
from rerank.datasets import open_dataset, read_index_mask, save_labels_png, voc_palette
from rerank.errors import ConfigError, DataError, ManyProblemsError
from rerank.metrics import confusion_counts, intersection_union, mean_image_iou
from rerank.metrics.counts import IntersectionUnion
from rerank.types import Array

SIZE = (36, 48)


def write(path: Path, labels: Array) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_labels_png(path, labels.astype(np.uint8), voc_palette())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """22 drawn scenes with three candidate masks each and labels by one and by two annotators."""
    root = tmp_path_factory.mktemp("masks")
    scenes, rng = open_dataset("scenes", None, "test", n_images=22, size=SIZE), None
    for index in range(len(scenes)):
        rng = np.random.default_rng(index)
        sample, name = scenes[index], f"img{index:02d}"
        (root / "images").mkdir(exist_ok=True)
        Image.fromarray(sample.image).save(root / "images" / f"{name}.png")
        write(root / "labels" / f"{name}.png", sample.labels)
        write(root / "two" / name / "ann.png", sample.labels)
        write(root / "two" / name / "bob.png", np.roll(sample.labels, 2, axis=1))
        truth = np.where(sample.labels == 255, 0, sample.labels)
        for k, source in enumerate(("a", "b", "c")):
            mask = np.roll(truth, 3 * k, axis=0)
            y, x = rng.integers(0, 24), rng.integers(0, 36)
            mask[y : y + 8, x : x + 10] = rng.integers(0, scenes.n_classes)
            write(root / "masks" / name / f"{source}.png", mask)
    (root / "classes.txt").write_text("\n".join(scenes.class_names) + "\n")
    return root


@pytest.fixture
def data(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture(scope="module")
def fitted(made: Path) -> Path:
    rank_files(
        made / "masks", made / "images", made / "fitted", MaskRanking(labels=made / "labels")
    )
    return made / "fitted"


def table(path: Path) -> list[dict[str, str]]:
    with open(path) as file:
        return list(csv.DictReader(file))


def test_the_consensus_without_labels(made: Path, tmp_path: Path) -> None:
    found = rank_files(made / "masks", made / "images", tmp_path / "out")
    assert found.rule == "consensus" and found.comparison is None
    for name, mask in found.chosen:
        rows = table(tmp_path / "out" / f"{name}_scores.csv")
        assert [row["mask"] for row in rows] == ["a", "b", "c"]
        best = max(rows, key=lambda row: float(row["consensus"]))
        assert best["mask"] == mask and best["chosen"] == "1" and "iou" not in best
        np.testing.assert_array_equal(
            read_index_mask(tmp_path / "out" / f"{name}_segmentation.png"),
            read_index_mask(made / "masks" / name / f"{mask}.png"),
        )
    assert "Distance" in (tmp_path / "out" / "report.html").read_text()
    assert {path.name for path in (tmp_path / "out").glob("*.*") if "img" not in path.name} == {
        "diversity.csv",
        "report.html",
    }


def test_a_ranker_is_fitted_and_judged_cross_fitted(made: Path, fitted: Path) -> None:
    rules = {row["rule"]: row for row in table(fitted / "rules.csv")}
    assert set(rules) == {
        *("a", "b", "c", "consensus", "majority vote of pixels", "ranker, cross-fitted"),
        *("oracle of each image", "oracle of the corpus"),
    }
    counts = []
    for path in sorted((made / "labels").iterdir()):
        chosen = read_index_mask(fitted / f"{path.stem}_segmentation.png")
        counts.append(intersection_union(confusion_counts(read_index_mask(path), chosen, 12)))
    expected = 100 * mean_image_iou(IntersectionUnion.stack(counts))
    own = rules["ranker, cross-fitted"]
    assert float(own["image_iou"]) == pytest.approx(expected, abs=1e-3)
    oracle = float(rules["oracle of each image"]["image_iou"])
    assert float(own["image_iou"]) <= oracle and oracle >= float(rules["a"]["image_iou"])
    # The best single source stands first, and gains are over it.
    assert table(fitted / "rules.csv")[0]["rule"] == "a" and rules["a"]["image_gain"] == ""
    assert len(table(fitted / "oracle.csv")) == 3
    assert len(table(fitted / "diversity.csv")) == 22


def test_the_judge_agrees_with_evaluate(
    made: Path, fitted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["evaluate", "--labels", str(made / "labels"), str(fitted), "--json"]
    assert main(call) == 0
    shown = json.loads(capsys.readouterr().out)["folders"][0]
    own = {row["rule"]: row for row in table(fitted / "rules.csv")}["ranker, cross-fitted"]
    for measure in ("corpus_iou", "image_iou"):
        assert float(own[measure]) == pytest.approx(shown[measure], abs=1e-3)


def test_a_model_ranks_new_images(made: Path, fitted: Path, data: Path) -> None:
    for name in sorted(path.name for path in (data / "masks").iterdir())[2:]:
        shutil.rmtree(data / "masks" / name)
    (data / "masks" / "img00" / "c.png").rename(data / "masks" / "img00" / "new.png")
    settings = MaskRanking(model=fitted / "ranker.h5", common=True)
    found = rank_files(data / "masks", data / "images", data / "out", settings)
    assert found.rule == "ranker" and [name for name, _ in found.chosen] == ["img00", "img01"]
    assert "it does not know new" in found.notes[0]
    with pytest.raises(ConfigError, match="--labels or --model"):
        both = MaskRanking(model=fitted / "ranker.h5", labels=data / "labels")
        rank_files(data / "masks", data / "images", data / "out", both)


def test_several_annotators(made: Path, tmp_path: Path) -> None:
    settings = MaskRanking(labels=made / "two", n_resamples=20)
    found = rank_files(made / "masks", made / "images", tmp_path / "out", settings)
    assert {row.annotations for row in found.diversity} == {2}
    one = rank_files(
        made / "masks",
        made / "images",
        tmp_path / "one",
        MaskRanking(labels=made / "labels", n_resamples=20),
    )
    # Two annotators that disagree are further from being one mask, and nearer to three.
    assert found.mean("energy_distance") != one.mean("energy_distance")
    assert found.comparison is not None and one.comparison is not None
    assert (found.comparison.counts[0].unions >= one.comparison.counts[0].unions).all()


def test_too_few_images_for_a_ranker(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "list.txt").write_text("img03\nimg01\n")
    call = ["rank", "--masks", data / "masks", "--images", data / "images", "--out", data / "out"]
    more = ["--labels", data / "labels", "--list", data / "list.txt", "--bootstrap", "0"]
    assert main([str(word) for word in (*call, *more)]) == 0
    shown = capsys.readouterr().out
    assert "no ranker is fitted: it needs 20 labelled images and there are 2" in shown
    assert "chosen by: consensus" in shown and not (data / "out" / "ranker.h5").exists()


def test_weights_and_baseline(data: Path) -> None:
    (data / "w.txt").write_text("a 0.001\nb 0.001\nc 1000\n")
    (data / "list.txt").write_text("img03\nimg01\n")
    settings = MaskRanking(
        labels=data / "labels", weights=data / "w.txt", baseline="b", only=data / "list.txt"
    )
    found = rank_files(data / "masks", data / "images", data / "out", settings)
    assert {mask for _, mask in found.chosen} == {"c"}
    assert found.comparison is not None and found.comparison.evaluations[0].name == "b"
    with pytest.raises(ConfigError, match="--baseline x: names that all images have are a, b, c"):
        rank_files(data / "masks", data / "images", data / "out", settings._replace(baseline="x"))
    for text, expected in (
        ("a 1\n", "no weight for the masks b, c"),
        ("a -1\n", "'a -1' is not `name weight`"),
        ("a\n", "'a' is not `name weight`"),
    ):
        (data / "w.txt").write_text(text)
        with pytest.raises(DataError, match=expected):
            rank_files(data / "masks", data / "images", data / "out", settings)


def _small(data: Path) -> None:
    write(data / "masks" / "img00" / "a.png", np.zeros((3, 4)))


def _range(data: Path) -> None:
    write(data / "masks" / "img00" / "a.png", np.full(SIZE, 99))


def _void(data: Path) -> None:
    write(data / "masks" / "img00" / "a.png", np.where(np.arange(48) > 3, 255, np.zeros(SIZE)))


def _colours(data: Path) -> None:
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 255, (*SIZE, 3)).astype(np.uint8))
    picture.save(data / "masks" / "img00" / "a.png")


def _label(data: Path) -> None:
    write(data / "labels" / "img00.png", np.full(SIZE, 77))


@pytest.mark.parametrize(
    "spoil, expected",
    [
        (_small, r"img00/a.png: 4x3 pixels, and .*img00.png has 48x36; resize"),
        (_range, r"img00/a.png: the values 99 are no class of \d+; check --classes"),
        (_void, r"img00/a.png: the values 255 are no class .* save 255 as 1"),
        (_colours, r"img00/a.png: a mask must hold one label a pixel.* RGB"),
        (_label, r"labels/img00.png: the values 77 are no class .* as --void"),
    ],
)
def test_bad_masks_are_one_line_each(
    data: Path, spoil: Callable[[Path], None], expected: str
) -> None:
    spoil(data)
    write(data / "masks" / "img01" / "b.png", np.zeros((2, 2)))
    with pytest.raises(ManyProblemsError, match=expected) as error:
        rank_files(
            data / "masks", data / "images", data / "out", MaskRanking(labels=data / "labels")
        )
    lines = str(error.value).splitlines()
    assert len(lines) == 2 and "img01/b.png" in lines[1]
    assert not (data / "out").exists()


def test_what_is_missing_is_listed(data: Path) -> None:
    (data / "images" / "img02.png").unlink()
    for path in (data / "masks" / "img03").iterdir():
        path.unlink()
    shutil.rmtree(data / "masks" / "img04")
    (data / "labels" / "img05.png").unlink()
    settings = MaskRanking(labels=data / "labels")
    with pytest.raises(ManyProblemsError) as error:
        rank_files(data / "masks", data / "images", data / "out", settings)
    lines = str(error.value).splitlines()
    assert f"{data / 'masks'}: no masks for 2 of 22 images: img03, img04; add" in lines[0]
    assert f"{data / 'images'}: no image for 1 of 22 images: img02; add" in lines[1]
    assert f"{data / 'labels'}: no labels for 1 of 22 images: img05; add" in lines[2]
    (data / "list.txt").write_text("img10\n")
    only = settings._replace(only=data / "list.txt")
    assert len(rank_files(data / "masks", data / "images", data / "out", only).chosen) == 1
    found = rank_files(
        data / "masks", data / "images", data / "out", settings._replace(common=True)
    )
    assert len(found.chosen) == 18 and "no ranker is fitted" in found.notes[0]


def test_folders_that_cannot_be_used(data: Path) -> None:
    with pytest.raises(DataError, match="give --out another folder"):
        rank_files(data / "masks", data / "images", data / "masks")
    with pytest.raises(DataError, match="no such folder; give the folder of the images"):
        rank_files(data / "masks", data / "none", data / "out")
    (data / "empty").mkdir()
    with pytest.raises(DataError, match="holds no masks .*as ID/NAME.png"):
        rank_files(data / "empty", data / "images", data / "out")
    with pytest.raises(DataError, match="no images"):
        rank_files(data / "masks", data / "empty", data / "out")
    (data / "masks" / "img00" / "a.bmp").write_bytes(b"")
    with pytest.raises(DataError, match="two masks are called a"):
        rank_files(data / "masks", data / "images", data / "out")


def test_json_and_quiet(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "list.txt").write_text("img03\nimg01\n")
    call = ["rank", "--masks", data / "masks", "--images", data / "images", "--out", data / "out"]
    call = [*map(str, call), "--list", str(data / "list.txt")]
    assert main([*call, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["rule"] == "consensus" and set(shown["chosen"]) == {"img01", "img03"}
    assert shown["diversity"]["energy_distance"] is None and shown["comparison"] is None
    assert main([*call, "--quiet"]) == 0
    assert capsys.readouterr().out == ""
