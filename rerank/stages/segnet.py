"""The coarse SegNet of each part: trained on the other folds, applied to the part's own images.

Cross-entropy first, then 0.7 UOI + 0.3 CE (Cogswell et al. 2014, section 5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import h5py
import numpy as np
import torch

from rerank.config import Recipe
from rerank.evidence import cells_to_regions
from rerank.hdf5 import read_arrays, write_array, write_arrays
from rerank.metrics import (
    IntersectionUnion,
    confusion_counts,
    intersection_union,
    region_intersection_union,
)
from rerank.nets import (
    CoarseData,
    CoarseSegNet,
    Phase,
    SegNetHead,
    TrainConfig,
    cell_overlap,
    head_probabilities,
    train,
    train_head,
)
from rerank.stages.base import Job, Stage, read_image
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
    """Train a SegNet; returns its arrays after each of the two phases."""
    chosen = recipe.segnet
    if recipe.backbone.architecture != "small":
        trained = train_head(
            inputs,
            targets,
            weights,
            phases=phases(recipe),
            dropout=chosen.dropout,
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
    history = train(net, CoarseData(inputs, targets, weights, flip=True), config)
    first_state, last_state = history.phase_states
    return _arrays(first_state), _arrays(last_state)


def segnet_maps(
    recipe: Recipe, arrays: Mapping[str, Array], inputs: Array, n_classes: int
) -> FloatArray:
    """Class distributions (N, grid, grid, C) float32 of a trained SegNet."""
    grid = recipe.segnet.grid
    if len(inputs) == 0:
        return np.zeros((0, grid, grid, n_classes), np.float32)
    if recipe.backbone.architecture != "small":
        head = SegNetHead.from_arrays(arrays)
        return head_probabilities(head, np.asarray(inputs, dtype=np.float32))
    net = _small_net(recipe, n_classes)
    net.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in arrays.items()})
    return net.predict_proba(list(inputs))


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


def read_training(job: Job, names: Sequence[str]) -> list[Array]:
    """Arrays of the activation stage over the part's training images, in the folds' order."""
    found: list[list[Array]] = [[] for _ in names]
    for fold in job.other_folds:
        with job.open("activations", fold.name) as file:
            for rows, name in zip(found, names):
                rows.append(file[name][()])
    return [np.concatenate(rows) for rows in found]


def is_held_out(job: Job) -> Array:
    """Which of the part's training images, in the folds' order, are held out; (N,) bool."""
    held = set(held_out(job))
    return np.array([i in held for fold in job.other_folds for i in fold.image_ids])


def _settings(recipe: Recipe) -> dict[str, Any]:
    return {
        "segnet": recipe.segnet.model_dump(mode="json"),
        "holdout": recipe.unary.holdout if recipe.fusion.enabled else None,
        "random_state": recipe.random_state,
    }


def _run(job: Job, file: h5py.File) -> None:
    inputs, targets, weights = read_training(job, ("inputs", "targets", "weights"))
    if job.recipe.fusion.enabled and not job.is_final:
        held = is_held_out(job)
        _, inner = fit_segnet(job.recipe, inputs[~held], targets[~held], weights[~held])
        write_array(
            file, "holdout_maps", segnet_maps(job.recipe, inner, inputs[held], job.train.n_classes)
        )
    first, last = fit_segnet(job.recipe, inputs, targets, weights)
    del inputs
    with job.open("activations") as own:
        mine = own["inputs"][()]
    for name, arrays, maps in (
        ("model_cross_entropy", first, "maps_cross_entropy"),
        ("model", last, "maps"),
    ):
        write_arrays(file.create_group(name), arrays)
        write_array(file, maps, segnet_maps(job.recipe, arrays, mine, job.train.n_classes))


def load_segnet(file: h5py.File) -> dict[str, Array]:
    """Arrays of the finished SegNet of a part."""
    return read_arrays(file["model"])


def enlarge(coarse: Array, shape: tuple[int, ...]) -> Array:
    """Naive upsampling (Cogswell et al. 2014, Eq. 16): each pixel takes its cell's label."""
    rows = np.arange(shape[0]) * coarse.shape[0] // shape[0]
    columns = np.arange(shape[1]) * coarse.shape[1] // shape[1]
    return coarse[np.ix_(rows, columns)]


def superpixel_upsampling(segnet_map: FloatArray, superpixels: Array) -> FloatArray:
    """Class distributions of superpixels (n, C), averaged over the cells that they overlap.

    Cogswell et al. 2014, section 4: each cell counts by the share of the superpixel's pixels
    that lie in it.
    """
    grid = segnet_map.shape[:2]
    overlap = cell_overlap(superpixels, (int(grid[0]), int(grid[1])))
    return cells_to_regions(segnet_map.reshape(-1, segnet_map.shape[-1]), overlap)


def _run_upsampling(job: Job, file: h5py.File) -> None:
    naive: list[IntersectionUnion] = []
    smooth: list[IntersectionUnion] = []
    dataset = job.dataset
    with job.open("segnet") as own, job.open("superpixels") as regions:
        for index, image_id in enumerate(job.part.image_ids):
            segnet_map = own["maps"][index]
            labels = dataset.labels(image_id)
            naive.append(
                intersection_union(
                    confusion_counts(
                        labels,
                        enlarge(segnet_map.argmax(axis=-1), labels.shape),
                        dataset.n_classes,
                        dataset.ignore_index,
                    )
                )
            )
            arrays = read_image(regions, index, ("superpixels", "histogram"))
            region_map = superpixel_upsampling(segnet_map, arrays["superpixels"])
            smooth.append(region_intersection_union(arrays["histogram"], region_map.argmax(axis=1)))
    for name, counts in (("naive", naive), ("superpixel", smooth)):
        group = file.create_group(name)
        if counts:
            write_arrays(group, vars(IntersectionUnion.stack(counts)))
        else:
            empty = np.zeros((0, dataset.n_classes), dtype=np.int64)
            write_arrays(group, {"intersections": empty, "unions": empty})


STAGE = Stage(
    "segnet",
    3,
    _settings,
    (("activations", "fit"),),
    _run,
    "training the coarse SegNet",
    fits=True,
    cost=1.0,
)
UPSAMPLING = Stage(
    "upsampling",
    1,
    lambda recipe: {},
    (("segnet", "own"), ("superpixels", "own")),
    _run_upsampling,
    "full-size segmentations from the SegNet alone",
    reads=("images",),
    cost=0.02,
)
