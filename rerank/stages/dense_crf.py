"""The fully connected CRF of Krähenbühl and Koltun 2011 on the unaries: a row of the report.

This is a baseline: the best-known CRF on pixels, solved by mean field with its customary
parameters, in place of the CRF over superpixels that is fitted here. It is measured on the
evaluation images alone.
"""

from __future__ import annotations

import h5py

from rerank.engine.hdf5 import write_arrays
from rerank.engine.stage import Job, read_image
from rerank.metrics import IntersectionUnion, confusion_counts, intersection_union
from rerank.potentials.network_map import refine_map


def read_dense_crf(file: h5py.File) -> IntersectionUnion | None:
    """Counts of the evaluation images, (n_images, n_classes); None where there are none."""
    if "unions" not in file:
        return None
    return IntersectionUnion(file["intersections"][()], file["unions"][()])


def run(job: Job, file: h5py.File) -> None:
    """Write intersections and unions of the evaluation images, where the recipe wants them."""
    part, dataset = job.parts[-1], job.data.evaluate
    if not job.recipe.report.dense_crf or dataset is None or not part.image_ids:
        return
    counts = []
    with job.open("superpixels", part.name) as regions, job.open("unaries", part.name) as unaries:
        for index, image_id in enumerate(part.image_ids):
            sample = dataset[image_id]
            superpixels = read_image(regions, index, ("superpixels",))["superpixels"]
            probabilities = read_image(unaries, index)["region_probabilities"][superpixels]
            labels = refine_map(probabilities, sample.image).argmax(axis=2)
            confusion = confusion_counts(
                sample.labels, labels, dataset.n_classes, dataset.ignore_index
            )
            counts.append(intersection_union(confusion))
    write_arrays(file, vars(IntersectionUnion.stack(counts)))
