"""The fully connected CRF of Krähenbühl and Koltun 2011 on the unaries: a row of the report.

This is a baseline: the best-known CRF on pixels, solved by mean field with its customary
parameters, in place of the CRF over superpixels that is fitted here. Maps of the user's network are
refined pixel by pixel, as the CRF is customarily used, on all images: nothing is fitted. Other
unaries are spread over their superpixels first, on the evaluation images alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import h5py
import numpy as np

from rerank.datasets.dataset import Dataset, Sample
from rerank.engine.folds import FINAL, Part
from rerank.engine.hdf5 import write_arrays
from rerank.engine.stage import Job, read_image
from rerank.metrics import IntersectionUnion, confusion_counts, intersection_union
from rerank.potentials.network_map import refine_map
from rerank.stages.stored_probabilities import read_regions
from rerank.types import FloatArray


def read_dense_crf(file: h5py.File, parts: Sequence[str] = (FINAL,)) -> IntersectionUnion | None:
    """Counts of the images of some parts, (n_images, n_classes); None where one has none.

    Parameters
    ----------
    file : HDF5 file
        Of this stage.
    parts : sequence of str
        `final` and the folds whose images are wanted.

    Returns
    -------
    IntersectionUnion or None
    """
    groups = [file if part == FINAL else file.get(part) for part in parts]
    found = [(g["intersections"][()], g["unions"][()]) for g in groups if g and "unions" in g]
    if not found or len(found) < len(groups):
        return None
    return IntersectionUnion(*(np.concatenate(arrays) for arrays in zip(*found)))


def run(job: Job, file: h5py.File) -> None:
    """Write intersections and unions, where the recipe wants them: those of the evaluation images,
    and with the user's own maps those of each fold in a group of its name."""
    if not job.recipe.report.dense_crf:
        return
    own_maps = job.recipe.unary.source == "probabilities"
    for part in job.parts if own_maps else job.parts[-1:]:
        if part.image_ids:
            group = file if part.name == FINAL else file.create_group(part.name)
            refined = _refined_maps(job, part) if own_maps else _refined_unaries(job, part)
            write_arrays(group, vars(_counts(job.data.of(part), refined)))


def _counts(dataset: Dataset, refined: Iterator[tuple[Sample, FloatArray]]) -> IntersectionUnion:
    return IntersectionUnion.stack(
        [
            intersection_union(
                confusion_counts(
                    sample.labels,
                    probabilities.argmax(axis=2),
                    dataset.n_classes,
                    dataset.ignore_index,
                )
            )
            for sample, probabilities in refined
        ]
    )


def _refined_maps(job: Job, part: Part) -> Iterator[tuple[Sample, FloatArray]]:
    device = job.recipe.device
    for image_id in part.image_ids:
        sample = job.data.of(part)[image_id]
        network_map = job.data.map_of(image_id, sample.image)
        yield sample, refine_map(network_map.values, sample.image, network_map.void, device)


def _refined_unaries(job: Job, part: Part) -> Iterator[tuple[Sample, FloatArray]]:
    with job.open("superpixels", part.name) as regions, job.open("unaries", part.name) as unaries:
        for index, image_id in enumerate(part.image_ids):
            sample = job.data.of(part)[image_id]
            superpixels = read_image(regions, index, ("superpixels",))["superpixels"]
            probabilities = read_regions(unaries, index)[superpixels]
            yield sample, refine_map(probabilities, sample.image, None, job.recipe.device)
