"""Class probabilities of superpixels, from models that never saw the image.

The classifier of a part, or its dense network, is fitted twice: once on most of its training
images, to leave some on which its temperature and the CRF's settings are chosen, then on all of
them.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from rerank.config import Recipe
from rerank.errors import ConfigError, DataError
from rerank.hdf5 import read_arrays, write_array, write_arrays, write_strings
from rerank.potentials import (
    SuperpixelClassifier,
    at_temperature,
    choose_temperature,
    region_probabilities,
)
from rerank.stages.base import External, Job, Stage, read_image, write_image
from rerank.stages.dense import DenseTraining, settings_of_results
from rerank.stages.dense_crf import refine
from rerank.types import Array, FloatArray


def probability_map_path(folder: str, image_id: str) -> Path:
    """The file of the user's probability map of an image.

    Raises
    ------
    DataError
        If there is none.
    """
    for suffix in (".npy", ".npz"):
        path = Path(folder) / f"{image_id}{suffix}"
        if path.is_file():
            return path
    raise DataError(
        f"{Path(folder) / image_id}.npy: no probability map for image {image_id}; "
        "write one array an image, (H, W, C) or (C, H, W), as .npy or .npz"
    )


def read_probability_map(path: Path) -> FloatArray:
    """Read a probability map from `.npy`, or from `.npz` with one array."""
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            if len(loaded.files) != 1:
                raise DataError(
                    f"{path}: holds {len(loaded.files)} arrays "
                    f"({', '.join(loaded.files[:5])}); keep one"
                )
            return loaded[loaded.files[0]]
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"{path}: not a NumPy array ({' '.join(str(error).split())[:120]}); "
            "write it with numpy.save"
        ) from None


def pool_own_map(
    recipe: Recipe,
    probabilities: Array,
    image: Array,
    superpixels: Array,
    n_classes: int | None = None,
    where: str = "",
) -> FloatArray:
    """The user's probability map of an image pooled over its superpixels, (n, C) float64.

    Refined by `dense_crf` before that where the recipe says so.

    Raises
    ------
    InputError
        If the map does not fit; `where` names it.
    """
    if recipe.unary.dense_crf:
        # As many superpixels as pixels: the map checked, normalised and with its classes last.
        pixels = np.arange(superpixels.size).reshape(superpixels.shape)
        rows = region_probabilities(probabilities, pixels, n_classes, where)
        probabilities = refine(rows.reshape(*superpixels.shape, rows.shape[1]), image)
    return region_probabilities(probabilities, superpixels, n_classes, where)


def make_classifier(recipe: Recipe) -> SuperpixelClassifier:
    """The classifier that a recipe asks for, not yet fitted."""
    chosen = recipe.unary
    return SuperpixelClassifier(
        hidden=chosen.hidden,
        n_steps=chosen.n_steps,
        weight_decay=chosen.weight_decay,
        class_balance=chosen.class_balance,
        n_members=chosen.n_members,
        random_state=recipe.random_state,
    )


def load_classifier(file: h5py.File) -> SuperpixelClassifier:
    """The fitted classifier of a part."""
    return SuperpixelClassifier.from_arrays(read_arrays(file["model"]))


def holdout_ids(
    train_ids: tuple[str, ...], share: float, ordered: bool, random_state: int
) -> tuple[str, ...]:
    """Training images that the CRF's settings are chosen on: the last ones of a video, else any."""
    count = min(len(train_ids) - 1, max(1, round(share * len(train_ids))))
    if ordered:
        return train_ids[len(train_ids) - count :]
    chosen = np.random.default_rng(random_state).permutation(len(train_ids))[:count]
    return tuple(train_ids[i] for i in sorted(chosen))


def held_out(job: Job) -> tuple[str, ...]:
    """The images that a part's settings and its fusion are fitted on: see `holdout_ids`."""
    return holdout_ids(
        job.part.train_ids, job.recipe.unary.holdout, job.train.ordered, job.recipe.random_state
    )


def training_shares(job: Job) -> FloatArray:
    """Share of each class among the labelled pixels of the part's training images, (C,)."""
    pixels = np.zeros(job.train.n_classes)
    for fold in job.other_folds:
        with job.open("superpixels", fold.name) as regions:
            for index in range(len(fold.image_ids)):
                pixels += read_image(regions, index, ("histogram",))["histogram"].sum(axis=0)
    return pixels / max(1.0, pixels.sum())


def _settings(recipe: Recipe) -> dict[str, Any]:
    chosen = recipe.unary
    if chosen.source == "dense":
        return {"unary": {"source": "dense"}, **settings_of_results(recipe)}
    unused = {"probabilities", "image_mean", "scales"}
    if not chosen.dense_crf:
        unused.add("dense_crf")
    elif chosen.source == "classifier":
        raise ConfigError(
            "unary.dense_crf refines the probabilities of pixels, and a classifier "
            "of superpixels has none; set unary.source=dense, or "
            "unary.dense_crf=false"
        )
    return {
        "unary": chosen.model_dump(mode="json", exclude=unused),
        "random_state": recipe.random_state,
    }


def _reads(recipe: Recipe) -> tuple[External, ...]:
    source = recipe.unary.source
    if source == "dense":
        return ("weights",)
    return ("probabilities",) if source == "probabilities" else ()


def _run(job: Job, file: h5py.File) -> None:
    chosen = job.recipe.unary
    held = held_out(job)
    write_strings(file, "holdout_ids", held)
    write_array(file, "class_shares", training_shares(job))
    if chosen.source == "probabilities":
        _from_maps(job, file, held)
    elif chosen.source == "dense":
        write_dense(job, file, held)
    else:
        write_classified(job, file, held, "superpixel_features")


