"""Models of whole images: which classes are present, how large they are, and where they lie."""

from __future__ import annotations

from collections.abc import Iterator
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
from rerank.stages.training_rows import images_that_fit
from rerank.types import Array, BoolArray, FloatArray

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
    Without classifiers there are no scores. Models are fitted on as many images as fit in memory.
    """
    settings, background = job.recipe.classifiers, job.data.train.background
    held = is_held_out(job)
    fitted = images_that_fit(held, _image_bytes(job), job.recipe.training_memory)
    targets = read_training(job, ("targets",), fitted)[0]
    shares, rows = _training_shares(job, fitted), None
    if settings.enabled:
        rows = _training_vectors(job, fitted)
    if job.recipe.fusion.enabled and not job.is_final and held.any():
        kept = ~held[fitted]
        some = None if rows is None else rows[kept]
        inner = fit_image_models(settings, some, shares[kept], targets[kept], background)
        file.create_group("holdout")
        if settings.enabled:
            _write_scores(file["holdout"], inner, _held_out_vectors(job, held))
        write_array(file["holdout"], "location", inner.location.to_arrays()["probabilities"])
    models = fit_image_models(settings, rows, shares, targets, background)
    for name, model in vars(models).items():
        if model is not None:
            arrays = model.to_arrays()
            # Machines are for new images; those of a fold have scored all that it will see.
            kept_arrays = {k: v for k, v in arrays.items() if job.is_final or k not in MACHINE}
            if kept_arrays:
                write_arrays(file.create_group(name), kept_arrays)
    if settings.enabled and job.part.image_ids:
        _write_scores(file, models, _vectors(job, job.part.name))


def _image_bytes(job: Job) -> int:
    """Bytes that a training image takes in memory."""
    size = 0
    for fold in job.other_folds:
        for activations in job.files("activations", fold.name):
            size = 4 * int(np.prod(activations["targets"].shape[1:]))
            break
        if job.recipe.classifiers.enabled:
            # The fit has a copy in double precision.
            return size + 12 * len(next(_vectors(job, fold.name)))
    return size


def _training_shares(job: Job, fitted: BoolArray) -> FloatArray:
    """`class_shares` of those training images that models are fitted on."""
    shares, place = [], 0
    for fold in job.other_folds:
        with job.open("superpixels", fold.name) as regions:
            for index in range(len(fold.image_ids)):
                if fitted[place]:
                    histogram = read_image(regions, index, ("histogram",))["histogram"]
                    shares.append(class_shares([histogram])[0])
                place += 1
    return np.array(shares)


def _training_vectors(job: Job, fitted: BoolArray) -> FloatArray:
    """Features of those training images that models are fitted on."""
    of_backbone = job.recipe.classifiers.features == "backbone"
    found, place = list[tuple[str, Array]](), 0
    for fold in job.other_folds:
        wanted = fitted[place : place + len(fold.image_ids)]
        rows = [row for row, kept in zip(_vectors(job, fold.name), wanted) if kept]
        found += [(fold.name, np.array(rows))] if rows else []
        place += len(fold.image_ids)
    return join_rows(job, "activations" if of_backbone else "superpixel_features", found)


def _held_out_vectors(job: Job, held: BoolArray) -> Iterator[FloatArray]:
    """Features of the held-out images, in the folds' order."""
    place = 0
    for fold in job.other_folds:
        for row in _vectors(job, fold.name):
            if held[place]:
                yield row
            place += 1


def _write_scores(group: h5py.Group, models: ImageModels, rows: Iterator[FloatArray]) -> None:
    # Image by image: no score depends on which are computed together.
    found = [scores for row in rows if (scores := models.score(row)) is not None]
    write_array(group, "scores", np.array([scores.presence for scores in found]))
    write_array(group, "size_scores", np.array([scores.sizes for scores in found]))


def _vectors(job: Job, part: str) -> Iterator[FloatArray]:
    """Features of each image of a part."""
    if job.recipe.classifiers.features == "backbone":
        for activations in job.files("activations", part):
            for inputs in activations["inputs"] if len(activations["targets"]) else ():
                yield backbone_vector(inputs)
        return
    with job.open("superpixel_features", part) as features:
        for index in range(len(job.ids(part))):
            yield read_image(features, index, ("whole_image",))["whole_image"]
