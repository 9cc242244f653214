"""A dense network that is trained on labelled images and gives class probabilities of pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from rerank.errors import ConfigError, DataError
from rerank.layers import BilateralTerm, CRFGrad
from rerank.nets.activation_maps import images_to_tensor, torch_threads
from rerank.nets.backbone_filters import empty_backbone
from rerank.nets.backbone_weights import BackboneWeights
from rerank.nets.crf_net import DenseCRFNet
from rerank.nets.dense_fcn import DenseFCN
from rerank.nets.devices import device_of, torch_device
from rerank.nets.schedule import Phase, TrainConfig
from rerank.nets.training import History
from rerank.types import Array, FloatArray

#: Memory for lattices that are kept over a training, and what one takes a pixel.
_LATTICES_BYTES, _LATTICE_BYTES = 1 << 29, 180


@dataclass(frozen=True)
class DenseNetworkSettings:
    """How a dense network is built and trained.

    Attributes
    ----------
    architecture : str
        Of the backbone, as in `DenseFCN`.
    size : (int, int)
        Height and width that images are resized to before the network sees them.
    loss : str
        A name that `loss_from_name` knows.
    epochs, learning_rate : int, float
        Of the network by itself. Losses other than "ce" start from a network that was trained
        with cross-entropy for the first half of the epochs.
    crf_layer : bool
        Put a CRF-Grad layer with learned spatial and bilateral kernels on top.
    crf_epochs, crf_learning_rate : int, float
        Of network and layer as one, after the former.
    batch_size : int
    train_backbone : bool
        Train the backbone too; it then runs in every step.
    random_state : int
        Equal seeds give equal probabilities with one thread.
    device : {"cpu", "auto"}
        As in `torch_device`.

    Raises
    ------
    ConfigError
        If a number is out of range, the architecture is unknown or the size too small for it.
    """

    architecture: str = "squeezenet1_0"
    size: tuple[int, int] = (180, 240)
    loss: str = "ce"
    epochs: int = 24
    learning_rate: float = 0.05
    crf_layer: bool = False
    crf_epochs: int = 5
    crf_learning_rate: float = 0.01
    batch_size: int = 8
    train_backbone: bool = False
    random_state: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        if len(self.size) != 2 or min(self.size) < 1:
            raise ConfigError(f"size must be two numbers of at least 1, got {self.size}")
        if self.epochs < 2:
            raise ConfigError(f"epochs must be at least 2, got {self.epochs}")
        backbone = empty_backbone(self.architecture)
        if min(backbone.output_size(self.size, backbone.spec.skip_layers[-1])) < 1:
            raise ConfigError(
                f"size {self.size[0]}x{self.size[1]} is too small for {self.architecture}"
            )
        self.config()

    def config(self) -> TrainConfig:
        """Settings of the network's own training."""
        first = self.epochs // 2
        phases: tuple[Phase, ...] = (Phase(self.loss, self.epochs, self.learning_rate),)
        if self.loss != "ce":
            phases = (
                Phase("ce", first, self.learning_rate),
                Phase(self.loss, self.epochs - first, 0.5 * self.learning_rate),
            )
        return self._config(phases)

    def joint_config(self) -> TrainConfig:
        """Settings of the training of network and layer as one."""
        return self._config((Phase(self.loss, self.crf_epochs, self.crf_learning_rate),))

    def _config(self, phases: tuple[Phase, ...]) -> TrainConfig:
        # "small" starts from random filters, which a lower rate need not preserve.
        return TrainConfig(
            phases,
            batch_size=self.batch_size,
            random_state=self.random_state,
            backbone_factor=1.0 if self.architecture == "small" else 0.1,
        )


