"""What is known of a whole image: which classes are there, how large, and where they like to be."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np

from rerank.config import Recipe
from rerank.features import (CooccurrencePrior, ImageClassifiers, LocationPrior,
                             SizeThresholdClassifiers)
from rerank.hdf5 import write_array, write_arrays
from rerank.stages.base import Job, Stage, read_image
from rerank.stages.segnet import read_training
from rerank.types import Array, FloatArray


def class_shares(histograms: list[Array]) -> FloatArray:
    """Share of each class among the labelled pixels of each image, (N, C)."""
    pixels = np.array([histogram.sum(axis=0) for histogram in histograms], dtype=np.float64)
    return pixels / np.maximum(1, pixels.sum(axis=1, keepdims=True))


def _settings(recipe: Recipe) -> dict[str, Any]:
    return {"classifiers": recipe.classifiers.model_dump(mode="json")}


def _run(job: Job, file: h5py.File) -> None:
    chosen = job.recipe.classifiers
    pooled, histograms = [], []
    for fold in job.other_folds:
        with job.open("superpixel_features", fold.name) as features, \
                job.open("superpixels", fold.name) as regions:
            for index in range(len(fold.image_ids)):
                pooled.append(read_image(features, index, ("pooled",))["pooled"])
                histograms.append(read_image(regions, index, ("histogram",))["histogram"])
    shares = class_shares(histograms)
    rows = np.array(pooled)
    presence = ImageClassifiers(C=chosen.C, background=job.train.background).fit(rows, shares)
    sizes = SizeThresholdClassifiers(chosen.percentiles, C=chosen.C,
                                     background=job.train.background).fit(rows, shares)
    location = LocationPrior().fit(read_training(job, ("targets",))[0])
    cooccurrence = CooccurrencePrior().fit(shares)
    for name, model in (("presence", presence), ("sizes", sizes), ("location", location),
                        ("cooccurrence", cooccurrence)):
        write_arrays(file.create_group(name), model.to_arrays())
    mine: list[FloatArray] = []
    with job.open("superpixel_features") as features:
        for index in range(len(job.part.image_ids)):
            mine.append(read_image(features, index, ("pooled",))["pooled"])
    own = np.array(mine).reshape(len(mine), rows.shape[1])
    if len(own):
        write_array(file, "scores", presence.decision_function(own))
        write_array(file, "size_scores", sizes.decision_function(own))


STAGE = Stage("classifiers", 1, _settings,
              (("superpixels", "fit"), ("superpixel_features", "fit"), ("activations", "fit")),
              _run, "image classifiers and priors", fits=True, cost=0.2)
