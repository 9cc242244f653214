"""A whole run of a folder whose names and classes are odd, and allowed."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from rerank.cli import main
from rerank.config import Recipe
from rerank.datasets import open_dataset


@pytest.mark.slow
def test_names_that_are_not_ascii_and_classes_nowhere_and_everywhere(
    tmp_path: Path, tiny_recipe: Callable[..., Recipe]
) -> None:
    """The first class is in every image, and the last in none."""
    for part in ("images", "labels"):
        (tmp_path / part).mkdir()
    scenes = open_dataset("scenes", split="train", n_images=12, size=(64, 48))
    names = [f"\u00e9 {k}" if k % 2 else f"\u65e5\u672c.{k}" for k in range(len(scenes))]
    for name, sample in zip(names, scenes):
        labels = sample.labels.copy()
        labels[:3] = 0
        Image.fromarray(sample.image).save(tmp_path / "images" / f"{name}.PNG")
        Image.fromarray(labels).save(tmp_path / "labels" / f"{name}.png")
    classes = [f"\u043a\u043b\u0430\u0441\u0441 {k}" for k in range(scenes.n_classes + 1)]
    (tmp_path / "classes.txt").write_bytes("\r\n".join(classes).encode("utf-16"))
    (tmp_path / "train.txt").write_bytes(("\ufeff" + "\r\n".join(names[:9])).encode())
    (tmp_path / "val.txt").write_bytes("\r".join(f"{n}.png" for n in names[9:]).encode())
    tiny = tiny_recipe("dataset.name=folder", "dataset.options={}").model_dump(mode="json")
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(tiny), encoding="utf-8")
    work = str(tmp_path / "work")
    run = ["run", str(tmp_path / "tiny.yaml"), "--data-root", str(tmp_path), "--work", work]
    assert main([*run, "--jobs", "1", "--quiet"]) == 0
    assert main(["verify", "--work", work]) == 0
    image = tmp_path / "images" / f"{names[9]}.PNG"
    out = tmp_path / "out"
    assert main(["predict", "--work", work, str(image), "--out", str(out), "--quiet"]) == 0
    segmentation = np.array(Image.open(out / f"{names[9]}_segmentation.png"))
    assert segmentation.shape == scenes[9].labels.shape
    with open(out / "scores.csv", encoding="utf-8") as file:
        assert next(csv.DictReader(file))["image"] == names[9]
