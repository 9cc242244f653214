"""How good each proposal is: its intersections and unions with the truth, class by class."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np

from rerank.engine.stage import Job, read_image, write_image
from rerank.metrics import majority_labels, region_intersection_union
from rerank.stages.proposals import NETWORK
from rerank.stages.stored_probabilities import read_regions


def run(job: Job, file: h5py.File) -> None:
    """Write intersections and unions with the truth of each image's proposals, of the labeling of
    its unaries (`unary_`), of the best that superpixels allow (`bound_`), and of the network's
    own labeling (`network_`) where the maps are the user's."""
    with (
        job.open("superpixels") as regions,
        job.open("proposals") as proposals,
        job.open("unaries") as unaries,
    ):
        for index in range(len(job.part.image_ids)):
            seen = read_image(regions, index)
            histogram = seen["histogram"]
            labelings = read_image(proposals, index, ("labelings",))["labelings"]
            probabilities = read_regions(unaries, job.part.first + index)
            # A superpixel without a labelled pixel counts nowhere: any class will do for it.
            bound = majority_labels(histogram, void=0)
            arrays: dict[str, Any] = {}
            others = {"unary_": probabilities.argmax(axis=1), "bound_": bound}
            if NETWORK in seen:
                others["network_"] = seen[NETWORK]
            for name, labeling in {"": labelings, **others}.items():
                counts = region_intersection_union(histogram, labeling)
                arrays[f"{name}intersections"] = counts.intersections.astype(np.int32)
                arrays[f"{name}unions"] = counts.unions.astype(np.int32)
            write_image(file, index, arrays)
