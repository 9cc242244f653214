"""Features of superpixels for the auxiliary classifier; none where a recipe has no classifier."""

from __future__ import annotations

import h5py

from rerank.config import Recipe
from rerank.engine.stage import Job, read_image, write_image
from rerank.stages.superpixel_features import Descriptor, make_descriptor, sampled


def auxiliary_descriptor(recipe: Recipe, weights: str | None) -> Descriptor | None:
    """A function from an image and its superpixels to features; None without the classifier.

    Parameters
    ----------
    recipe : Recipe
    weights : str or None
        File of backbone weights; needed for deep features.

    Returns
    -------
    callable or None
    """
    chosen = recipe.auxiliary
    if chosen.features is None:
        return None
    scales = recipe.unary.scales if chosen.scales is None else chosen.scales
    return make_descriptor(recipe, weights, chosen.features, scales)


def run(job: Job, file: h5py.File) -> None:
    """Write `features`, `sample` and `sample_histogram` of each image."""
    describe = auxiliary_descriptor(job.recipe, job.data.weights.backbone)
    if describe is None:
        return
    dataset = job.data.of(job.part)
    with job.open("superpixels") as regions:
        for index, image_id in enumerate(job.part.image_ids):
            arrays = read_image(regions, index, ("superpixels", "histogram"))
            values = describe(dataset.image(image_id), arrays["superpixels"])
            place = job.part.first + index
            write_image(file, index, sampled(values, arrays["histogram"], job.recipe, place))
