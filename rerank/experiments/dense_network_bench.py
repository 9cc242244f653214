"""Measure rows of tables of dense networks: a `DenseFCN`, any loss, with or without a CRF."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rerank.datasets import Dataset
from rerank.errors import DataError
from rerank.experiments.comparison import judged_images
from rerank.experiments.dense_network_data import (
    DenseNetworkSetting,
    PreparedSamples,
    log_odds,
    rounds_of,
)
from rerank.experiments.seed_result import SeedResult, settings_digest
from rerank.experiments.table_definition import Row, Scope
from rerank.files import replace_file
from rerank.layers import BilateralTerm, CRFGrad, SpatialTerm, dense_crf
from rerank.metrics import confusion_counts, intersection_union
from rerank.nets import (
    AugmentedImages,
    DenseCRFNet,
    DenseFCN,
    History,
    KeptActivations,
    Phase,
    TrainConfig,
    TrainingData,
    train,
)
from rerank.nets.activation_maps import images_to_tensor, torch_threads
from rerank.nets.weights_search import WEIGHT_FILES, find_weights
from rerank.potentials.dense_crf_settings import DenseCRFSettings
from rerank.types import Array, IntArray


@dataclass(frozen=True)
class DenseNetworkRecipe:
    """What a row of a table of dense networks does.

    Attributes
    ----------
    phases : tuple of Phase
        With losses by name; empty where nothing is trained.
    full_phases : tuple of Phase
        Those at full size, where they differ.
    prior_bias : bool
        Start the last layer's biases at the classes' log-odds, for losses of one sigmoid a class.
    layer : mapping, optional
        Arguments of `crf_layer`.
    dense_crf : mapping, optional
        Fields of `DenseCRFSettings`; `dense_crf` then refines the probabilities at the size of
        the labels.
    weight_decay : float
    clip_norm : float or None
    """

    phases: tuple[Phase, ...] = ()
    full_phases: tuple[Phase, ...] = ()
    prior_bias: bool = False
    layer: Mapping[str, Any] | None = None
    dense_crf: Mapping[str, Any] | None = None
    weight_decay: float = 5e-4
    clip_norm: float | None = 5.0


class DenseNetworkBench:
    """Trains and measures dense networks, one per row of a table (see `Bench`).

    At the small size images are brought to one size and mirrored; where the backbone is frozen
    its activations are kept in memory. At full size the backbone is trained, on random windows of
    the images at random scales. Probabilities are enlarged to the labels' own size before they are
    counted.

    Parameters
    ----------
    scope : Scope
    setting : DenseNetworkSetting

    Raises
    ------
    DataError
        If the data set or the backbone's weights are not where they should be.
    """

    takes_overrides = False

    def __init__(self, scope: Scope, setting: DenseNetworkSetting) -> None:
        self.scope, self.setting = scope, setting
        self.rounds = rounds_of(scope, setting)
        self.train, self.val = self.rounds[0]
        self.class_names = self.train.class_names
        if setting.by_sequences:
            every = replace(self.train, ids=tuple(i for r in self.rounds for i in r.judge.ids))
            images = f"{len(every)} images of train and val, each recording of "
            self.judged = judged_images(
                every, f"{images}{len(self.rounds)} judged by a network of the others"
            )
        else:
            images = f"{len(self.train)} images of train to learn from, "
            self.judged = judged_images(self.val, f"{images}{len(self.val)} of val judged")
        self.weights = (
            None
            if setting.architecture == "small"
            else str(find_weights(WEIGHT_FILES[setting.architecture], scope.data_root))
        )
        self._trains_backbone = scope.full or setting.train_backbone
        self._kept: dict[str, KeptActivations] = {}
        self._content = settings_digest(
            [[dataset.content_digest(i) for i in dataset.ids] for dataset in self.rounds[0]]
        )

    def settings(self, row: Row, seed: int) -> Any:
        """What the result depends on, the bytes of the images included."""
        return {
            "setting": asdict(self.setting),
            "recipe": asdict(row.recipe),
            "seed": seed,
            "full": self.scope.full,
            "rounds": [[r.learn.ids, r.judge.ids] for r in self.rounds],
            "content": self._content,
            "version": 2,
        }

    def measure(
        self,
        row: Row,
        seed: int,
        place: Path,
        start: Path | None,
        progress: Callable[[float], None],
    ) -> SeedResult:
        """Train if there is something to train, keep the state, and count (see `Bench`)."""
        began = time.monotonic()
        counts, notes = [], []
        with torch_threads(self.scope.jobs):
            for k in range(len(self.rounds)):
                begun = None if start is None else self._of_round(start, k)
                model = self.model(row.recipe, seed, begun, k)

                def advance(share: float, done: int = k) -> None:
                    progress((done + share) / len(self.rounds))

                own = self._of_round(place, k)
                notes.append(self._train(model, row.recipe, k, seed, own, advance))
                counts.append(self._judge(model.to(self.scope.device).eval(), row.recipe, k))
        progress(1.0)
        means = {name: sum(n[name] for n in notes) / len(notes) for name in notes[0]}
        found = intersection_union(np.concatenate(counts))
        return SeedResult(found, time.monotonic() - began, means)

    def _of_round(self, place: Path, k: int) -> Path:
        """The start of the names of the files of a round's network."""
        return place if len(self.rounds) == 1 else place.with_name(f"{place.name}-{k}")

    def _train(
        self,
        model: nn.Module,
        recipe: DenseNetworkRecipe,
        k: int,
        seed: int,
        place: Path,
        progress: Callable[[float], None],
    ) -> dict[str, float]:
        """Train if there is something to train, and keep the state."""
        if not recipe.phases:
            return {}
        checkpoint = place.with_name(place.name + ".ckpt")
        history = train(
            model,
            self._training_data(model, k),
            self._config(recipe, seed),
            device=self.scope.device,
            workers=2 if self.scope.full else 0,
            progress=lambda p: progress(0.95 * p.done / p.total),
            checkpoint=checkpoint,
        )
        _save_state(place, model)
        checkpoint.unlink(missing_ok=True)
        return _notes(history)

    def model(
        self, recipe: DenseNetworkRecipe, seed: int, start: Path | None, k: int = 0
    ) -> DenseFCN | DenseCRFNet:
        """The model of a recipe, new or from the state of the row that it starts from.

        Parameters
        ----------
        recipe : DenseNetworkRecipe
        seed : int
            Of the new weights.
        start : Path or None
            Start of the names of the files of that row; None for a new model.
        k : int
            The round, whose images give the prior of new biases.

        Returns
        -------
        DenseFCN or DenseCRFNet
            With the CRF layer where the recipe has one.
        """
        net = DenseFCN(
            len(self.class_names) + self.setting.void_class,
            self.setting.architecture,
            self.weights,
            train_backbone=self._trains_backbone,
            random_state=seed,
        )
        if start is not None:
            load_state(start, net)
        elif recipe.prior_bias:
            bias = net.scores[-1].bias
            assert isinstance(bias, Tensor)
            with torch.no_grad():
                bias[: len(self.class_names)] = torch.from_numpy(log_odds(self.rounds[k].learn))
        if recipe.layer is None:
            return net
        height = self.setting.full_size[0] if self.scope.full else self.setting.size[0]
        views = 2 * len(self.rounds[k].learn) + len(self.rounds[k].judge)
        n_views = 4 if self.scope.full else min(views, 500)
        return DenseCRFNet(net, crf_layer(net.n_classes, height, n_views, **recipe.layer))

    def _config(self, recipe: DenseNetworkRecipe, seed: int) -> TrainConfig:
        factor = self.setting.full_factor if self.scope.full else 1.0
        chosen = recipe.full_phases if self.scope.full and recipe.full_phases else recipe.phases
        phases = tuple(Phase(p.loss, math.ceil(p.epochs * factor), p.learning_rate) for p in chosen)
        return TrainConfig(
            phases,
            batch_size=self.setting.batch_size,
            weight_decay=recipe.weight_decay,
            clip_norm=recipe.clip_norm,
            backbone_factor=self.setting.backbone_factor,
            amp=self.scope.full and self.scope.device.startswith("cuda"),
            random_state=seed,
        )

    def _training_data(self, model: nn.Module, k: int) -> TrainingData:
        setting, learn = self.setting, self.rounds[k].learn
        if self.scope.full:
            return AugmentedImages(
                PreparedSamples(learn, None, setting.void_class),
                setting.full_size,
                setting.full_scales,
            )
        if self._trains_backbone:
            samples = PreparedSamples(learn, setting.size, setting.void_class, setting.soft_labels)
            return AugmentedImages([samples[index] for index in range(len(samples))])
        return self.keep(f"train-{k}", learn, model)

    def keep(self, name: str, dataset: Dataset, model: nn.Module) -> KeptActivations:
        """Compute the backbone's activations of a data set once, for all rows of a table.

        Parameters
        ----------
        name : str
            The activations of mirrored images are kept where it begins with `train` alone.
        dataset : Dataset
        model : DenseFCN or DenseCRFNet
            Holds the frozen backbone.

        Returns
        -------
        KeptActivations
        """
        if name not in self._kept:
            net = model.net if isinstance(model, DenseCRFNet) else model
            assert isinstance(net, DenseFCN)
            setting, learns = self.setting, name.startswith("train")
            samples = PreparedSamples(
                dataset, setting.size, learns and setting.void_class, learns and setting.soft_labels
            )
            self._kept[name] = KeptActivations(
                net.cpu(), samples, setting.size, flip=learns, n_threads=None
            )
        return self._kept[name]

    def _judge(self, model: nn.Module, recipe: DenseNetworkRecipe, k: int) -> IntArray:
        n_classes, judge = len(self.class_names), self.rounds[k].judge
        counts = np.zeros((len(judge), n_classes, n_classes), np.int64)
        refinement = {}
        if recipe.dense_crf is not None:
            refinement = DenseCRFSettings(**recipe.dense_crf).arguments()
        for index in range(len(judge)):
            sample = judge[index]
            probabilities = self._probabilities(model, k, index, sample.image)[:, :n_classes]
            probabilities = F.interpolate(
                probabilities, sample.labels.shape, mode="bilinear", align_corners=False
            )[0]
            maps: Array = probabilities.cpu().numpy()
            if refinement:
                maps = dense_crf(maps, sample.image, **refinement)
            counts[index] = confusion_counts(
                sample.labels, maps.argmax(axis=0), n_classes, judge.ignore_index
            )
        return counts

    def _probabilities(self, model: nn.Module, k: int, index: int, image: Array) -> Tensor:
        with torch.inference_mode():
            if self._trains_backbone:
                size = image.shape[:2] if self.scope.full else self.setting.size
                pixels = images_to_tensor([image], (size[0], size[1]))
                logits: Tensor = model(pixels.to(self.scope.device))
            else:
                kept = self.keep(f"val-{k}", self.rounds[k].judge, model)
                model.to(self.scope.device)
                logits = model(kept.inputs(index).to(self.scope.device))
            return torch.softmax(logits.float(), dim=1)


