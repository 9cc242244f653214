"""Image files through a finished run."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from PIL import Image

from rerank.applications.prediction_files import PredictionMaps, predict_files
from rerank.datasets import open_dataset
from rerank.errors import ConfigError, DataError


def test_files(finished: Path, tmp_path: Path) -> None:
    image = open_dataset("scenes", None, "test", n_images=1, size=(48, 64))[0].image
    Image.fromarray(image).save(tmp_path / "a.png")
    Image.fromarray(image).convert("L").save(tmp_path / "grey.png")
    Image.fromarray(image).convert("RGBA").save(tmp_path / "alpha.png")
    images = [tmp_path / name for name in ("a.png", "grey.png", "alpha.png")]
    written = predict_files(finished, images, tmp_path / "out", quiet=True)
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
    with Image.open(tmp_path / "out" / "a_disagreement.png") as picture:
        assert picture.mode == "L" and picture.size == (64, 48)
    with (tmp_path / "out" / "scores.csv").open() as file:
        summary = list(csv.DictReader(file))
    assert [row["image"] for row in summary] == ["a", "grey", "alpha"]
    assert summary[0]["proposal"] == chosen[0]["proposal"]
    assert summary[0]["margin_over_map"] == chosen[0]["margin_over_map"]
    assert summary[0]["changed"] == chosen[0]["changed"]


def test_bad_files(finished: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    with pytest.raises(DataError, match="broken.png"):
        predict_files(finished, [broken], tmp_path / "out", quiet=True)
    with pytest.raises(DataError, match="absent.png: no such image, and no such folder"):
        predict_files(finished, [tmp_path / "absent.png"], tmp_path / "out", quiet=True)
    (tmp_path / "x").mkdir()
    for folder in (tmp_path, tmp_path / "x"):
        (folder / "a.png").touch()
    with pytest.raises(DataError, match="two images are called a"):
        predict_files(
            finished, [tmp_path / "x" / "a.png", tmp_path / "a.png"], tmp_path / "out", quiet=True
        )
    (tmp_path / "x" / "a.jpg").touch()
    with pytest.raises(DataError, match="a.jpg.*keep one of them|a.png.*keep one of them"):
        predict_files(finished, [tmp_path / "x"], tmp_path / "out", quiet=True)
    with pytest.raises(ConfigError, match="--auxiliary goes with --probabilities"):
        maps = PredictionMaps(None, (tmp_path,))
        predict_files(finished, [tmp_path / "a.png"], tmp_path / "out", maps, quiet=True)


def test_a_folder_by_two_processes_gives_the_same_files(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for index, sample in enumerate(open_dataset("scenes", None, "test", n_images=3, size=(32, 40))):
        Image.fromarray(sample.image).save(folder / f"{'cab'[index]}.png")
    (folder / "notes.txt").touch()
    found = []
    for given, jobs in (([folder / "b.png", folder / "c.png", folder / "a.png"], 1), ([folder], 2)):
        out = tmp_path / f"out{jobs}"
        written = predict_files(finished, given, out, quiet=True, jobs=jobs)
        assert len(written) == 3
        found.append({p.relative_to(out): p.read_bytes() for p in out.rglob("*.png")})
    assert [path.name[0] for path in written] == ["a", "b", "c"]
    assert found[0] == found[1]
