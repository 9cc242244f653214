"""The coarse SegNet of each fold: trained on the other folds, applied to the images of the fold.

Cross-entropy first, then 0.7 UOI + 0.3 CE (Cogswell et al. 2014, section 5).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import h5py
import numpy as np
import torch

from rerank.config import Recipe
from rerank.engine.hdf5 import read_arrays, write_array, write_arrays
from rerank.engine.stage import Job
from rerank.errors import DataError, InputError
from rerank.nets import (
    CoarseData,
    CoarseSegNet,
    Phase,
    SegNetHead,
    TrainConfig,
    head_probabilities,
    new_head,
    torch_device,
    train,
    train_head,
)
from rerank.stages.joined_rows import join_rows
from rerank.stages.stored_probabilities import halved, widened
from rerank.stages.training_rows import images_that_fit
from rerank.stages.unaries import held_out
from rerank.types import Array, FloatArray

#: Share of the first phase's learning rate that the second starts from.
CONTINUATION_RATE = 0.4


def phases(recipe: Recipe) -> tuple[Phase, Phase]:
    """The two phases of training."""
    chosen = recipe.segnet
    uoi = chosen.uoi_weight
    return (
        Phase("ce", chosen.epochs_cross_entropy, chosen.learning_rate),
        Phase(
            f"{uoi:g} uoi + {1 - uoi:g} ce",
            chosen.epochs_mixed,
            CONTINUATION_RATE * chosen.learning_rate,
        ),
    )


def fit_segnet(
    recipe: Recipe, inputs: Array, targets: FloatArray, weights: FloatArray
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Train a SegNet.

    Parameters
    ----------
    recipe : Recipe
    inputs : (N, D, grid, grid) float16 or (N, H, W, 3) uint8 array
        What `make_coarse_input` makes of each image.
    targets : (N, grid, grid, C) float32 array
        Class distribution of each cell.
    weights : (N, grid, grid) float32 array
        Labelled share of each cell, in 0..1.

    Returns
    -------
    first, last : dict of arrays
        The SegNet after each of the two phases.
    """
    chosen = recipe.segnet
    if recipe.backbone.architecture != "small":
        data = CoarseData(inputs, targets, weights)
        start = new_head(data, chosen.dropout, random_state=recipe.random_state)
        trained = train_head(
            data,
            phases(recipe),
            start=start.to(torch_device(recipe.device)),
            batch_size=chosen.batch_size,
            random_state=recipe.random_state,
        )
        first, last = trained.phase_heads
        return first.to_arrays(), last.to_arrays()
    net = _small_net(recipe, targets.shape[-1])
    config = TrainConfig(
        phases(recipe),
        batch_size=chosen.batch_size,
        random_state=recipe.random_state,
        backbone_factor=1.0,
    )
    data = CoarseData(inputs, targets, weights, flip=True)
    history = train(net, data, config, device=torch_device(recipe.device))
    first_state, last_state = history.phase_states
    return _arrays(first_state), _arrays(last_state)


def segnet_maps(
    recipe: Recipe, arrays: Mapping[str, Array], inputs: Array, n_classes: int
) -> FloatArray:
    """Class distributions of a trained SegNet.

    Parameters
    ----------
    recipe : Recipe
    arrays : mapping of str to array
        As `fit_segnet` returns them.
    inputs : (N, D, grid, grid) float16 or (N, H, W, 3) uint8 array
        As for `fit_segnet`; N may be 0.
    n_classes : int

    Returns
    -------
    (N, grid, grid, C) float32 array
    """
    grid = recipe.segnet.grid
    if len(inputs) == 0:
        return np.zeros((0, grid, grid, n_classes), np.float32)
    net = _network(recipe, arrays, n_classes)
    if isinstance(net, SegNetHead):
        return head_probabilities(net, np.asarray(inputs, dtype=np.float32))
    return net.predict_proba(list(inputs))


def check_segnet(recipe: Recipe, arrays: Mapping[str, Array], n_classes: int) -> None:
    """Refuse arrays that are not those of a recipe's SegNet, with an `InputError`.

    Parameters
    ----------
    recipe : Recipe
    arrays : mapping of str to array
    n_classes : int
    """
    _network(recipe, arrays, n_classes)


def _network(
    recipe: Recipe, arrays: Mapping[str, Array], n_classes: int
) -> SegNetHead | CoarseSegNet:
    try:
        if recipe.backbone.architecture != "small":
            head = SegNetHead.from_arrays(arrays)
            if head.n_classes != n_classes:
                raise InputError(f"of {head.n_classes} classes, expected {n_classes}")
            return head
        net = _small_net(recipe, n_classes)
        state = {name: torch.from_numpy(np.array(value)) for name, value in arrays.items()}
        net.load_state_dict(state)
    except (RuntimeError, TypeError, DataError, InputError) as error:
        why = " ".join(str(error).split())
        raise InputError(f"not the arrays of this recipe's SegNet: {why}") from error
    return net


