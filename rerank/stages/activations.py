"""The inputs of the coarse SegNet, computed once per image: the SegNets of all folds use them.

They are the activations of a pretrained backbone. The backbone `small` is trained with its head,
so its input is the warped image itself.
"""

from __future__ import annotations

from collections.abc import Callable

import h5py
import numpy as np

from rerank.config import Recipe
from rerank.engine.hdf5 import write_array
from rerank.engine.stage import Job
from rerank.nets import (
    backbone_activations,
    build_backbone,
    labelled_share,
    soft_target,
    torch_device,
    warp_image,
)
from rerank.types import Array


def make_coarse_input(recipe: Recipe, weights: str | None) -> Callable[[Array], Array]:
    """Make the function from an RGB image to the input of the recipe's SegNet.

    Parameters
    ----------
    recipe : Recipe
    weights : str or None
        File of backbone weights.

    Returns
    -------
    callable
        Gives activations (D, grid, grid) float16 of a backbone with weights; for `small` the
        warped image, (H, W, 3) uint8.
    """
    grid = (recipe.segnet.grid, recipe.segnet.grid)
    name = recipe.backbone.architecture
    if name == "small":
        size = build_backbone("small", None, 0).input_size(grid)
        return lambda image: warp_image(image, size)
    backbone = build_backbone(name, weights, recipe.random_state)
    backbone.to(torch_device(recipe.device))
    size = backbone.input_size(grid)
    return lambda image: backbone_activations(backbone, [image], size)[0].astype(np.float16)


def reads_inputs(recipe: Recipe) -> bool:
    """Whether any model reads the backbone's activations or the warped images."""
    of_backbone = recipe.classifiers.enabled and recipe.classifiers.features == "backbone"
    return recipe.segnet.enabled or of_backbone


def run(job: Job, file: h5py.File) -> None:
    """Write what is read of `inputs` and the coarse truth.

    The location prior reads `targets`, the SegNet also their `weights` and `inputs`, and image
    classifiers on the backbone's last map `inputs`.
    """
    with_inputs = reads_inputs(job.recipe)
    make = make_coarse_input(job.recipe, job.data.weights.backbone) if with_inputs else None
    grid = (job.recipe.segnet.grid, job.recipe.segnet.grid)
    dataset = job.data.of(job.part)
    inputs, targets, shares = [], [], []
    for image_id in job.part.image_ids:
        sample = dataset[image_id]
        if make is not None:
            inputs.append(make(sample.image))
        targets.append(soft_target(sample.labels, grid, dataset.n_classes, dataset.ignore_index))
        shares.append(labelled_share(sample.labels, grid, dataset.ignore_index))
    if with_inputs:
        # Without images there is no input whose type could be taken.
        write_array(file, "inputs", np.array(inputs) if inputs else np.zeros(0, dtype=np.uint8))
    write_array(file, "targets", np.array(targets, dtype=np.float32))
    if job.recipe.segnet.enabled:
        write_array(file, "weights", np.array(shares, dtype=np.float32))
