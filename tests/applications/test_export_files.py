"""What is exported equals what the run chose."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rerank.applications.export_files import KINDS, Export, export_run
from rerank.datasets import find_map, read_image, read_map
from rerank.engine.stage import read_image as read_stored
from rerank.errors import InputError, StoreError
from rerank.metrics import IntersectionUnion, confusion_counts, corpus_iou, intersection_union
from rerank.stages.fusion import open_sources, read_probabilities


def rules_of(finished: Path) -> dict[str, float]:
    text = (finished / "report" / "rules_evaluation.csv").read_text()
    return {r["rule"]: float(r["corpus_iou"]) for r in csv.DictReader(io.StringIO(text))}


@pytest.mark.parametrize(
    "rule, name",
    [
        ("choice", "ranking SVM"),
        ("gated", "gated choice"),
        ("joint", "corpus-level choice"),
        ("map", "MAP"),
        ("oracle", "oracle of each image"),
    ],
)
def test_a_rule_exports_its_labelings(
    finished: Path, tmp_path: Path, make_graph, rule: str, name: str
) -> None:
    found = export_run(finished, tmp_path, Export(rule, None, ("segmentations",)), quiet=True)
    data = make_graph(finished).data.evaluate
    assert found["images"] == len(data) and found["written"] == ["choices.csv", "segmentations"]
    counts = []
    for sample in data:
        labels = np.asarray(Image.open(tmp_path / "segmentations" / f"{sample.image_id}.png"))
        table = confusion_counts(sample.labels, labels, data.n_classes, 255)
        counts.append(intersection_union(table))
    iou = 100 * corpus_iou(IntersectionUnion.stack(counts)).mean
    assert iou == pytest.approx(rules_of(finished)[name], abs=1e-3)


def test_all_kinds_of_files(finished: Path, tmp_path: Path, make_graph) -> None:
    graph = make_graph(finished)
    export_run(finished, tmp_path, Export(images="all", kinds=KINDS), quiet=True)
    ids = [i for part in graph.parts for i in part.image_ids]
    rows = list(csv.DictReader(io.StringIO((tmp_path / "choices.csv").read_text())))
    assert [row["image"] for row in rows] == ids
    panoptic = json.loads((tmp_path / "panoptic.json").read_text())
    boxes = json.loads((tmp_path / "labels.json").read_text())
    assert [image["file_name"] for image in boxes["images"]] == [f"{i}.png" for i in ids]
    assert {a["image_id"] for a in boxes["annotations"]} == set(range(1, len(ids) + 1))
    assert len({a["id"] for a in boxes["annotations"]}) == len(boxes["annotations"])
    assert [c["name"] for c in panoptic["categories"]] == list(graph.data.train.class_names)
    part = graph.parts[-1]
    image_id = part.image_ids[1]
    labels = np.asarray(Image.open(tmp_path / "segmentations" / f"{image_id}.png"))
    picture = np.asarray(Image.open(tmp_path / "panoptic" / f"{image_id}.png")).astype(int)
    np.testing.assert_array_equal(picture @ [1, 256, 65536] - 1, labels)
    index = ids.index(image_id)
    segments = panoptic["annotations"][index]["segments_info"]
    assert {s["id"]: s["area"] for s in segments} == {
        int(k) + 1: int((labels == k).sum()) for k in np.unique(labels)
    }
    # An overlay is the photograph where the class is black, and mixed with its colour elsewhere.
    photo = read_image(tmp_path / "images" / f"{image_id}.png")
    np.testing.assert_array_equal(photo, graph.data.evaluate.image(image_id))
    shown = np.asarray(Image.open(tmp_path / "overlays" / f"{image_id}.png"))
    black = ~graph.data.evaluate.palette.any(axis=1)[labels]
    np.testing.assert_array_equal(shown[black], photo[black])
    assert (shown[~black] != photo[~black]).any(axis=1).mean() > 0.9
    # Probabilities are read by the same reader as a network's maps.
    maps = read_map(find_map(tmp_path / "probabilities", image_id), labels.shape, 12)
    with open_sources(graph.job("features", "final")) as sources:
        regions = read_probabilities(sources, 1)["fusion"]
    with graph.job("features", "final").open("superpixels") as file:
        superpixels = read_stored(file, 1, ("superpixels",))["superpixels"]
    np.testing.assert_allclose(maps.values, regions[superpixels], atol=2e-3)


def test_what_cannot_be_exported(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not made from a network's maps"):
        export_run(finished, tmp_path, Export("network"), quiet=True)
    with pytest.raises(StoreError, match="not a work folder"):
        export_run(tmp_path / "none", tmp_path, Export(), quiet=True)
