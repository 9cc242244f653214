"""A dense network as a source of superpixels' class probabilities.

Stage 1 uses one (`unary.source: dense_network`), or stage 2 (`auxiliary.dense_network`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rerank.config import Recipe
from rerank.datasets import Dataset, Sample
from rerank.errors import ConfigError
from rerank.nets import (
    DenseNetwork,
    DenseNetworkSettings,
    KeptActivations,
    fit_dense_network,
    keep_activations,
    loss_from_name,
)
from rerank.potentials.network_map import refine_map
from rerank.potentials.temperature import at_temperature
from rerank.potentials.unary import region_probabilities
from rerank.types import Array, FloatArray, IntArray


def dense_source_settings(recipe: Recipe) -> DenseNetworkSettings:
    """How the dense network of a recipe is made and trained.

    Raises
    ------
    ConfigError
        If the loss is unknown, or the backbone has no weights and is not trained.
    """
    chosen, backbone = recipe.dense_network, recipe.backbone
    loss_from_name(chosen.loss)
    if backbone.weights is None and not chosen.train_backbone:
        more = "" if backbone.architecture == "small" else "backbone.weights, or "
        asked = (
            "unary.source: dense_network"
            if recipe.unary.source == "dense_network"
            else "auxiliary.dense_network"
        )
        raise ConfigError(
            f"{asked} needs a pretrained or a trained backbone, and "
            f"{backbone.architecture} has no weights; set {more}"
            "dense_network.train_backbone=true"
        )
    return DenseNetworkSettings(
        architecture=backbone.architecture,
        random_state=recipe.random_state,
        device=recipe.device,
        **vars(chosen),
    )


class DenseNetworkTraining:
    """The training images of a part, from which networks are fitted.

    A frozen backbone, which has seen none of them, runs over them once.

    Parameters
    ----------
    recipe : Recipe
    dataset : Dataset
    image_ids : sequence of str
        Images of the data set.
    weights : str or None
        The file of backbone weights.
    """

    def __init__(
        self, recipe: Recipe, dataset: Dataset, image_ids: Sequence[str], weights: str | None
    ) -> None:
        self._recipe = recipe
        self._settings = dense_source_settings(recipe)
        self._weights = weights
        self._samples = _Samples(dataset, tuple(image_ids))
        self._kept: KeptActivations | None = None
        if not self._settings.train_backbone:
            self._kept = keep_activations(
                self._samples, dataset.n_classes, self._settings, self._weights
            )

    def fit(self, rows: IntArray) -> DenseNetworkUnary:
        """Train a network on the images at these places of `image_ids`; uncalibrated."""
        if self._kept is not None:
            data: Any = self._kept.subset(rows)
        else:
            ids = self._samples.image_ids
            data = _Samples(self._samples.dataset, tuple(ids[row] for row in rows))
        source = fit_dense_network(
            data, self._samples.dataset.n_classes, self._settings, self._weights
        )
        return DenseNetworkUnary(source, self._recipe.unary.dense_crf)


@dataclass(frozen=True)
class DenseNetworkUnary:
    """A trained dense network, asked for the class probabilities of superpixels.

    Attributes
    ----------
    source : DenseNetwork
    refined : bool
        Whether its pixel probabilities are refined by `dense_crf`.
    temperature : float
        That the averaged probabilities are flattened by, above 1, or sharpened, below.
    """

    source: DenseNetwork
    refined: bool = False
    temperature: float = 1.0

    def predict_proba(self, image: Array, superpixels: Array) -> FloatArray:
        """Class probabilities of the superpixels of an image.

        Parameters
        ----------
        image : (H, W, 3) uint8 array
        superpixels : (H, W) int array
            In 0..n-1.

        Returns
        -------
        (n, C) float64 array
        """
        maps = self.source.predict_proba(image)
        if self.refined:
            maps = refine_map(maps, image, device=self.source.settings.device)
        return at_temperature(region_probabilities(maps, superpixels), self.temperature)

    def to_arrays(self) -> dict[str, Array]:
        """What was trained and chosen, without a frozen backbone."""
        return {**self.source.to_arrays(), "temperature": np.array(self.temperature)}

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, Array], n_classes: int, recipe: Recipe, weights: str | None
    ) -> DenseNetworkUnary:
        """Rebuild what `to_arrays` returned.

        Parameters
        ----------
        arrays : mapping of str to array
        n_classes : int
        recipe : Recipe
            The one it was trained with.
        weights : str or None
            File of the backbone's weights, the same as in training.

        Returns
        -------
        DenseNetworkUnary
        """
        rest = {name: value for name, value in arrays.items() if name != "temperature"}
        source = DenseNetwork.from_arrays(rest, n_classes, dense_source_settings(recipe), weights)
        return cls(source, recipe.unary.dense_crf, float(arrays["temperature"]))


@dataclass(frozen=True)
class _Samples:
    """Some images of a data set, read when they are asked for."""

    dataset: Dataset
    image_ids: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.image_ids)

    def __getitem__(self, index: int, /) -> Sample:
        return self.dataset[self.image_ids[index]]
