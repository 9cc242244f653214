"""Peak memory of each stage on small scenes: see `scaling.py memory`."""

from __future__ import annotations

import gc
import os
import traceback
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from rerank.config import build_recipe
from rerank.datasets import open_dataset
from rerank.engine.graph import Graph, Task
from rerank.engine.manifest import manifest_path, to_bytes
from rerank.engine.scheduler import compute
from rerank.engine.store import Store
from rerank.stages.pipeline import open_pipeline

#: One image of so many is judged, and no model sees it.
EVALUATED = 20
#: Scenes that are drawn.
DISTINCT = 200
#: MiB that a model is fitted on.
TRAINING_MEMORY = 8
RECIPE: dict[str, Any] = {
    "name": "memory",
    "dataset": {"name": "folder", "train": "train", "evaluate": "test"},
    "folds": {"n_folds": 2},
    "training_memory": TRAINING_MEMORY,
    "superpixels": {"n_segments": 40},
    "backbone": {"architecture": "small"},
    "classifiers": {"features": "appearance"},
    "unary": {"features": "appearance", "n_steps": 20, "hidden": 8, "max_per_image": 20},
    "auxiliary": {"features": "appearance"},
    "crf": {"potts_weights": [0.5, 1.0], "holdout_images": 20},
    "proposals": {"n_proposals": 5, "diversities": [0.1, 0.3]},
    "segnet": {"grid": 5, "epochs_cross_entropy": 1, "epochs_mixed": 1},
    "ranking": {"candidates": [0.01, 0.1]},
    "report": {"n_bootstrap": 20, "n_examples": 2},
}


#: Numbers of each stage by name.
Rows = dict[str, dict[str, float]]


def write_scenes(folder: Path, n_images: int) -> None:
    """Scenes of 48x64 pixels as files: images, masks, `train.txt` and `test.txt`.

    No more than `DISTINCT` are drawn; further ones are further names of the same.
    """
    scenes = open_dataset("scenes", None, "train", n_images=min(n_images, DISTINCT), size=(48, 64))
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    (folder / "classes.txt").write_text("\n".join(scenes.class_names) + "\n")
    ids = [f"{index:06d}" for index in range(n_images)]
    for index, image_id in enumerate(ids):
        if index >= DISTINCT:
            for name in ("images", "labels"):
                os.link(
                    folder / name / f"{ids[index % DISTINCT]}.png",
                    folder / name / f"{image_id}.png",
                )
            continue
        sample = scenes[index]
        Image.fromarray(sample.image).save(folder / "images" / f"{image_id}.png")
        Image.fromarray(sample.labels).save(folder / "labels" / f"{image_id}.png")
    (folder / "train.txt").write_text("".join(f"{i}\n" for i in ids if int(i) % EVALUATED))
    (folder / "test.txt").write_text("".join(f"{i}\n" for i in ids if int(i) % EVALUATED == 0))


def measure(n_images: int, folder: Path, first: Graph | None = None) -> tuple[Rows, Graph]:
    """Peak memory in MiB, seconds and bytes of each stage of a run on so many scenes.

    Each task is a process of its own, forked from this one, which has imported all and computed
    nothing. Where `first`, a finished run on fewer scenes, is given, files of whole shards are
    those of its first shard: what a shard costs does not depend on their number. All else is
    computed.
    """
    data = folder / f"data-{n_images}"
    if not data.is_dir():
        write_scenes(data, n_images)
    store = Store(folder / f"work-{n_images}")
    graph = open_pipeline(build_recipe(RECIPE, "memory"), store, str(data))
    for stage in graph.stages:
        stage.function()
    store.write_sets(graph.trained_on)
    gc.collect()
    gc.freeze()
    found: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for task in graph.tasks:
        name = task.stage.name
        taken = first is not None and _copied(graph, task, first)
        if not taken and not store.has(task.ref):
            _forked(graph, task)
        header = store.costs(task.ref)
        assert header is not None
        row = found[name]
        row["peak_mib"] = max(row["peak_mib"], header.peak_mib)
        row["cpu_seconds"] += header.cpu_seconds
        row["bytes"] += store.size(task.ref)
    return {name: dict(row) for name, row in found.items()}, graph


def _copied(graph: Graph, task: Task, first: Graph) -> bool:
    """Take over the file of another run's first shard, if it has as many images."""
    try:
        own = first.task(task.stage.name, f"{first.parts[0].name}-shard-000")
    except KeyError:
        return False
    if not task.stage.sharded or len(task.part.image_ids) != len(own.part.image_ids):
        return False
    if not first.store.has(own.ref):
        # It was temporary there, and is not read here.
        return False
    known, store = first.store.manifest(own.ref), graph.store
    path = store.path(task.ref)
    if path.exists():
        return True
    path.parent.mkdir(parents=True, exist_ok=True)
    os.link(first.store.path(own.ref), path)
    inputs = tuple(store.manifest(ref).digest for ref in task.inputs.values())
    costs = {name: getattr(known.header, name) for name in ("seconds", "cpu_seconds", "peak_mib")}
    header = replace(task.header(graph.recipe), input_digests=inputs, **costs)
    header = replace(header, settings=known.header.settings, versions=known.header.versions)
    manifest_path(path).write_bytes(to_bytes(known._replace(ref=task.ref, header=header)))
    return True


def _forked(graph: Graph, task: Task) -> None:
    """Compute a task in a process that ends with it."""
    child = os.fork()
    if child == 0:
        try:
            compute(graph, task)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status:
        raise RuntimeError(f"{task.ref} failed")


def table(found: dict[int, Rows]) -> str:
    """A line for each stage: its peak at each number of scenes."""
    sizes = sorted(found)
    lines = [
        "| stage | " + " | ".join(f"{n:,}" for n in sizes) + " |",
        "| --- " * (1 + len(sizes)) + "|",
    ]
    for name in found[sizes[0]]:
        peaks = (f"{found[n][name]['peak_mib']:.0f}" for n in sizes)
        lines.append(f"| {name} | " + " | ".join(peaks) + " |")
    most = (max(row["peak_mib"] for row in found[n].values()) for n in sizes)
    return "\n".join([*lines, "| highest | " + " | ".join(f"{peak:.0f}" for peak in most) + " |"])
