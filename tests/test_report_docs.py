"""The page about the report: its blocks run on a small finished run."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from rerank.cli.main import main

TEXT = (Path(__file__).parents[1] / "docs" / "report.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.M | re.S)


@pytest.fixture
def reader(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("work_a", "work_b"):
        shutil.copytree(finished, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_block_runs(reader: Path) -> None:
    for code in blocks("sh"):
        program, *words = shlex.split(code)
        assert program == "rerank"
        more = ["--jobs", "1"] if words[0] == "report" else ["--quiet"]
        assert main([*words, *more]) == 0, code
    assert (reader / "comparison" / "comparison.html").is_file()
    (script,) = blocks("python")
    exec(compile(script, "report.md", "exec"), {})
    written = sorted((reader / "exported" / "images").glob("*.json"))
    assert [p.stem for p in written] == sorted(
        p.stem for p in (reader / "exported" / "segmentations").glob("*.png")
    )
    # Polygons, drawn in the order of their classes' sizes, give the labeling back.
    classes = json.loads((reader / "exported" / "labels.json").read_text())["categories"]
    names = [c["name"] for c in classes]
    for path in written:
        content = json.loads(path.read_text())
        labels = np.asarray(Image.open(reader / "exported" / "segmentations" / f"{path.stem}.png"))
        assert (content["imageHeight"], content["imageWidth"]) == labels.shape
        drawn = np.full(labels.shape, 255, np.uint8)
        for shape in sorted(
            content["shapes"],
            key=lambda s: -cv2.contourArea(np.array(s["points"], dtype=np.float32)),
        ):
            polygon = np.array(shape["points"], dtype=np.int32)
            cv2.fillPoly(drawn, [polygon], names.index(shape["label"]))
        assert (drawn == labels).mean() > 0.95
        assert (reader / "exported" / "images" / content["imagePath"]).is_file()
