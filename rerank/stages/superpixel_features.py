"""What the superpixel classifier sees: features made by hand, pooled activations, or both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import h5py
import numpy as np

from rerank.config import Recipe
from rerank.engine.stage import Job, Stage, read_image, write_image
from rerank.errors import ConfigError
from rerank.nets import build_backbone, load_backbone_weights, multi_layer_activations
from rerank.potentials import appearance_features, deep_features
from rerank.types import Array, FloatArray

#: Layers whose activations are pooled, by architecture; the last also over the whole image.
LAYERS = {
    "squeezenet1_0": ("fire4", "fire8", "fire9"),
    "caffenet": ("conv2", "conv4", "conv5"),
    "alexnet": ("conv2", "conv4", "conv5"),
}

Descriptor = Callable[[Array, Array], FloatArray]


def make_descriptor(
    recipe: Recipe, weights: str | None, features: str, scales: Sequence[float]
) -> Descriptor:
    """A function from an image and its superpixels to features, (n, D) float32.

    Parameters
    ----------
    recipe : Recipe
    weights : str or None
        File of backbone weights; needed for deep features.
    features : {"appearance", "deep", "both"}
    scales : sequence of float
        That the image is resized to for deep features.
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
        parts.append(_deep_descriptor(recipe, weights, scales))

    def describe(image: Array, superpixels: Array) -> FloatArray:
        found = [part(image, superpixels) for part in parts]
        return found[0] if len(found) == 1 else np.concatenate(found, axis=1)

    return describe


def pooled(features: FloatArray, areas: FloatArray) -> FloatArray:
    """Area-weighted mean and maximum over the superpixels: what an image classifier sees, (2D,)."""
    mean = (features * (areas / areas.sum())[:, None]).sum(axis=0)
    return np.concatenate([mean, features.max(axis=0)]).astype(np.float32)


def posterior_scales(recipe: Recipe) -> tuple[float, ...]:
    """Of the second classifier's deep features: its own, or those of stage 1's."""
    own = recipe.posterior.scales
    return recipe.unary.scales if own is None else own


def _deep_descriptor(recipe: Recipe, weights: str | None, scales: Sequence[float]) -> Descriptor:
    if weights is None:
        raise ConfigError(
            "deep features need pretrained weights; set backbone.weights, or "
            "unary.features=appearance and posterior.features=null"
        )
    name = recipe.backbone.architecture
    if name not in LAYERS:
        raise ConfigError(
            f"deep features need a pretrained backbone.architecture, one of "
            f"{', '.join(LAYERS)}; got {name}"
        )
    backbone = build_backbone(name, load_backbone_weights(weights))
    # Below that the last map would be empty; a small image is enlarged.
    least = backbone.input_size((1, 1))

    def describe(image: Array, superpixels: Array) -> FloatArray:
        blocks: list[FloatArray] = []
        for scale in scales:
            size = (
                max(least[0], round(image.shape[0] * scale)),
                max(least[1], round(image.shape[1] * scale)),
            )
            maps = multi_layer_activations(backbone, image, LAYERS[name], size=size)
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
            if recipe.unary.image_mean and len(blocks) == 1:
                mean = np.sqrt(np.maximum(0, maps[-1].values.mean(axis=(1, 2))))
                blocks[0] = np.concatenate([blocks[0], np.tile(mean, (len(blocks[0]), 1))], axis=1)
        return np.concatenate(blocks, axis=1)

    return describe


def _settings(recipe: Recipe, features: str | None, scales: Sequence[float]) -> dict[str, Any]:
    if features is None:
        return {}
    return {
        "features": features,
        "image_mean": recipe.unary.image_mean,
        "scales": list(scales),
        "max_per_image": recipe.unary.max_per_image,
        "architecture": recipe.backbone.architecture,
    }


def _run(job: Job, file: h5py.File, features: str | None, scales: Sequence[float]) -> None:
    if features is None:
        return
    describe = make_descriptor(job.recipe, job.weights, features, scales)
    limit = job.recipe.unary.max_per_image
    with job.open("superpixels") as regions:
        for index, image_id in enumerate(job.part.image_ids):
            arrays = read_image(regions, index, ("superpixels", "areas", "histogram"))
            values = describe(job.dataset.image(image_id), arrays["superpixels"])
            sample = _sample(arrays["histogram"], limit, index)
            write_image(
                file,
                index,
                {
                    "features": values.astype(np.float16),
                    "pooled": pooled(values, arrays["areas"]),
                    # Models are fitted on some superpixels of each image; reading only those
                    # keeps eleven models of a large data set affordable. They are the same for
                    # all seeds, which may then share these features.
                    "sample": values[sample].astype(np.float16),
                    "sample_histogram": arrays["histogram"][sample],
                },
            )


def _sample(histogram: Array, limit: int, index: int) -> Array:
    labelled = np.flatnonzero(histogram.sum(axis=1) > 0)
    if len(labelled) <= limit:
        return labelled
    chosen = np.random.default_rng([0, index]).choice(labelled, limit, replace=False)
    return np.sort(chosen)


STAGE = Stage(
    "superpixel_features",
    2,
    lambda recipe: _settings(recipe, recipe.unary.features, recipe.unary.scales),
    (("superpixels", "own"),),
    lambda job, file: _run(job, file, job.recipe.unary.features, job.recipe.unary.scales),
    "features of superpixels",
    reads=("images", "weights"),
    cost=0.5,
)
#: What the second classifier sees; empty where there is none.
FOR_POSTERIOR = Stage(
    "posterior_features",
    1,
    lambda recipe: _settings(recipe, recipe.posterior.features, posterior_scales(recipe)),
    (("superpixels", "own"),),
    lambda job, file: _run(job, file, job.recipe.posterior.features, posterior_scales(job.recipe)),
    "features of the second classifier",
    reads=("images", "weights"),
    cost=0.2,
)
