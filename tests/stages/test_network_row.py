"""A run with the user's own maps: the network is the first row, and gains are over it."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rerank.applications.export_files import Export, export_run
from rerank.applications.reports import export_report
from rerank.applications.runs import run
from rerank.config import build_recipe
from rerank.crf import map_inference
from rerank.datasets import open_dataset
from rerank.engine.graph import Graph
from rerank.engine.scheduler import ONE_AFTER_ANOTHER
from rerank.engine.stage import read_image
from rerank.errors import DataError, InputError
from rerank.evidence import colour_evidence, with_evidence
from rerank.metrics import IntersectionUnion, confusion_counts, corpus_iou, intersection_union
from rerank.potentials import affinity_weights
from rerank.potentials.energy_settings import potts_energy
from rerank.potentials.network_map import refine_map
from rerank.stages.crf_settings import load_choice
from rerank.stages.dense_crf import read_dense_crf
from rerank.stages.stored_probabilities import read_regions
from rerank.stages.superpixels import graph_of

N_CLASSES = 12


def own_folder(root: Path) -> Path:
    rng = np.random.default_rng(0)
    for name in ("images", "labels", "maps"):
        (root / name).mkdir(parents=True)
    for index, sample in enumerate(
        open_dataset("scenes", None, "train", n_images=12, size=(48, 64))
    ):
        known = np.where(sample.labels == 255, 0, sample.labels)
        logits = rng.normal(size=(*known.shape, N_CLASSES)) + 1.5 * np.eye(N_CLASSES)[known]
        exp = np.exp(logits)
        stem = f"{index:06d}"
        Image.fromarray(sample.image).save(root / "images" / f"{stem}.png")
        Image.fromarray(sample.labels).save(root / "labels" / f"{stem}.png")
        np.save(root / "maps" / f"{stem}.npy", exp / exp.sum(axis=2, keepdims=True))
    return root


def own_recipe(*overrides: str):
    tree = {
        "name": "own",
        "dataset": {
            "name": "folder",
            "train": "all",
            "evaluate": None,
            "options": {"n_classes": N_CLASSES},
        },
        "folds": {"n_folds": 2},
        "superpixels": {"n_segments": 40},
        "unary": {"source": "probabilities", "probabilities": "maps"},
        "crf": {"potts_weights": [0.5, 1.0], "prior_exponents": [0.0]},
        "proposals": {"n_proposals": 5, "diversities": [0.3]},
        "ranking": {"candidates": [0.01, 0.1], "compared": []},
        "report": {"n_bootstrap": 20, "n_examples": 2},
    }
    return build_recipe(tree, "own", overrides)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Graph, Path]:
    top = tmp_path_factory.mktemp("own")
    root = own_folder(top / "root")
    graph = run(own_recipe(), root, top / "work", execution=ONE_AFTER_ANOTHER)
    export_report(graph, top / "report")
    return graph, top


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text())))


def test_map_is_of_the_maps_and_the_image_s_colours(done: tuple[Graph, Path]) -> None:
    job, changed = done[0].reader(), 0
    with (
        job.open("crf_settings", "fold-00") as chosen,
        job.open("superpixels", "fold-00") as regions,
        job.open("unaries", "fold-00") as unaries,
        job.open("proposals", "fold-00") as proposals,
    ):
        settings = load_choice(chosen).unary
        for index in range(len(job.ids("fold-00"))):
            arrays, p = read_image(regions, index), read_regions(unaries, index)
            kernel = affinity_weights(arrays["region_values"], arrays["areas"])
            informed = with_evidence(p, colour_evidence(p, kernel, arrays["areas"]), 1.0)
            expected, without = (
                map_inference(potts_energy(q, graph_of(arrays), settings)).labeling
                for q in (informed, p)
            )
            drawn = read_image(proposals, index, ("labelings",))["labelings"]
            np.testing.assert_array_equal(drawn[0], expected)
            changed += int((expected != without).sum())
    assert changed


def test_the_network_is_the_first_row_and_gains_are_over_it(done: tuple[Graph, Path]) -> None:
    graph, top = done
    counts = []
    for sample in graph.data.train:
        argmax = graph.data.maps.read(sample.image_id).argmax(axis=2)
        counts.append(intersection_union(confusion_counts(sample.labels, argmax, N_CLASSES, 255)))
    expected = 100 * corpus_iou(IntersectionUnion.stack(counts)).mean
    rows = table(top / "report" / "rules_cross_fitted.csv")
    assert rows[0]["rule"] == "network"
    assert float(rows[0]["corpus_iou"]) == pytest.approx(expected, abs=1e-3)
    assert rows[0]["corpus_network_gain"] == ""
    keys = list(rows[0])
    assert keys.index("corpus_network_gain") < keys.index("corpus_gain")
    for row in rows[1:]:
        gain = float(row["corpus_iou"]) - float(rows[0]["corpus_iou"])
        assert float(row["corpus_network_gain"]) == pytest.approx(gain, abs=2e-3)
    assert table(top / "report" / "ablation.csv")[0]["rule"] == "network"
    classes = table(top / "report" / "classes_cross_fitted.csv")
    assert list(classes[0])[:2] == ["class", "network"]
    page = (top / "report" / "report.html").read_text()
    found = json.loads(re.search(r'id="numbers">(.*?)</script>', page, re.DOTALL)[1])
    assert found["reference"] == "the network"
    rules = {rule["name"]: rule for rule in found["populations"][0]["rules"]}
    row = next(r for r in rows if r["rule"] == "ranking SVM")
    # Gains are over the network first; those over MAP stand beside them.
    assert rules["ranking SVM"]["corpus"]["gain"][0] == float(row["corpus_network_gain"])
    assert rules["ranking SVM"]["corpus"]["map_gain"][0] == float(row["corpus_gain"])
    assert rules["network"]["corpus"]["gain"] is None
    assert {image["reference"] for image in found["images"]} != {0}
    assert "the network's" in found["gate"]["text"]
    assert not (top / "report" / "generators.csv").exists()


def test_the_networks_labeling_is_exported_pixel_for_pixel(done: tuple[Graph, Path]) -> None:
    graph, top = done
    wanted = Export("network", None, ("segmentations",))
    found = export_run(top / "work", top / "exported", wanted, quiet=True)
    assert found["images"] == len(graph.data.train)
    for image_id in graph.data.train.ids:
        labels = np.asarray(Image.open(top / "exported" / "segmentations" / f"{image_id}.png"))
        np.testing.assert_array_equal(labels, graph.data.maps.read(image_id).argmax(axis=2))
    with pytest.raises(InputError, match="no evaluation images"):
        export_run(top / "work", top / "exported", Export(images="evaluation"), quiet=True)


def test_the_dense_crf_is_that_of_the_pixel_maps(done: tuple[Graph, Path]) -> None:
    graph, _ = done
    folds = [part for part in graph.parts if part.image_ids]
    with graph.job("pages").open("dense_crf") as file:
        counts = read_dense_crf(file, [part.name for part in folds])
    assert counts is not None
    image_id = folds[0].image_ids[1]
    sample = graph.data.train[image_id]
    refined = refine_map(graph.data.maps.read(image_id), sample.image)
    found = intersection_union(
        confusion_counts(sample.labels, refined.argmax(axis=2), N_CLASSES, 255)
    )
    np.testing.assert_array_equal(counts.intersections[1], found.intersections)
    stages = {name for name, _ in graph.task("dense_crf").stage.inputs_with(graph.recipe)}
    assert stages == set()
    assert "maps" in graph.task("dense_crf").stage.reads_with(graph.recipe)


def test_wrong_files_are_named_before_anything_is_computed(tmp_path: Path) -> None:
    root = own_folder(tmp_path / "root")
    work = tmp_path / "work"
    with pytest.raises(DataError, match=f"{root}/elsewhere: no folder of network maps"):
        run(own_recipe("unary.probabilities=elsewhere"), root, work, execution=ONE_AFTER_ANOTHER)
    Image.new("L", (33, 44)).save(root / "labels" / "000003.png")
    with pytest.raises(DataError, match="000003.png: the mask is 33x44"):
        run(own_recipe(), root, tmp_path / "other", execution=ONE_AFTER_ANOTHER)
    assert not (tmp_path / "other" / "superpixels").exists()