@dataclass(frozen=True, eq=False)
class DenseNetwork:
    """A trained network, which predicts one image at a time.

    Attributes
    ----------
    model : DenseFCN or DenseCRFNet
        In evaluation mode.
    settings : DenseNetworkSettings
    history : tuple of History
        Of the network's training and, with a layer, of both; empty after `from_arrays`.
    """

    model: DenseFCN | DenseCRFNet
    settings: DenseNetworkSettings
    history: tuple[History, ...] = ()

    def predict_proba(self, image: Array, n_threads: int | None = 1) -> FloatArray:
        """Return class distributions of an image, at the image's own size.

        The network gets the image resized, and its probabilities are interpolated back. Scores
        of a network that was trained with sigmoid channels ("bce", "rmi") go through a softmax
        too.

        Parameters
        ----------
        image : (H, W, 3) uint8 array
            RGB.
        n_threads : int, optional
            Threads of torch during the call; None leaves torch's setting as it is.

        Returns
        -------
        (H, W, C) float32 array
        """
        inputs = images_to_tensor([image], self.settings.size).to(device_of(self.model))
        with torch_threads(n_threads), torch.inference_mode():
            if isinstance(self.model, DenseCRFNet):
                maps = self.model.layer(self.model.net(inputs), inputs)
            else:
                maps = torch.softmax(self.model(inputs), dim=1)
            maps = F.interpolate(maps, image.shape[:2], mode="bilinear", align_corners=False)
        found = maps[0].permute(1, 2, 0).cpu().numpy()
        return np.ascontiguousarray(found / found.sum(axis=2, keepdims=True))

    def to_arrays(self) -> dict[str, Array]:
        """What was trained, as arrays to be kept in any store; a frozen backbone is left out."""
        return {
            name: value.cpu().numpy().copy()
            for name, value in self.model.state_dict().items()
            if self.settings.train_backbone or "backbone." not in name
        }

    @classmethod
    def from_arrays(
        cls,
        arrays: Mapping[str, Array],
        n_classes: int,
        settings: DenseNetworkSettings,
        weights: BackboneWeights | str | Path | None = None,
    ) -> DenseNetwork:
        """Rebuild a network from what `to_arrays` returned, with the same settings and weights.

        Parameters
        ----------
        arrays : mapping of str to array
        n_classes : int
        settings : DenseNetworkSettings
        weights : BackboneWeights, str or Path, optional
            Of a frozen backbone.

        Returns
        -------
        DenseNetwork

        Raises
        ------
        DataError
            If an array is missing or of a wrong shape.
        """
        model = new_model(n_classes, settings, weights, n_lattices=1)
        state = dict(model.state_dict())
        trained = {name for name in state if settings.train_backbone or "backbone." not in name}
        if set(arrays) != trained:
            odd = sorted(set(arrays) ^ trained)
            raise DataError(
                f"not the arrays of this dense network: {len(odd)} are missing or too "
                f"many, {odd[0]} the first"
            )
        state.update({name: torch.from_numpy(np.array(value)) for name, value in arrays.items()})
        try:
            model.load_state_dict(state)
        except RuntimeError as error:
            raise DataError(f"not the arrays of this dense network: {error}") from error
        return cls(model.eval(), settings)


def new_fcn(
    n_classes: int, settings: DenseNetworkSettings, weights: BackboneWeights | str | Path | None
) -> DenseFCN:
    """Return an untrained network without a CRF layer.

    Parameters
    ----------
    n_classes : int
    settings : DenseNetworkSettings
    weights : BackboneWeights, str or Path, optional
        Of the backbone; None draws it at random.

    Returns
    -------
    DenseFCN
    """
    net = DenseFCN(
        n_classes,
        settings.architecture,
        weights,
        train_backbone=settings.train_backbone,
        random_state=settings.random_state,
    )
    return net.to(torch_device(settings.device))


def new_model(
    n_classes: int,
    settings: DenseNetworkSettings,
    weights: BackboneWeights | str | Path | None,
    n_lattices: int | None = None,
) -> DenseFCN | DenseCRFNet:
    """Return an untrained network, with a CRF layer if the settings ask for it.

    Parameters
    ----------
    n_classes : int
    settings : DenseNetworkSettings
    weights : BackboneWeights, str or Path, optional
        Of the backbone; None draws it at random.
    n_lattices : int, optional
        Lattices of images that the layer keeps; by default as many as 512 MiB hold.

    Returns
    -------
    DenseFCN or DenseCRFNet
    """
    net = new_fcn(n_classes, settings, weights)
    if not settings.crf_layer:
        return net
    if n_lattices is None:
        n_lattices = _LATTICES_BYTES // (_LATTICE_BYTES * settings.size[0] * settings.size[1])
    # The default of 80 pixels is for images of some 375 rows.
    bilateral = BilateralTerm(position_std=80.0 * settings.size[0] / 375)
    layer = CRFGrad(n_classes, bilateral=bilateral, cache_size=n_lattices)
    return DenseCRFNet(net, layer).to(torch_device(settings.device)).eval()
