"""What is known of a whole image: which classes are there, how large, and where they like to be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from rerank.config import Recipe
from rerank.evidence import (
    CooccurrencePrior,
    ImageClassifiers,
    LocationPrior,
    SizeThresholdClassifiers,
)
from rerank.hdf5 import read_arrays, write_array, write_arrays
from rerank.stages.base import Job, Stage, read_image
from rerank.stages.segnet import is_held_out, read_training
from rerank.types import Array, FloatArray


@dataclass(frozen=True)
class ImageModels:
    """The fitted models that judge whole images."""

    presence: ImageClassifiers
    sizes: SizeThresholdClassifiers
    location: LocationPrior
    cooccurrence: CooccurrencePrior


def load_models(file: h5py.File) -> ImageModels:
    """The models of a part's `classifiers` stage."""
    return ImageModels(
        *(
            kind.from_arrays(read_arrays(file[name]))
            for name, kind in (
                ("presence", ImageClassifiers),
                ("sizes", SizeThresholdClassifiers),
                ("location", LocationPrior),
                ("cooccurrence", CooccurrencePrior),
            )
        )
    )


def class_shares(histograms: list[Array]) -> FloatArray:
    """Share of each class among the labelled pixels of each image, (N, C)."""
    pixels = np.array([histogram.sum(axis=0) for histogram in histograms], dtype=np.float64)
    return pixels / np.maximum(1, pixels.sum(axis=1, keepdims=True))


def image_vector(recipe: Recipe, pooled_features: FloatArray, coarse_input: Array) -> FloatArray:
    """What the image classifiers see of an image: pooled deep activations where there are any.

    Those of the superpixels if the recipe has them, else root-mean and root-maximum over the
    cells of a pretrained backbone's map, else the superpixels' hand-made features.
    """
    if recipe.unary.features == "appearance" and recipe.backbone.architecture != "small":
        cells = np.maximum(coarse_input.astype(np.float32), 0).reshape(len(coarse_input), -1)
        return np.sqrt(np.concatenate([cells.mean(axis=1), cells.max(axis=1)]))
    return pooled_features


def _settings(recipe: Recipe) -> dict[str, Any]:
    return {
        "classifiers": recipe.classifiers.model_dump(mode="json"),
        "holdout": recipe.unary.holdout if recipe.fusion.enabled else None,
        "random_state": recipe.random_state,
    }


def _fit(job: Job, rows: FloatArray, shares: FloatArray, targets: Array) -> ImageModels:
    chosen, background = job.recipe.classifiers, job.train.background
    return ImageModels(
        ImageClassifiers(C=chosen.C, background=background).fit(rows, shares),
        SizeThresholdClassifiers(chosen.percentiles, C=chosen.C, background=background).fit(
            rows, shares
        ),
        LocationPrior().fit(targets),
        CooccurrencePrior().fit(shares),
    )


def _run(job: Job, file: h5py.File) -> None:
    pooled, histograms = [], []
    for fold in job.other_folds:
        with job.open("superpixels", fold.name) as regions:
            for index in range(len(fold.image_ids)):
                histograms.append(read_image(regions, index, ("histogram",))["histogram"])
        pooled.append(_vectors(job, fold.name, len(fold.image_ids)))
    shares = class_shares(histograms)
    rows = np.concatenate(pooled)
    targets = read_training(job, ("targets",))[0]
    if job.recipe.fusion.enabled and not job.is_final:
        held = is_held_out(job)
        inner = _fit(job, rows[~held], shares[~held], targets[~held])
        _write_scores(file.create_group("holdout"), inner, rows[held])
        write_array(file["holdout"], "location", inner.location.to_arrays()["probabilities"])
    models = _fit(job, rows, shares, targets)
    for name, model in vars(models).items():
        write_arrays(file.create_group(name), model.to_arrays())
    own = _vectors(job, job.part.name, len(job.part.image_ids))
    if len(own):
        _write_scores(file, models, own)


def _write_scores(group: h5py.Group, models: ImageModels, rows: FloatArray) -> None:
    write_array(group, "scores", models.presence.decision_function(rows))
    write_array(group, "size_scores", models.sizes.decision_function(rows))


def _vectors(job: Job, part: str, count: int) -> FloatArray:
    if count == 0:
        return np.zeros((0, 0), dtype=np.float32)
    with (
        job.open("superpixel_features", part) as features,
        job.open("activations", part) as activations,
    ):
        found = [
            image_vector(
                job.recipe,
                read_image(features, index, ("pooled",))["pooled"],
                activations["inputs"][index],
            )
            for index in range(count)
        ]
    return np.array(found, dtype=np.float32)


STAGE = Stage(
    "classifiers",
    3,
    _settings,
    (("superpixels", "fit"), ("superpixel_features", "fit"), ("activations", "fit")),
    _run,
    "image classifiers and priors",
    fits=True,
    cost=0.3,
)
