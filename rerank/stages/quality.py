"""How good each proposal is: its intersections and unions with the truth, class by class."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np

from rerank.engine.stage import Job, read_image, write_image
from rerank.metrics import majority_labels, region_intersection_union


def run(job: Job, file: h5py.File) -> None:
    """Write intersections and unions with the truth of each image's proposals, of the labeling of
    its unaries (`unary_`), and of the best that superpixels allow (`bound_`)."""
    with (
        job.open("superpixels") as regions,
        job.open("proposals") as proposals,
        job.open("unaries") as unaries,
    ):
        for index in range(len(job.part.image_ids)):
            histogram = read_image(regions, index, ("histogram",))["histogram"]
            labelings = read_image(proposals, index, ("labelings",))["labelings"]
            probabilities = read_image(unaries, index)["region_probabilities"]
            # A superpixel without a labelled pixel counts nowhere: any class will do for it.
            bound = majority_labels(histogram, void=0)
            arrays: dict[str, Any] = {}
            for name, labeling in (
                ("", labelings),
                ("unary_", probabilities.argmax(axis=1)),
                ("bound_", bound),
            ):
                counts = region_intersection_union(histogram, labeling)
                arrays[f"{name}intersections"] = counts.intersections.astype(np.int32)
                arrays[f"{name}unions"] = counts.unions.astype(np.int32)
            write_image(file, index, arrays)
