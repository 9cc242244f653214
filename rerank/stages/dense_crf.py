"""The fully connected CRF of Krähenbühl and Koltun 2011: a row of the report, and a refinement.

The row is what one gets from the unaries by the best-known CRF on pixels, by mean field and with
its customary parameters, instead of by the CRF over superpixels that is fitted here. It is
measured on the evaluation images alone.
"""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np

from rerank.config import Recipe
from rerank.hdf5 import write_arrays
from rerank.layers import dense_crf
from rerank.metrics import IntersectionUnion, confusion_counts, intersection_union
from rerank.nets.backbone_activations import torch_threads
from rerank.stages.base import Job, Stage, read_image
from rerank.types import Array, FloatArray


def refine(probabilities: FloatArray, image: Array) -> FloatArray:
    """Class probabilities of pixels (H, W, C) float32 after `dense_crf` with its defaults.

    Parameters
    ----------
    probabilities : (H, W, C) float array
    image : (H, W, 3) uint8 array
    """
    maps = np.ascontiguousarray(np.moveaxis(probabilities, 2, 0), dtype=np.float32)
    with torch_threads(1):
        return np.moveaxis(dense_crf(maps, image), 0, 2)


def read_dense_crf(file: h5py.File) -> IntersectionUnion | None:
    """Counts of the evaluation images, (n_images, n_classes); None where there are none."""
    if "unions" not in file:
        return None
    return IntersectionUnion(file["intersections"][()], file["unions"][()])


def _settings(recipe: Recipe) -> dict[str, Any]:
    return {"dense_crf": recipe.report.dense_crf}


def _run(job: Job, file: h5py.File) -> None:
    part = job.parts[-1]
    if not job.recipe.report.dense_crf or job.evaluate is None or not part.image_ids:
        return
    counts = []
    with job.open("superpixels", part.name) as regions, job.open("unaries", part.name) as unaries:
        for index, image_id in enumerate(part.image_ids):
            sample = job.evaluate[image_id]
            superpixels = read_image(regions, index, ("superpixels",))["superpixels"]
            probabilities = read_image(unaries, index)["probabilities"][superpixels]
            labels = refine(probabilities, sample.image).argmax(axis=2)
            counts.append(
                intersection_union(
                    confusion_counts(
                        sample.labels, labels, job.evaluate.n_classes, job.evaluate.ignore_index
                    )
                )
            )
    write_arrays(file, vars(IntersectionUnion.stack(counts)))


STAGE = Stage(
    "dense_crf",
    1,
    _settings,
    (("superpixels", "every"), ("unaries", "every")),
    _run,
    "the dense CRF",
    reads=("images",),
    split=False,
    cost=0.1,
)
