"""Class probabilities of superpixels, from models that never saw the image.

The classifier of a fold, or its dense network, is fitted twice: once without the held-out images,
on which its temperature and the CRF's settings are chosen, then on all of the fold's training
images. The user's own network maps are averaged over superpixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import h5py
import numpy as np

from rerank.config import Recipe
from rerank.engine.artefact_file import REMEDY
from rerank.engine.folds import Part
from rerank.engine.hdf5 import read_arrays, read_strings, write_array, write_arrays, write_strings
from rerank.engine.stage import Job, read_image
from rerank.errors import DamagedArtefactError
from rerank.potentials import (
    PerceptronTraining,
    SuperpixelClassifier,
    at_temperature,
    choose_temperature,
)
from rerank.potentials.dense_network_unary import DenseNetworkTraining
from rerank.potentials.network_map import map_to_regions
from rerank.stages.joined_rows import join_rows
from rerank.stages.run_data import Maps, map_of
from rerank.stages.stored_probabilities import halved, widened, write_regions
from rerank.stages.training_rows import drawn_rows, rows_that_fit
from rerank.types import Array, BoolArray, FloatArray, IntArray

#: Features of more columns are those of several scales, alike enough for a classifier of so many
#: of their principal components to do as well; those of one scale are not.
MANY_FEATURES, N_COMPONENTS = 2000, 256


def fit_classifiers(
    recipe: Recipe, features: FloatArray, histograms: IntArray, is_held: BoolArray
) -> tuple[SuperpixelClassifier, SuperpixelClassifier]:
    """Two classifiers of superpixels: of the rows that are not held out, and of all rows.

    The held-out rows choose the temperature of both: the second has seen all of them.

    Parameters
    ----------
    recipe : Recipe
        For the settings of `unary` and the seed.
    features : (N, D) float16 or float32 array
    histograms : (N, C) int64 array
        Labelled pixels of each row.
    is_held : (N,) bool array

    Returns
    -------
    inner, final : SuperpixelClassifier
    """
    n_features = features.shape[1]
    # Rows without a labelled pixel are left out, and no copy is made of the others.
    seen = np.where(is_held[:, None], 0, histograms)
    inner = make_classifier(recipe, n_features).fit(features, seen)
    inner.calibrate(features[is_held], histograms[is_held])
    final = make_classifier(recipe, n_features).fit(features, histograms)
    final.temperature_ = inner.temperature_
    return inner, final


def make_classifier(recipe: Recipe, n_features: int) -> SuperpixelClassifier:
    """The classifier that a recipe asks for, not yet fitted.

    Parameters
    ----------
    recipe : Recipe
    n_features : int
        That it will be fitted on.

    Returns
    -------
    SuperpixelClassifier
    """
    chosen = recipe.unary
    return SuperpixelClassifier(
        hidden=chosen.hidden,
        n_steps=chosen.n_steps,
        weight_decay=chosen.weight_decay,
        class_balance=chosen.class_balance,
        n_members=chosen.n_members,
        training=PerceptronTraining(
            n_components=N_COMPONENTS if n_features > MANY_FEATURES else None
        ),
        random_state=recipe.random_state,
    )


def holdout_ids(
    train_ids: tuple[str, ...], share: float, ordered: bool, random_state: int
) -> tuple[str, ...]:
    """Training images that settings are chosen on: the last ones of a video, else any.

    Parameters
    ----------
    train_ids : tuple of str
    share : float
        Of the images; at least one is held out, and one is left.
    ordered : bool
        Whether neighbours are alike, as in video.
    random_state : int
        Of the draw; a video does not use it.

    Returns
    -------
    tuple of str
        In the order of `train_ids`.
    """
    count = min(len(train_ids) - 1, max(1, round(share * len(train_ids))))
    if ordered:
        return train_ids[len(train_ids) - count :]
    chosen = np.random.default_rng(random_state).permutation(len(train_ids))[:count]
    return tuple(train_ids[i] for i in sorted(chosen))


def held_out(job: Job) -> tuple[str, ...]:
    """The images that a part's settings and its fusion are fitted on: see `holdout_ids`.

    None where the recipe holds none out: then they are fitted on the images of the other folds.
    """
    if job.recipe.holdout == 0:
        return ()
    return holdout_ids(
        job.part.train_ids, job.recipe.holdout, job.data.train.ordered, job.recipe.random_state
    )


def read_held_out_ids(job: Job, unaries: h5py.File) -> tuple[str, ...]:
    """The held-out images that a part's unaries name.

    Parameters
    ----------
    job : Job
    unaries : HDF5 file
        Of the stage `unaries`, of the same part.

    Returns
    -------
    tuple of str

    Raises
    ------
    DamagedArtefactError
        If they are not those of `held_out`.
    """
    found = read_strings(unaries["holdout_ids"])
    if found != held_out(job):
        raise DamagedArtefactError(
            f"{unaries.filename}: names other held-out images than the recipe; {REMEDY}"
        )
    return found


def read_held_out(file: h5py.Group, held: tuple[str, ...], image_id: str) -> FloatArray:
    """Read the class probabilities of a held-out image's superpixels.

    Parameters
    ----------
    file : HDF5 group
        What `write_held_out` wrote to.
    held : tuple of str
        All held-out images.
    image_id : str
        One of them.

    Returns
    -------
    (n, C) float32 array

    Raises
    ------
    DamagedArtefactError
        If it is not there.
    """
    name = _holdout_name(held, image_id)
    if name not in file:
        raise DamagedArtefactError(f"{file.file.filename}: has no {name}; {REMEDY}")
    return widened(file[name][()])


def _holdout_name(ids: tuple[str, ...], image_id: str) -> str:
    return f"holdout/{ids.index(image_id):06d}/region_probabilities"


def load_classifier(file: h5py.Group) -> SuperpixelClassifier:
    """The fitted classifier of a fold."""
    return SuperpixelClassifier.from_arrays(read_arrays(file["model"]))


def run(job: Job, file: h5py.File) -> None:
    """Write `region_probabilities` (n, C) of each image, those of the held-out images, the model
    of `final`, and `class_shares` (C,), the share of each class among the training pixels."""
    source = job.recipe.unary.source
    held = held_out(job)
    write_strings(file, "holdout_ids", held)
    write_array(file, "class_shares", _training_shares(job))
    if source == "probabilities":
        write_maps(job, file, held, job.data.maps)
    elif source == "dense_network":
        write_dense_network(job, file, held)
    else:
        write_classified(job, file, held, "superpixel_features")


def write_classified(job: Job, file: h5py.Group, held: tuple[str, ...], stage: str) -> None:
    """Fit classifiers on the features that a stage made, and write their probabilities.

    Parameters
    ----------
    job : Job
    file : HDF5 group
        Gets the probabilities of the part's own images, those that the inner classifier gives the
        held-out images, and for `final`, whose models are for new images, the classifier.
    held : tuple of str
        The held-out images.
    stage : str
        Name of the stage with the features.
    """
    features, histograms, owners = _training_rows(job, stage)
    if held:
        inner, final = fit_classifiers(job.recipe, features, histograms, np.isin(owners, held))
    else:
        inner = final = make_classifier(job.recipe, features.shape[1]).fit(features, histograms)
    for fold in job.other_folds if held else ():
        with job.open(stage, fold.name) as source:
            for index, image_id in enumerate(fold.image_ids):
                if image_id in held:
                    rows = read_image(source, index, ("features",))["features"]
                    found = inner.predict_proba(rows)
                    write_held_out(file, held, image_id, found)
    if job.is_final:
        write_arrays(file.create_group("model"), final.to_arrays())
    with job.open(stage) as source:
        for index in range(len(job.part.image_ids)):
            rows = read_image(source, index, ("features",))["features"]
            write_regions(file, index, final.predict_proba(rows))


def write_dense_network(job: Job, file: h5py.Group, held: tuple[str, ...]) -> None:
    """Train the recipe's dense network twice, and write its probabilities.

    Parameters
    ----------
    job : Job
    file : HDF5 group
        Gets what it gets in `write_classified`.
    held : tuple of str
        The held-out images, which the first network is not trained on.
    """
    train = job.data.train
    ids = [image_id for fold in job.other_folds for image_id in fold.image_ids]
    training = DenseNetworkTraining(job.recipe, train, ids, job.data.weights.backbone)
    temperature = 1.0
    if held:
        inner = training.fit(np.flatnonzero(~np.isin(ids, held)))
        found, histograms = {}, []
        for image_id, arrays in _held_out_regions(job, held):
            found[image_id] = inner.predict_proba(train.image(image_id), arrays["superpixels"])
            histograms.append(arrays["histogram"])
        del inner
        temperature = choose_temperature(list(found.values()), histograms)
        for image_id, probabilities in found.items():
            write_held_out(file, held, image_id, at_temperature(probabilities, temperature))
    # As of the classifiers: the second network has seen the images that could choose its own.
    final = replace(training.fit(np.arange(len(ids))), temperature=temperature)
    if job.is_final:
        write_arrays(file.create_group("model"), final.to_arrays())
    dataset = job.data.of(job.part)
    with job.open("superpixels") as regions:
        for index, image_id in enumerate(job.part.image_ids):
            superpixels = read_image(regions, index, ("superpixels",))["superpixels"]
            write_regions(file, index, final.predict_proba(dataset.image(image_id), superpixels))


def write_held_out(
    file: h5py.Group, held: tuple[str, ...], image_id: str, probabilities: FloatArray
) -> None:
    """Write the class probabilities of a held-out image's superpixels.

    Parameters
    ----------
    file : HDF5 group
    held : tuple of str
        All held-out images.
    image_id : str
    probabilities : (n, C) float array
    """
    write_array(file, _holdout_name(held, image_id), halved(probabilities))


def write_maps(job: Job, file: h5py.Group, held: tuple[str, ...], maps: Maps) -> None:
    """Write the mean over superpixels of a network's maps.

    Parameters
    ----------
    job : Job
    file : HDF5 group
        Gets the probabilities of the part's own images, and those of the held-out images.
    held : tuple of str
        The held-out images.
    maps : Maps
    """

    def average(image: Array, image_id: str, superpixels: Array) -> FloatArray:
        network_map = map_of(maps, image_id, image, job.data.n_classes)
        refined, device = job.recipe.unary.dense_crf, job.recipe.device
        return map_to_regions(network_map, image, superpixels, refined=refined, device=device)

    for image_id, arrays in _held_out_regions(job, held):
        image = job.data.train.image(image_id)
        write_held_out(file, held, image_id, average(image, image_id, arrays["superpixels"]))
    dataset = job.data.of(job.part)
    with job.open("superpixels") as regions:
        for index, image_id in enumerate(job.part.image_ids):
            superpixels = read_image(regions, index, ("superpixels",))["superpixels"]
            write_regions(file, index, average(dataset.image(image_id), image_id, superpixels))


def _held_out_regions(job: Job, held: tuple[str, ...]) -> Iterator[tuple[str, dict[str, Array]]]:
    for fold in job.other_folds:
        with job.open("superpixels", fold.name) as regions:
            for index, image_id in enumerate(fold.image_ids):
                if image_id in held:
                    yield image_id, read_image(regions, index, ("superpixels", "histogram"))


def _training_shares(job: Job) -> FloatArray:
    pixels: FloatArray = np.zeros(job.data.n_classes)
    for fold in job.other_folds:
        with job.open("superpixels", fold.name) as regions:
            for index in range(len(fold.image_ids)):
                pixels += read_image(regions, index, ("histogram",))["histogram"].sum(axis=0)
    return pixels / max(1.0, float(pixels.sum()))


def _training_rows(job: Job, stage: str) -> tuple[FloatArray, Array, Array]:
    """Features, histograms and image ids of the superpixels that models are fitted on."""
    ids = [image_id for fold in job.other_folds for image_id in fold.image_ids]
    shapes = [shape for fold in job.other_folds for shape in _sample_shapes(job, stage, fold)]
    counts = np.array([count for count, _ in shapes])
    row_bytes = max(width for _, width in shapes) * np.dtype(np.float32).itemsize
    wanted = rows_that_fit(counts, row_bytes, job.recipe.training_memory)
    features, histograms = [], []
    place = 0
    for fold in job.other_folds:
        with job.open(stage, fold.name) as source:
            for index in range(len(fold.image_ids)):
                found = read_image(source, index, ("sample", "sample_histogram"))
                rows = drawn_rows(counts[place], wanted[place], place)
                features.append((fold.name, found["sample"][rows]))
                histograms.append(found["sample_histogram"][rows])
                place += 1
    joined = join_rows(job, stage, features)
    # Of many features only their components are used at each step.
    kind = joined.dtype if joined.shape[1] > MANY_FEATURES else np.float32
    return (
        joined.astype(kind, copy=False),
        np.concatenate(histograms).astype(np.int64),
        np.repeat(np.array(ids), wanted),
    )


def _sample_shapes(job: Job, stage: str, fold: Part) -> Iterator[tuple[int, ...]]:
    """Rows and columns of each image's sample, without reading them."""
    for file in job.files(stage, fold.name):
        for group in file["images"].values():
            yield group["sample"].shape
