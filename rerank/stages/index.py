"""What the data set holds: pixels of each class in each image; folds are made from it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import h5py
import numpy as np

from rerank.config import Recipe
from rerank.datasets import Dataset
from rerank.engine.hdf5 import write_array
from rerank.engine.stage import Job, Stage
from rerank.types import Array


def class_pixels(dataset: Dataset) -> Array:
    """Pixels of each class in each image, (n_images, n_classes) int64; void is left out."""

    def count(image_id: str) -> Array:
        labels = dataset.labels(image_id)
        kept = labels[labels != dataset.ignore_index]
        return np.bincount(kept, minlength=dataset.n_classes)[: dataset.n_classes]

    with ThreadPoolExecutor(2) as pool:
        rows = list(pool.map(count, dataset.ids))
    return np.array(rows, dtype=np.int64).reshape(len(rows), dataset.n_classes)


def _settings(recipe: Recipe) -> dict[str, Any]:
    return {"dataset": recipe.dataset.model_dump(mode="json")}


def _run(job: Job, file: h5py.File) -> None:
    rows = [class_pixels(job.train)]
    if job.evaluate is not None:
        rows.append(class_pixels(job.evaluate))
    write_array(file, "class_pixels", np.concatenate(rows))


STAGE = Stage("index", 1, _settings, (), _run, "reading the labels", reads=("images",), split=False)
