"""A pipeline that runs in a moment: the engine with three stages of small arrays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from rerank.config import Recipe, build_recipe
from rerank.engine.contents import Contents, Expected
from rerank.engine.folds import Part, make_parts
from rerank.engine.graph import Graph
from rerank.engine.hdf5 import write_array, write_strings
from rerank.engine.stage import Job, Stage, read_image, write_image
from rerank.engine.store import Store

_IDS = tuple(f"image_{index}" for index in range(6))


class _Data:
    def digests(self, kind: str, part: Part) -> list[str]:
        return [f"{kind} of {image_id}" for image_id in part.image_ids]


def _settings(recipe: Recipe) -> dict[str, Any]:
    return {"random_state": recipe.random_state}


def _contents_of_first(recipe: Recipe) -> Contents:
    return {
        "images/#/values": Expected("f8", ("n", 4), "each"),
        "images/#/labels": Expected("u1", ("n",), "each"),
    }


def _contents_of_second(recipe: Recipe) -> Contents:
    return {"mean": Expected("f8", (4,)), "names": Expected("S", (None,))}


def _contents_of_third(recipe: Recipe) -> Contents:
    return {"total": Expected("f8", (4,)), "scalar": Expected("f8", ())}


STAGES = (
    Stage("first", "first", 1, f"{__name__}:first", _settings, reads=("images",),
          contents=_contents_of_first),
    Stage("second", "second", 1, f"{__name__}:second", inputs=(("first", "fit"),), fits=True,
          contents=_contents_of_second),
    Stage("third", "third", 1, f"{__name__}:third", inputs=(("second", "every"),), split=False,
          contents=_contents_of_third),
)  # fmt: skip


def first(job: Job, file: h5py.File) -> None:
    """Numbers of each image."""
    for index, image_id in enumerate(job.part.image_ids):
        rng = np.random.default_rng([job.recipe.random_state, _IDS.index(image_id)])
        values = rng.random((50, 4))
        write_image(file, index, {"values": values, "labels": (values[:, 0] > 0.5).astype("u1")})


def second(job: Job, file: h5py.File) -> None:
    """Means over the other folds."""
    rows = []
    for fold in job.other_folds:
        with job.open("first", fold.name) as opened:
            rows += [read_image(opened, i)["values"].mean(0) for i in range(len(fold.image_ids))]
    write_array(file, "mean", np.mean(rows, axis=0))
    write_strings(file, "names", job.part.image_ids)


def third(job: Job, file: h5py.File) -> None:
    """Their sum."""
    total = np.zeros(4)
    for part in job.parts:
        with job.open("second", part.name) as opened:
            total += opened["mean"][()]
    write_array(file, "total", total)
    write_array(file, "scalar", total.sum())


def make_graph(work: Path, random_state: int = 0) -> Graph:
    """The toy pipeline over a work folder.

    Parameters
    ----------
    work : Path
    random_state : int
        Another one makes other artefacts.
    """
    tree = {"name": "toy", "dataset": {"name": "scenes"}, "random_state": random_state}
    parts = make_parts(_IDS[:4], np.array([0, 1, 0, 1]), _IDS[4:])
    return Graph(build_recipe(tree, "toy"), STAGES, parts, _Data(), Store(work))


def files_of(graphs: Sequence[Graph]) -> dict[str, bytes]:
    """The bytes of all artefacts, by their place in the work folder."""
    found = {}
    for graph in graphs:
        for task in graph.tasks:
            path = graph.store.path(task.ref)
            found[str(path.relative_to(graph.store.root))] = (
                path.read_bytes() if path.is_file() else b""
            )
    return found