def write_classified(job: Job, file: h5py.File, held: tuple[str, ...], stage: str) -> None:
    """Fit a classifier on the features of superpixels that a stage made, and ask it.

    Writes the probabilities of the part's own images, those that an inner fit gives the held-out
    images, and the model.
    """
    features, histograms, owners = _training_rows(job, stage)
    seen = ~np.isin(owners, held)
    first = make_classifier(job.recipe).fit(features[seen], histograms[seen])
    first.calibrate(features[~seen], histograms[~seen])
    for fold in job.other_folds:
        with job.open(stage, fold.name) as source:
            for index, image_id in enumerate(fold.image_ids):
                if image_id in held:
                    rows = read_image(source, index, ("features",))["features"]
                    write_probabilities(
                        file,
                        f"holdout/{image_id_key(held, image_id)}",
                        first.predict_proba(rows.astype(np.float32)),
                    )
    model = make_classifier(job.recipe).fit(features, histograms)
    # Held-out images are needed to choose it, and the second model has seen them all.
    model.temperature_ = first.temperature_
    write_arrays(file.create_group("model"), model.to_arrays())
    with job.open(stage) as source:
        for index in range(len(job.part.image_ids)):
            rows = read_image(source, index, ("features",))["features"]
            probabilities = model.predict_proba(rows.astype(np.float32))
            write_image(file, index, {"probabilities": probabilities.astype(np.float32)})


def write_dense(job: Job, file: h5py.Group, held: tuple[str, ...]) -> None:
    """Train the recipe's dense network, and ask it: see `write_classified`."""
    ids = [image_id for fold in job.other_folds for image_id in fold.image_ids]
    training = DenseTraining(job.recipe, job.train, ids, job.weights)
    first = training.fit(np.flatnonzero(~np.isin(ids, held)))
    found, histograms = {}, []
    for fold in job.other_folds:
        with job.open("superpixels", fold.name) as regions:
            for index, image_id in enumerate(fold.image_ids):
                if image_id in held:
                    arrays = read_image(regions, index, ("superpixels", "histogram"))
                    found[image_id] = first.predict_proba(
                        job.train.image(image_id), arrays["superpixels"]
                    )
                    histograms.append(arrays["histogram"])
    del first
    temperature = choose_temperature(list(found.values()), histograms)
    for image_id, probabilities in found.items():
        write_probabilities(
            file,
            f"holdout/{image_id_key(held, image_id)}",
            at_temperature(probabilities, temperature),
        )
    # As of the classifier: the second model has seen the images that could choose its own.
    model = replace(training.fit(np.arange(len(ids))), temperature=temperature)
    write_arrays(file.create_group("model"), model.to_arrays())
    with job.open("superpixels") as regions:
        for index, image_id in enumerate(job.part.image_ids):
            superpixels = read_image(regions, index, ("superpixels",))["superpixels"]
            probabilities = model.predict_proba(job.dataset.image(image_id), superpixels)
            write_image(file, index, {"probabilities": probabilities.astype(np.float32)})


def _from_maps(job: Job, file: h5py.File, held: tuple[str, ...]) -> None:
    folder = job.recipe.unary.probabilities
    if folder is None:
        raise ConfigError(
            "unary.source: probabilities needs the folder of the maps; set unary.probabilities"
        )
    for fold in (*job.other_folds, job.part):
        with job.open("superpixels", fold.name) as regions:
            for index, image_id in enumerate(fold.image_ids):
                if fold.name != job.part.name and image_id not in held:
                    continue
                superpixels = read_image(regions, index, ("superpixels",))["superpixels"]
                path = probability_map_path(folder, image_id)
                is_own = fold.name == job.part.name
                image = (job.dataset if is_own else job.train).image(image_id)
                found = pool_own_map(
                    job.recipe,
                    read_probability_map(path),
                    image,
                    superpixels,
                    job.train.n_classes,
                    where=str(path),
                )
                if is_own:
                    write_image(file, index, {"probabilities": found.astype(np.float32)})
                else:
                    write_probabilities(file, f"holdout/{image_id_key(held, image_id)}", found)


def image_id_key(ids: tuple[str, ...], image_id: str) -> str:
    """Name of an image's group within a file that holds the images `ids`."""
    return f"{ids.index(image_id):06d}"


def _training_rows(job: Job, stage: str) -> tuple[FloatArray, Array, Array]:
    features, histograms, owners = [], [], []
    for fold in job.other_folds:
        with job.open(stage, fold.name) as source:
            for index, image_id in enumerate(fold.image_ids):
                rows = read_image(source, index, ("sample", "sample_histogram"))
                features.append(rows["sample"])
                histograms.append(rows["sample_histogram"])
                owners += [image_id] * len(rows["sample"])
    return (
        np.concatenate(features).astype(np.float32),
        np.concatenate(histograms).astype(np.int64),
        np.array(owners),
    )


def write_probabilities(file: h5py.File, name: str, probabilities: FloatArray) -> None:
    """Write the class probabilities of one image's superpixels, (n, C), in single precision."""
    write_array(file.require_group(name), "probabilities", probabilities.astype(np.float32))


STAGE = Stage(
    "unaries",
    2,
    _settings,
    (("superpixels", "fit"), ("superpixel_features", "fit")),
    _run,
    "class probabilities of superpixels",
    reads=_reads,
    fits=True,
    cost=0.8,
)
