"""Full-size segmentations from the coarse SegNet alone (Cogswell et al. 2014, section 4)."""

from __future__ import annotations

import h5py
import numpy as np

from rerank.engine.hdf5 import write_arrays
from rerank.engine.stage import Job, read_image
from rerank.evidence.grid_cells import enlarge, superpixel_upsampling
from rerank.metrics import (
    IntersectionUnion,
    confusion_counts,
    intersection_union,
    region_intersection_union,
)
from rerank.stages.stored_probabilities import widened


def run(job: Job, file: h5py.File) -> None:
    """Write intersections and unions of both ways with the truth, one row per image.

    Nothing where the recipe has no SegNet.
    """
    if not job.recipe.segnet.enabled:
        return
    naive: list[IntersectionUnion] = []
    smooth: list[IntersectionUnion] = []
    dataset = job.data.of(job.part)
    with job.open("segnet") as own, job.open("superpixels") as regions:
        for index, image_id in enumerate(job.part.image_ids):
            segnet_map = widened(own["maps"][job.part.first + index])
            labels = dataset.labels(image_id)
            naive.append(
                intersection_union(
                    confusion_counts(
                        labels,
                        enlarge(segnet_map.argmax(axis=-1), labels.shape),
                        dataset.n_classes,
                        dataset.ignore_index,
                    )
                )
            )
            arrays = read_image(regions, index, ("superpixels", "histogram"))
            region_map = superpixel_upsampling(segnet_map, arrays["superpixels"])
            smooth.append(region_intersection_union(arrays["histogram"], region_map.argmax(axis=1)))
    for name, counts in (("naive", naive), ("superpixel", smooth)):
        group = file.create_group(name)
        if counts:
            write_arrays(group, vars(IntersectionUnion.stack(counts)))
        else:
            empty = np.zeros((0, dataset.n_classes), dtype=np.int64)
            write_arrays(group, {"intersections": empty, "unions": empty})
