"""Features of superpixels for the classifier: made by hand, averaged activations, or both."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import h5py
import numpy as np
import torch

from rerank.config import Recipe
from rerank.engine.stage import Job, read_image, write_image
from rerank.errors import ConfigError
from rerank.nets import build_backbone, multi_layer_activations, torch_device
from rerank.potentials import appearance_features, deep_features, signed_root
from rerank.types import Array, FloatArray

#: Layers whose activations are averaged, by architecture; the last also over the whole image. Of a
#: model of timm they are its last three stages.
LAYERS = {
    "squeezenet1_0": ("fire4", "fire8", "fire9"),
    "caffenet": ("conv2", "conv4", "conv5"),
    "alexnet": ("conv2", "conv4", "conv5"),
}

#: From an image, (H, W, 3) uint8, and its superpixels, (H, W), to features, (n, D) float32.
Descriptor = Callable[[Array, Array], FloatArray]


def make_descriptor(
    recipe: Recipe,
    weights: str | None,
    features: str,
    scales: Sequence[float],
    architecture: str | None = None,
) -> Descriptor:
    """A function from an image and its superpixels to features.

    Parameters
    ----------
    recipe : Recipe
        For the backbone, and whether the image's mean is appended (`unary.image_mean`).
    weights : str or None
        File of backbone weights; needed for deep features.
    features : {"appearance", "deep", "both"}
    scales : sequence of float
        That the image is resized to for deep features.
    architecture : str, optional
        Of the backbone; that of `recipe.backbone` by default.

    Returns
    -------
    callable
        Gives (n, D) float features of an image (H, W, 3) uint8 and its superpixels (H, W).

    Raises
    ------
    ConfigError
        If features are deep and there are no weights.
    """
    parts: list[Descriptor] = []
    if features in ("appearance", "both"):
        whole = recipe.unary.image_mean
        parts.append(
            lambda image, superpixels: (
                appearance_features(image, superpixels, image_mean=whole).values
            )
        )
    if features in ("deep", "both"):
        name = recipe.backbone.architecture if architecture is None else architecture
        image_mean, device = recipe.unary.image_mean, torch_device(recipe.device)
        parts.append(_deep_descriptor(name, weights, scales, image_mean, device))

    def describe(image: Array, superpixels: Array) -> FloatArray:
        found = [part(image, superpixels) for part in parts]
        return found[0] if len(found) == 1 else np.concatenate(found, axis=1)

    return describe


def describe_whole(features: FloatArray, areas: FloatArray) -> FloatArray:
    """Features of a whole image: the mean by area and the maximum over its superpixels.

    Parameters
    ----------
    features : (n, D) float array
    areas : (n,) array
        Pixels.

    Returns
    -------
    (2D,) float32 array
    """
    mean = (features * (areas / areas.sum())[:, None]).sum(axis=0)
    return np.concatenate([mean, features.max(axis=0)]).astype(np.float32)


def draw_sample(histogram: Array, limit: int, index: int) -> Array:
    """Draw the superpixels of an image that models are fitted on, from the labelled ones.

    Parameters
    ----------
    histogram : (n, C) int array
        Labelled pixels.
    limit : int
    index : int
        Of the image; the seed of the draw.

    Returns
    -------
    (at most limit,) int array
        In ascending order.
    """
    labelled = np.flatnonzero(histogram.sum(axis=1) > 0)
    if len(labelled) <= limit:
        return labelled
    chosen = np.random.default_rng([0, index]).choice(labelled, limit, replace=False)
    return np.sort(chosen)


def unary_descriptor(recipe: Recipe, weights: str | None) -> Descriptor | None:
    """The function that gives the features that the classifier of stage 1 sees.

    Parameters
    ----------
    recipe : Recipe
    weights : str or None
        File of weights of `recipe.unary_backbone`.

    Returns
    -------
    callable or None
        None where stage 1 has no classifier.
    """
    chosen = recipe.unary
    if chosen.source != "classifier":
        return None
    name = recipe.unary_backbone.architecture
    return make_descriptor(recipe, weights, chosen.features, chosen.scales, name)


def shares_features(recipe: Recipe) -> bool:
    """Whether stage 1's classifier and the image classifiers see features of one kind."""
    same = recipe.unary.features == whole_image_features(recipe)
    return same and recipe.unary_backbone == recipe.backbone