def crf_layer(
    n_classes: int,
    height: int,
    cache_size: int,
    *,
    spatial: str = "learned",
    bilateral: str = "learned",
    spatial_radius: int = 4,
    position_std: float = 80 / 375,
) -> CRFGrad:
    """A `CRFGrad` for images of some height.

    Parameters
    ----------
    n_classes : int
    height : int
        Rows of the images.
    cache_size : int
    spatial, bilateral : str
        The terms' kinds.
    spatial_radius : int
    position_std : float
        Of the bilateral term, as a share of the height.

    Returns
    -------
    CRFGrad
    """
    return CRFGrad(
        n_classes,
        spatial=SpatialTerm(spatial, spatial_radius),
        bilateral=BilateralTerm(bilateral, position_std=position_std * height),
        cache_size=cache_size,
    )


def _notes(history: History) -> dict[str, float]:
    fit = history.epochs[-1].surrogate_fit
    notes = {"training loss": history.epochs[-1].loss}
    if fit is not None:
        notes["surrogate fit (held out)"] = fit
    return notes


def _save_state(place: Path, model: nn.Module) -> None:
    with replace_file(place.with_name(place.name + ".pt")) as temporary:
        torch.save({name: value.cpu() for name, value in model.state_dict().items()}, temporary)


def load_state(place: Path, net: nn.Module) -> None:
    """Load what a row kept of its model.

    Parameters
    ----------
    place : Path
        Start of the names of the row's own files.
    net : Module
        Gets the weights.

    Raises
    ------
    DataError
        If it cannot be read, or is of another model.
    """
    path = place.with_name(place.name + ".pt")
    try:
        net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # torch raises many kinds, depending on how a file is damaged
        raise DataError(
            f"{path}: cannot be read ({str(error)[:100]}); delete {place.name}.h5 "
            "beside it, and the same command trains the net again"
        ) from error