def _small_net(recipe: Recipe, n_classes: int) -> CoarseSegNet:
    return CoarseSegNet(
        n_classes,
        "small",
        grid=(recipe.segnet.grid, recipe.segnet.grid),
        dropout=recipe.segnet.dropout,
        random_state=recipe.random_state,
    )


def _arrays(state: Mapping[str, torch.Tensor]) -> dict[str, Array]:
    return {name: tensor.cpu().numpy() for name, tensor in state.items()}


def read_training(job: Job, names: Sequence[str], wanted: Array | None = None) -> list[Array]:
    """Arrays of the stage `activations` over the part's training images, in the folds' order.

    Parameters
    ----------
    job : Job
    names : sequence of str
    wanted : (N,) bool array, optional
        The images that are read; all by default.

    Returns
    -------
    list of arrays
        One per name, with a row per image.
    """
    found: list[list[tuple[str, Array]]] = [[] for _ in names]
    for part, file, own in _files_of(job, wanted):
        for rows, name in zip(found, names):
            rows.append((part, file[name][own]))
    return [join_rows(job, "activations", rows) for rows in found]


def is_held_out(job: Job) -> Array:
    """Which of the part's training images, in the folds' order, are held out; (N,) bool."""
    held = set(held_out(job))
    return np.array([i in held for fold in job.other_folds for i in fold.image_ids])


def run(job: Job, file: h5py.File) -> None:
    """Write maps of the images by the SegNet after cross-entropy and after both phases.

    The SegNet of `final` is written too: it is for new images. With fusion, `holdout_maps` are
    those that a SegNet without the held-out images gives them. Nothing where the recipe has no
    SegNet.
    """
    if not job.recipe.segnet.enabled:
        return
    held = is_held_out(job)
    fitted = images_of_fit(job, held)
    inputs, targets, weights = read_training(job, ("inputs", "targets", "weights"), fitted)
    if job.recipe.fusion.enabled and not job.is_final and held.any():
        kept = ~held[fitted]
        _, inner = fit_segnet(job.recipe, inputs[kept], targets[kept], weights[kept])
        write_array(file, "holdout_maps", _maps(job, inner, _files_of(job, held)))
    first, last = fit_segnet(job.recipe, inputs, targets, weights)
    del inputs
    if job.is_final:
        write_arrays(file.create_group("model"), last)
    for arrays, maps in ((first, "maps_cross_entropy"), (last, "maps")):
        own = ((job.part.name, opened, ()) for opened in job.files("activations"))
        write_array(file, maps, _maps(job, arrays, own))


def images_of_fit(job: Job, held: Array) -> Array:
    """Which of the part's training images, in the folds' order, a SegNet is fitted on.

    Parameters
    ----------
    job : Job
    held : (N,) bool array
        Those that are held out.

    Returns
    -------
    (N,) bool array
        All, or as many of those that are held out and of the others as fit in memory.
    """
    for _, file, _ in _files_of(job):
        inputs = file["inputs"]
        each = inputs.dtype.itemsize * int(np.prod(inputs.shape[1:]))
        return images_that_fit(held, each, job.recipe.training_memory)
    return np.ones(len(held), dtype=bool)


def _files_of(job: Job, wanted: Array | None = None) -> Iterator[tuple[str, h5py.File, Any]]:
    """The files of the training images' inputs, with their part and the rows that are wanted."""
    first = 0
    for fold in job.other_folds:
        for file in job.files("activations", fold.name):
            count = len(file["targets"])
            own = np.ones(count, dtype=bool) if wanted is None else wanted[first : first + count]
            # A file is read faster whole than by its rows.
            yield fold.name, file, () if own.all() else np.flatnonzero(own)
            first += count


def _maps(
    job: Job, arrays: Mapping[str, Array], files: Iterator[tuple[str, h5py.File, Any]]
) -> Array:
    """What a SegNet makes of the wanted rows of some files, one after another, as it is stored."""
    n_classes = job.data.n_classes
    return np.concatenate(
        [
            halved(segnet_maps(job.recipe, arrays, file["inputs"][rows], n_classes))
            for _, file, rows in files
        ]
    )


def read_map(file: h5py.Group, index: int, name: str = "maps") -> FloatArray | None:
    """The class distribution that the SegNet gives an image; None without a SegNet.

    Parameters
    ----------
    file : HDF5 group
        What the stage wrote.
    index : int
        The image's row.
    name : {"maps", "maps_cross_entropy", "holdout_maps"}

    Returns
    -------
    (grid, grid, C) float32 array or None
    """
    return widened(file[name][index]) if name in file else None


def load_segnet(file: h5py.File) -> dict[str, Array]:
    """Arrays of the finished SegNet of a part."""
    return read_arrays(file["model"])