def _deep_descriptor(
    name: str, weights: str | None, scales: Sequence[float], image_mean: bool, device: torch.device
) -> Descriptor:
    if weights is None:
        raise ConfigError(
            "deep features need pretrained weights; set backbone.weights=FILE, or "
            "features=appearance"
        )
    if name == "small":
        raise ConfigError(
            f"deep features need a pretrained backbone.architecture, one of "
            f"{', '.join(LAYERS)} or timm/NAME; got {name}"
        )
    backbone = build_backbone(name, weights)
    backbone.to(device)
    layers = LAYERS.get(name, backbone.spec.skip_layers)

    def describe(image: Array, superpixels: Array) -> FloatArray:
        blocks: list[FloatArray] = []
        for scale in scales:
            # Below the least size the last map would be empty; a small image is enlarged.
            size = backbone.suitable_size(
                (round(image.shape[0] * scale), round(image.shape[1] * scale))
            )
            maps = multi_layer_activations(backbone, image, layers, size=size)
            blocks.append(
                deep_features(
                    [layer.values for layer in maps],
                    superpixels,
                    strides=[layer.stride for layer in maps],
                    first_centres=[layer.first_centre for layer in maps],
                    position=not blocks,
                    image_mean=False,
                    square_root=True,
                )
            )
            if image_mean and len(blocks) == 1:
                mean = signed_root(maps[-1].values.mean(axis=(1, 2)))
                blocks[0] = np.concatenate([blocks[0], np.tile(mean, (len(blocks[0]), 1))], axis=1)
        return np.concatenate(blocks, axis=1)

    return describe


def whole_image_features(recipe: Recipe) -> str | None:
    """The features of superpixels that the image classifiers use, if they use any."""
    chosen = recipe.classifiers
    return chosen.features if chosen.enabled and chosen.features != "backbone" else None


def whole_image_descriptor(recipe: Recipe, weights: str | None) -> Descriptor | None:
    """The function that gives the features of superpixels that the image classifiers see.

    Parameters
    ----------
    recipe : Recipe
    weights : str or None
        File of weights of `recipe.backbone`.

    Returns
    -------
    callable or None
        None where no image classifier sees superpixels.
    """
    kind = whole_image_features(recipe)
    return None if kind is None else make_descriptor(recipe, weights, kind, recipe.unary.scales)


def run(job: Job, file: h5py.File) -> None:
    """Write what the recipe's models will read of each image.

    For the superpixel classifier `features` (n, D) float16, and of a sample of the labelled
    superpixels `sample` and `sample_histogram`; for the image classifiers `whole_image`. Nothing
    where there are neither.
    """
    recipe = job.recipe
    describe = unary_descriptor(recipe, job.data.weights.unary)
    describe_image = whole_image_descriptor(recipe, job.data.weights.backbone)
    if describe is None and describe_image is None:
        return
    dataset, shared = job.data.of(job.part), shares_features(recipe)
    with job.open("superpixels") as regions:
        for index, image_id in enumerate(job.part.image_ids):
            arrays = read_image(regions, index, ("superpixels", "areas", "histogram"))
            image, superpixels = dataset.image(image_id), arrays["superpixels"]
            values = None
            found = {}
            if describe is not None:
                values = describe(image, superpixels)
                place = job.part.first + index
                found = sampled(values, arrays["histogram"], recipe, place)
            if describe_image is not None:
                if values is None or not shared:
                    values = describe_image(image, superpixels)
                found["whole_image"] = describe_whole(values, arrays["areas"])
            write_image(file, index, found)


def sampled(values: FloatArray, histogram: Array, recipe: Recipe, index: int) -> dict[str, Array]:
    """Features of an image's superpixels as they are stored, and a sample to fit models on.

    Models read only the sample of each image: that keeps eleven models of a large data set
    affordable. It is the same for all seeds, which may then share these features.

    Parameters
    ----------
    values : (n, D) float array
    histogram : (n, C) int array
    recipe : Recipe
        For the most superpixels of an image, `unary.max_per_image`.
    index : int
        Of the image in its fold.

    Returns
    -------
    dict of arrays
        `features` (n, D) and `sample` (s, D), float16, and `sample_histogram` (s, C).
    """
    sample = draw_sample(histogram, recipe.unary.max_per_image, index)
    return {
        "features": values.astype(np.float16),
        "sample": values[sample].astype(np.float16),
        "sample_histogram": histogram[sample],
    }
