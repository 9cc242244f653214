"""Models of whole images: which classes are present, how large they are, and where they lie."""

from __future__ import annotations

from dataclasses import dataclass

import h5py
import numpy as np

from rerank.engine.hdf5 import read_arrays, write_array, write_arrays
from rerank.engine.stage import Job, read_image
from rerank.evidence import (
    CooccurrencePrior,
    ImageClassifiers,
    ImageScores,
    LocationPrior,
    SizeThresholdClassifiers,
)
from rerank.settings import ClassifierSettings
from rerank.stages.joined_rows import join_rows
from rerank.stages.segnet import is_held_out, read_training
from rerank.types import Array, FloatArray

#: What a classifier needs to score an image.
MACHINE = ("classes", "coef", "intercept", "duality_gap")


@dataclass(frozen=True)
class ImageModels:
    """The fitted models of whole images; without classifiers the first two are None."""

    presence: ImageClassifiers | None
    sizes: SizeThresholdClassifiers | None
    location: LocationPrior
    cooccurrence: CooccurrencePrior

    def score(self, vector: FloatArray) -> ImageScores | None:
        """The classifiers' scores of an image, from its features, (D,)."""
        if self.presence is None or self.sizes is None:
            return None
        row = vector[None]
        return ImageScores(
            self.presence.decision_function(row)[0], self.sizes.decision_function(row)[0]
        )


def load_models(file: h5py.File) -> ImageModels:
    """The models that the stage `classifiers` wrote; of a fold without what makes scores."""
    presence = sizes = None
    if "presence" in file:
        presence = ImageClassifiers.from_arrays(read_arrays(file["presence"]))
    if "sizes" in file:
        arrays = read_arrays(file["sizes"])
        if "coef" in arrays:
            sizes = SizeThresholdClassifiers.from_arrays(arrays)
        else:
            sizes = SizeThresholdClassifiers()
            sizes.thresholds_, sizes.percentiles_ = arrays["thresholds"], arrays["percentiles"]
    return ImageModels(
        presence,
        sizes,
        LocationPrior.from_arrays(read_arrays(file["location"])),
        CooccurrencePrior.from_arrays(read_arrays(file["cooccurrence"])),
    )


def read_scores(group: h5py.Group, index: int) -> ImageScores | None:
    """The scores of an image; None without classifiers.

    Parameters
    ----------
    group : HDF5 group
        The file, or its group `holdout`.
    index : int
        The image's row in it.

    Returns
    -------
    ImageScores or None
    """
    if "scores" not in group:
        return None
    return ImageScores(group["scores"][index], group["size_scores"][index])


def class_shares(histograms: list[Array]) -> FloatArray:
    """Share of each class among the labelled pixels of each image, (N, C).

    `histograms` holds the labelled pixels of each image's superpixels, (n, C) int.
    """
    pixels = np.array([histogram.sum(axis=0) for histogram in histograms], dtype=np.float64)
    shares: FloatArray = pixels / np.maximum(1, pixels.sum(axis=1, keepdims=True))
    return shares


def backbone_vector(coarse_input: Array) -> FloatArray:
    """Root of mean and of maximum over the cells of a backbone's map, (2D,) float32.

    Parameters
    ----------
    coarse_input : (D, grid, grid) float array
        Of `make_coarse_input`, with a pretrained backbone.
    """
    cells = np.maximum(coarse_input.astype(np.float32), 0).reshape(len(coarse_input), -1)
    vector: FloatArray = np.sqrt(np.concatenate([cells.mean(axis=1), cells.max(axis=1)]))
    return vector


def fit_image_models(
    settings: ClassifierSettings,
    vectors: FloatArray | None,
    shares: FloatArray,
    targets: Array,
    background: int | None,
) -> ImageModels:
    """Fit all models of whole images.

    Parameters
    ----------
    settings : ClassifierSettings
    vectors : (N, D) float32 array or None
        Features of each image; None for no classifiers.
    shares : (N, C) float64 array
        Share of each class among its labelled pixels.
    targets : (N, grid, grid, C) float array
        The coarse truth.
    background : int or None
        The class without classifiers.

    Returns
    -------
    ImageModels
    """
    presence = sizes = None
    if vectors is not None:
        presence = ImageClassifiers(C=settings.C, background=background).fit(vectors, shares)
        sizes = SizeThresholdClassifiers(settings.percentiles, C=settings.C, background=background)
        sizes.fit(vectors, shares)
    return ImageModels(
        presence, sizes, LocationPrior().fit(targets), CooccurrencePrior().fit(shares)
    )


def run(job: Job, file: h5py.File) -> None:
    """Write the models, and their `scores` and `size_scores`, one row per image.

    With fusion, `holdout` holds the scores of the held-out images by models fitted without them.
    Without classifiers there are no scores.
    """
    settings, background = job.recipe.classifiers, job.data.train.background
    vectors, histograms = list[tuple[str, Array]](), []
    for fold in job.other_folds:
        with job.open("superpixels", fold.name) as regions:
            for index in range(len(fold.image_ids)):
                histograms.append(read_image(regions, index, ("histogram",))["histogram"])
        if settings.enabled:
            vectors.append((fold.name, _vectors(job, fold.name)))
    of_backbone = settings.features == "backbone"
    stage = "activations" if of_backbone else "superpixel_features"
    shares, rows = class_shares(histograms), join_rows(job, stage, vectors) if vectors else None
    targets = read_training(job, ("targets",))[0]
    kept = ~is_held_out(job)
    if job.recipe.fusion.enabled and not job.is_final and not kept.all():
        some = None if rows is None else rows[kept]
        inner = fit_image_models(settings, some, shares[kept], targets[kept], background)
        file.create_group("holdout")
        if rows is not None:
            _write_scores(file["holdout"], inner, rows[~kept])
        write_array(file["holdout"], "location", inner.location.to_arrays()["probabilities"])
    models = fit_image_models(settings, rows, shares, targets, background)
    for name, model in vars(models).items():
        if model is not None:
            arrays = model.to_arrays()
            # Machines are for new images; those of a fold have scored all that it will see.
            kept = arrays if job.is_final else {k: v for k, v in arrays.items() if k not in MACHINE}
            if kept:
                write_arrays(file.create_group(name), kept)
    if settings.enabled and job.part.image_ids:
        _write_scores(file, models, _vectors(job, job.part.name))


def _write_scores(group: h5py.Group, models: ImageModels, rows: FloatArray) -> None:
    assert models.presence is not None and models.sizes is not None
    write_array(group, "scores", models.presence.decision_function(rows))
    write_array(group, "size_scores", models.sizes.decision_function(rows))


def _vectors(job: Job, part: str) -> FloatArray:
    count = len(job.ids(part))
    if count == 0:
        return np.zeros((0, 0), dtype=np.float32)
    if job.recipe.classifiers.features == "backbone":
        found = [
            backbone_vector(inputs)
            for activations in job.files("activations", part)
            for inputs in activations["inputs"]
        ]
    else:
        with job.open("superpixel_features", part) as features:
            found = [
                read_image(features, index, ("whole_image",))["whole_image"]
                for index in range(count)
            ]
    return np.array(found, dtype=np.float32)
